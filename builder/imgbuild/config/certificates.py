"""Certificates as users give them: PEM, checked before they can make a node distrust its mirrors, or the reverse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgbuild.config.openssl import Certificate, Key

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?\n-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n.*?\n-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


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


def client_certificate(text: str) -> str:
    """``text``, if it is a certificate, with or without those between it and the authority.

    Raises:
        ValueError: the fix.
    """
    if "PRIVATE KEY-----" in text:
        raise ValueError("remove the private key: it belongs in client_key")
    found = split(text)
    if not found:
        raise ValueError("write a certificate in PEM, which starts with -----BEGIN CERTIFICATE-----")
    try:
        for pem in found:
            parsed(pem)
    except ValueError as error:
        raise ValueError("copy the certificate again, whole: it is damaged") from error
    return "".join(found)


def private_key(text: str) -> str:
    """``text``, if it is a private key that programs can read without asking for a passphrase.

    Raises:
        ValueError: the fix.
    """
    found = _KEY.findall(text.replace("\r\n", "\n"))
    if not found:
        raise ValueError("write a private key in PEM, which starts with -----BEGIN PRIVATE KEY-----")
    if len(found) > 1:
        raise ValueError("give one private key alone")
    parsed_key(found[0])
    return f"{found[0]}\n"


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


def parsed_key(pem: str) -> Key:
    """One private key.

    Raises:
        ValueError: the fix.
    """
    from imgbuild.config.openssl import Key

    return Key(pem)


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
