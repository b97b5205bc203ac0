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
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator

from imgbuild.config.fields import DnsName, SecretModel, pattern
from imgbuild.config.setting import Setting

if TYPE_CHECKING:
    from imgbuild.config.openssl import Certificate, Kind

TOKEN_SECONDS = 14 * 86400
"""Whoever has a token can join, under any node's name: it is valid only as long as it takes to install machines."""


def _certificate(text: str) -> str:
    from imgbuild.config.openssl import Certificate

    try:
        Certificate(text)
    except ValueError as error:
        raise ValueError("restore the file from its backup: it has a certificate in PEM there") from error
    return text


def _private(text: str) -> str:
    from imgbuild.config.openssl import check_key

    try:
        check_key(text)
    except ValueError as error:
        raise ValueError("restore the file from its backup: it has an RSA or ECDSA key in PEM there") from error
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
        raise ValueError("write a time in UTC: 2027-01-31T00:00:00Z") from error
    return value


def _seconds(value: str) -> int:
    parsed = datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
    return int(parsed.timestamp())


PrivateKey = Annotated[str, AfterValidator(_private)]


class Authority(SecretModel):
    """A certificate authority: its certificate and its key, PEM."""

    certificate: Annotated[str, AfterValidator(_certificate), Setting("Certificate of the authority, in PEM.")]
    private_key: Annotated[PrivateKey, Setting("Key of the authority, ECDSA or RSA, in PEM.", secret=True)]

    @property
    def parsed(self) -> Certificate:
        """The certificate."""
        from imgbuild.config.openssl import Certificate

        return Certificate(self.certificate)

    @property
    def matches(self) -> bool:
        """Whether the key is the certificate's."""
        from imgbuild.config.openssl import public_key

        return self.parsed.public_key == public_key(self.private_key, der=True)


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
        PrivateKey,
        Setting("Key that signs the tokens of service accounts, ECDSA or RSA, in PEM.", secret=True, scope="seed"),
    ]

    @cached_property
    def ca_hash(self) -> str:
        """The value for kubeadm's caCertHashes: SHA-256 of the CA's public key (RFC 7469)."""
        return "sha256:" + sha256(self.ca.parsed.public_key).hexdigest()

    @cached_property
    def valid(self) -> tuple[int, int]:
        """From when and until when all three CAs are valid, in seconds since 1970."""
        every = [authority.parsed for authority in self.authorities.values()]
        return (
            max(int(certificate.start.timestamp()) for certificate in every),
            min(int(certificate.end.timestamp()) for certificate in every),
        )

    @cached_property
    def token_end(self) -> int:
        """When the bootstrap token expires, in seconds since 1970."""
        return _seconds(self.bootstrap_token_expires)

    @property
    def service_account_is_rsa(self) -> bool:
        """Whether the key that signs service accounts' tokens is RSA; else it is ECDSA."""
        from imgbuild.config.openssl import is_rsa

        return is_rsa(self.service_account_private_key)

    @property
    def authorities(self) -> dict[str, Authority]:
        """The CAs by their key in the file."""
        return {"ca": self.ca, "front_proxy_ca": self.front_proxy_ca, "etcd_ca": self.etcd_ca}

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The files that a control plane has below /etc/kubernetes/pki before kubeadm runs, by kubeadm's names."""
        from imgbuild.config.openssl import public_key

        out = {}
        for name, authority in (("ca", self.ca), ("front-proxy-ca", self.front_proxy_ca), ("etcd/ca", self.etcd_ca)):
            out[f"{name}.crt"], out[f"{name}.key"] = authority.certificate, authority.private_key
        out["sa.key"] = self.service_account_private_key
        out["sa.pub"] = public_key(self.service_account_private_key).decode()
        return out


def make(cluster: str, now: int, token_seconds: int = TOKEN_SECONDS, kind: Kind = "ecdsa") -> Secrets:
    """New secrets for a cluster; ``now`` is in seconds since 1970.

    An ECDSA key is a tenth of an RSA key, and four of them are in the user-data of a control plane. kubeadm signs with
    whatever the authority has (cmd/kubeadm/app/util/pkiutil: NewSignedCert leaves the algorithm to crypto/x509), the
    API server signs tokens with ES256 (pkg/serviceaccount/jwt.go), and the keys of certificates stay RSA unless
    kubeadm's ``encryptionAlgorithm`` is another. ``kind``: see `facts.derive.key_kind`.
    """
    from imgbuild.config.openssl import new_authority, new_key

    def authority(name: str) -> Authority:
        certificate, key = new_authority(name, at, kind)
        return Authority(certificate=certificate, private_key=key)

    at = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return Secrets(
        cluster=cluster,
        **new_token(now, token_seconds),
        ca=authority("kubernetes"),
        front_proxy_ca=authority("front-proxy-ca"),
        etcd_ca=authority("etcd-ca"),
        service_account_private_key=new_key(kind),
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
