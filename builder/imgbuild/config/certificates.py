"""Certificates of authorities as users give them: PEM, checked before they can make a node distrust its mirrors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgbuild.config.openssl import Certificate

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


def parsed(pem: str) -> Certificate:
    """One certificate.

    Raises:
        ValueError: it is damaged.
    """
    from imgbuild.config.openssl import Certificate  # most profiles have none, and OpenSSL takes 20 ms to import

    return Certificate(pem)


def _authority(pem: str) -> None:
    try:
        certificate = parsed(pem)
        trusted = certificate.authority
    except ValueError as error:
        raise ValueError("copy the certificate again, whole: it is damaged") from error
    if not trusted:
        raise ValueError(
            f"give the certificate of the authority that has issued this one: {certificate.name} is not an authority"
        )
