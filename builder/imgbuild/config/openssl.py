"""Certificates and keys, read and made by OpenSSL (cryptography). All of them travel as PEM.

Imported only where there is a certificate or a key: most runs of `imgbuild check` have none.
"""

from __future__ import annotations

import datetime
import math
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

_CA_DAYS = 3650  # as kubeadm's own (cmd/kubeadm/app/constants: CACertificateValidityPeriod)
_SET_BACK = datetime.timedelta(hours=24)  # for a node whose clock is slow
_RSA_BITS = 2048  # kubeadm's own
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER
_PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)  # those of Go, which all of Kubernetes reads keys with

Kind = Literal["ecdsa", "rsa"]
"""P-256, or RSA with 2048 bits: kubeadm's ECDSA-P256 and RSA-2048."""
_Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Certificate:
    """One certificate.

    Raises:
        ValueError: it is damaged.
    """

    def __init__(self, pem: str) -> None:
        self._read = x509.load_pem_x509_certificate(pem.encode())
        self.start, self.end = self._read.not_valid_before_utc, self._read.not_valid_after_utc
        self.der = self._read.public_bytes(_DER)
        self.name = self._read.subject.rfc4514_string() or "a certificate without a name"
        """Whose it is, as messages name it."""

    @property
    def authority(self) -> bool:
        """Whether it can be trusted to issue others.

        Raises:
            ValueError: its extensions are damaged.
        """
        try:
            can = self._read.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            can = False
        # A certificate that signs itself is trusted as it is, also without the extension (version 1).
        return can or self._read.issuer == self._read.subject

    @property
    def public_key(self) -> bytes:
        """Its key, in DER."""
        return self._read.public_key().public_bytes(_DER, _PUBLIC)


class Key:
    """A private key of any kind, for a client's certificate.

    Raises:
        ValueError: the fix.
    """

    def __init__(self, pem: str) -> None:
        try:
            key = serialization.load_pem_private_key(pem.encode(), None)
        except TypeError as error:
            raise ValueError("remove its passphrase: openssl pkey -in OLD.key -out NEW.key") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError("copy the private key again, whole: it is damaged, or not one for TLS") from error
        self.rsa = isinstance(key, rsa.RSAPrivateKey)
        self.public = key.public_key().public_bytes(_DER, _PUBLIC)
        """Its public half, in DER."""


def check_key(pem: str) -> None:
    """Check that a private key is whole: that its numbers belong together.

    OpenSSL also tests whether the primes of an RSA key are prime. That takes 50 ms, and a damaged key fails here
    already.

    Raises:
        ValueError: it is neither an RSA nor an ECDSA key, or damaged.
    """
    try:
        key = serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (TypeError, UnsupportedAlgorithm) as error:  # it is encrypted, or has a curve that OpenSSL does not know
        raise ValueError(str(error)) from error
    if isinstance(key, ec.EllipticCurvePrivateKey):
        whole = _whole_ecdsa(key)
    elif isinstance(key, rsa.RSAPrivateKey):
        whole = _whole_rsa(key.private_numbers())
    else:
        raise ValueError("it is neither RSA nor ECDSA")
    if not whole:
        raise ValueError("its numbers do not belong together")


def is_rsa(pem: str) -> bool:
    """Whether a key that was checked before is RSA; else it is ECDSA."""
    key = serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    return isinstance(key, rsa.RSAPrivateKey)


def _whole_ecdsa(key: ec.EllipticCurvePrivateKey) -> bool:
    if not isinstance(key.curve, _CURVES):
        return False
    derived = ec.derive_private_key(key.private_numbers().private_value, key.curve)
    return derived.public_key() == key.public_key()


def _whole_rsa(numbers: rsa.RSAPrivateNumbers) -> bool:
    """RFC 8017, 3.2."""
    p, q, d, public = numbers.p, numbers.q, numbers.d, numbers.public_numbers
    return (
        p > 1 and q > 1 and p * q == public.n
        and d * public.e % math.lcm(p - 1, q - 1) == 1
        and (numbers.dmp1, numbers.dmq1) == (d % (p - 1), d % (q - 1))
        and numbers.iqmp * q % p == 1
    )  # fmt: skip


def public_key(pem: str, *, der: bool = False) -> bytes:
    """The public half of a key that was checked before, in PEM or DER."""
    key = serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    return key.public_key().public_bytes(_DER if der else _PEM, _PUBLIC)


def new_key(kind: Kind) -> str:
    """A new key."""
    return _pem(_key(kind))


def new_authority(name: str, at: datetime.datetime, kind: Kind) -> tuple[str, str]:
    """A CA like those that client-go makes for kubeadm (util/cert: NewSelfSignedCACert), valid from a day before.

    Its certificate, and its key.
    """
    key = _key(kind)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True, key_encipherment=True, key_cert_sign=True, content_commitment=False,
        data_encipherment=False, key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _SET_BACK)
        .not_valid_after(at + datetime.timedelta(days=_CA_DAYS))
        .add_extension(usage, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    return certificate.public_bytes(_PEM).decode(), _pem(key)


def _key(kind: Kind) -> _Private:
    if kind == "rsa":
        return rsa.generate_private_key(65537, _RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: _Private) -> str:
    """PKCS #1 or SEC 1, as kubeadm writes keys (client-go, util/keyutil: MarshalPrivateKeyToPEM)."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(_PEM, form, serialization.NoEncryption()).decode()
