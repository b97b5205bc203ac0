"""Certificates of authorities as users give them: PEM, checked before they can make a node distrust its mirrors."""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.hazmat.primitives import serialization

DER = serialization.Encoding.DER
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?\n-----END CERTIFICATE-----", re.DOTALL)


def authorities(text: str) -> str:
    """``text``, if it has certificates of authorities and nothing secret.

    Raises:
        ValueError: the fix.
    """
    if "PRIVATE KEY-----" in text:
        raise ValueError("remove the private key: nodes need the certificate of the authority alone")
    if "CERTIFICATE REQUEST-----" in text:
        raise ValueError("give the certificate, not the request for it")
    found = split(text)
    if not found:
        raise ValueError(
            "write a certificate in PEM, which starts with -----BEGIN CERTIFICATE-----; "
            "`openssl x509 -inform der -in CA.der` makes one from DER"
        )
    if text.count("-----BEGIN ") != len(found):
        raise ValueError("give certificates alone, each whole, from -----BEGIN to -----END CERTIFICATE-----")
    for pem in found:
        _authority(pem)
    return text


def split(text: str) -> list[str]:
    """The certificates of a text, each as PEM of its own; comments between them are left out."""
    return [f"{block}\n" for block in _BLOCK.findall(text.replace("\r\n", "\n"))]


def parsed(pem: str) -> x509.Certificate:
    """One certificate.

    Raises:
        ValueError: it is damaged.
    """
    return x509.load_pem_x509_certificate(pem.encode())


def name(certificate: x509.Certificate) -> str:
    """Whose it is, as messages name it."""
    return certificate.subject.rfc4514_string() or "a certificate without a name"


def _authority(pem: str) -> None:
    try:
        certificate = parsed(pem)
        extension = _constraints(certificate)
    except ValueError as error:
        raise ValueError("copy the certificate again, whole: it is damaged") from error
    own = certificate.issuer == certificate.subject
    # A certificate that signs itself is trusted as it is, also without the extension (version 1).
    if not own and (extension is None or not extension.ca):
        raise ValueError(
            f"give the certificate of the authority that has issued this one: {name(certificate)} is not an authority"
        )


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None
