"""A cluster's own keys and its bootstrap token: made once, kept in a file of mode 0600, used by every later run.

They let nodes join without manual steps: each control plane has the same CAs (kubeadm uses what it finds in
/etc/kubernetes/pki, "Custom certificates" of its documentation), each joining node knows the CA by its hash. Neither
kubeadm's certificate key, which is valid for two hours, nor output of a running control plane is needed.
"""

from __future__ import annotations

import datetime
import secrets
import string
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from pydantic import AfterValidator, BeforeValidator

from imgbuild.config.fields import DnsName, SecretModel, pattern
from imgbuild.config.setting import Setting

CA_DAYS = 3650  # as kubeadm's own (cmd/kubeadm/app/constants: CACertificateValidityPeriod)
TOKEN_SECONDS = 14 * 86400
"""Whoever has a token can join, under any node's name: it is valid only as long as it takes to install machines."""
_SET_BACK = datetime.timedelta(hours=24)  # for a node whose clock is slow
_RSA_BITS = 2048  # kubeadm's own
_PEM = serialization.Encoding.PEM


def _certificate(text: str) -> str:
    try:
        x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise ValueError("must be a certificate in PEM: restore the file from its backup") from error
    return text


def _private(text: str) -> str:
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError) as error:
        raise ValueError("must be an RSA key in PEM: restore the file from its backup") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("must be an RSA key in PEM")
    return text


def _expiry(value: object) -> object:
    """YAML reads an RFC 3339 time as a datetime by itself."""
    if isinstance(value, datetime.datetime):
        value = value.replace(tzinfo=value.tzinfo or datetime.UTC)
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def _time(value: str) -> str:
    try:
        _seconds(value)
    except ValueError as error:
        raise ValueError("must be a time in UTC: 2027-01-31T00:00:00Z") from error
    return value


def _seconds(value: str) -> int:
    parsed = datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
    return int(parsed.timestamp())


PrivateKey = Annotated[str, AfterValidator(_private)]


class Authority(SecretModel):
    """A certificate authority: its certificate and its key, PEM."""

    certificate: Annotated[str, AfterValidator(_certificate), Setting("Certificate of the authority, in PEM.")]
    private_key: Annotated[PrivateKey, Setting("RSA key of the authority, in PEM.", secret=True)]

    @property
    def parsed(self) -> x509.Certificate:
        """The certificate."""
        return x509.load_pem_x509_certificate(self.certificate.encode())

    @property
    def matches(self) -> bool:
        """Whether the key is the certificate's."""
        return self.parsed.public_key() == _load(self.private_key).public_key()


class Secrets(SecretModel):
    """What one cluster's nodes need to trust each other. Whoever has it is the cluster's administrator.

    Derived values are cached, not computed for every node: OpenSSL takes 50 ms to read a key.
    """

    cluster: Annotated[DnsName, Setting("Name of the cluster that the keys belong to.", example="lab", scope="seed")]
    bootstrap_token: Annotated[
        str,
        pattern(r"[a-z0-9]{6}\.[a-z0-9]{16}", "a token has the form abcdef.0123456789abcdef"),
        Setting("Token that a node joins with.", example="abcdef.0123456789abcdef", secret=True, scope="seed"),
    ]
    bootstrap_token_expires: Annotated[
        str,
        BeforeValidator(_expiry),
        AfterValidator(_time),
        Setting("When the token expires, in UTC.", example="2027-01-31T00:00:00Z", scope="seed"),
    ]
    ca: Annotated[Authority, Setting("The certificate authority of Kubernetes.", scope="seed")]
    front_proxy_ca: Annotated[Authority, Setting("The certificate authority of the front proxy.", scope="seed")]
    etcd_ca: Annotated[Authority, Setting("The certificate authority of etcd.", scope="seed")]
    service_account_private_key: Annotated[
        PrivateKey, Setting("RSA key that signs the tokens of service accounts, in PEM.", secret=True, scope="seed")
    ]

    @cached_property
    def ca_hash(self) -> str:
        """The value for kubeadm's caCertHashes: SHA-256 of the CA's public key (RFC 7469)."""
        public = self.ca.parsed.public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return "sha256:" + sha256(public.public_bytes(serialization.Encoding.DER, form)).hexdigest()

    @cached_property
    def valid(self) -> tuple[int, int]:
        """From when and until when all three CAs are valid, in seconds since 1970."""
        every = [authority.parsed for authority in self.authorities.values()]
        return (
            max(int(c.not_valid_before_utc.timestamp()) for c in every),
            min(int(c.not_valid_after_utc.timestamp()) for c in every),
        )

    @property
    def token_end(self) -> int:
        """When the bootstrap token expires, in seconds since 1970."""
        return _seconds(self.bootstrap_token_expires)

    @property
    def authorities(self) -> dict[str, Authority]:
        """The CAs by their key in the file."""
        return {"ca": self.ca, "front_proxy_ca": self.front_proxy_ca, "etcd_ca": self.etcd_ca}

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The files that a control plane has below /etc/kubernetes/pki before kubeadm runs, by kubeadm's names."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        out = {}
        for name, authority in (("ca", self.ca), ("front-proxy-ca", self.front_proxy_ca), ("etcd/ca", self.etcd_ca)):
            out[f"{name}.crt"], out[f"{name}.key"] = authority.certificate, authority.private_key
        out["sa.key"] = self.service_account_private_key
        out["sa.pub"] = _load(self.service_account_private_key).public_key().public_bytes(_PEM, form).decode()
        return out


def make(cluster: str, now: int, token_seconds: int = TOKEN_SECONDS) -> Secrets:
    """New secrets for a cluster; ``now`` is in seconds since 1970."""
    at = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return Secrets(
        cluster=cluster,
        **new_token(now, token_seconds),
        ca=_authority("kubernetes", at),
        front_proxy_ca=_authority("front-proxy-ca", at),
        etcd_ca=_authority("etcd-ca", at),
        service_account_private_key=_pem(_new_key()),
    )


def new_token(now: int, seconds: int) -> dict[str, str]:
    """A new token and its end, by their keys in the file."""
    alphabet = string.ascii_lowercase + string.digits
    letters = "".join(secrets.choice(alphabet) for _ in range(22))
    end = datetime.datetime.fromtimestamp(now + seconds, datetime.UTC)
    return {
        "bootstrap_token": f"{letters[:6]}.{letters[6:]}",
        "bootstrap_token_expires": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, _RSA_BITS)


def _pem(key: rsa.RSAPrivateKey) -> str:
    """PKCS #1, as kubeadm writes keys."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(_PEM, form, serialization.NoEncryption()).decode()


def _load(pem: str) -> rsa.RSAPrivateKey:
    # Checked when it was read; checking again takes 50 ms.
    key = serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101
    return key


def _authority(name: str, at: datetime.datetime) -> Authority:
    """A CA like those that client-go makes for kubeadm (util/cert: NewSelfSignedCACert), valid from a day before."""
    key = _new_key()
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
        .not_valid_after(at + datetime.timedelta(days=CA_DAYS))
        .add_extension(usage, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    return Authority(certificate=certificate.public_bytes(_PEM).decode(), private_key=_pem(key))
