"""Logins, signatures and private keys in a text: found by their form, and redacted wherever the text is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

NOT_SHOWN = "(not shown)"
"""What is shown instead of something private."""

# An address, also one that lacks a character after its scheme, or what some programs accept as one:
# user:password@host; an image's digest is neither. Each match begins at the start of a word, so that a text of
# megabytes is scanned once.
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z0-9+.-]+://|(?:https?|ftp|oci)(?://|:/))(?P<rest>\S+)|"
    r"(?<![^\s'\"=])[^\s:/@'\"=]+:[^\s@'\"]{1,512}+@(?!sha(?:256|512):)(?=[\w.-])"
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]*)(:[0-9]*)?[^\w:]*")
_QUERY = re.compile(r"\?(?!\(not)[^\s#'\"]+")  # once only
# Without a scheme before it: a query that signs, by its name.
_BARE_QUERY = re.compile(
    r"(?<=[\w/])\?(?:[\w.~%-]+=[^\s#'\"&]*&)*[\w.~%-]*(?:token|sig|key|secret|passw|auth|cred)[\w.~%-]*=[^\s#'\"]+",
    re.IGNORECASE,
)
_KEY = re.compile(
    # Its first line alone is not private: fixes name it.
    r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,40}-{4,5}(?=(?:\s|\\+[nrt])*[A-Za-z0-9+/])"
    r".*?(?:-END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,40}-{4,5}|\Z)|"
    # In Base64, as kubeconfig files have it: "-----BEGIN " of neither a certificate nor a public key.
    r"LS0tLS1CRUdJTi(?!BDRVJU|BQVUJM)[A-Za-z0-9+/=]*",
    re.DOTALL,
)


def has_key(text: str) -> bool:
    """Whether a text has a private key, or the start of one."""
    return ("BEGIN " in text or "LS0tLS1CRUdJTi" in text) and _KEY.search(text) is not None


def line_of_key(items: Iterable[object]) -> bool:
    """Whether one of these texts is the first or the last line of a private key: the others may be its other lines."""
    return any(isinstance(item, str) and "PRIVATE KEY" in item for item in items)


def mask(text: str) -> str:
    """A text as it may be shown: without user and password in an address, its query and a private key.

    The query of an address may sign it.
    """
    if has_key(text):
        text = _KEY.sub(NOT_SHOWN, text)
    if "@" in text or "?" in text:
        text = _BARE_QUERY.sub(f"?{NOT_SHOWN}", _ADDRESS.sub(_masked, text))
    return text


def _masked(found: re.Match[str]) -> str:
    scheme, rest = found["scheme"], found["rest"]
    if scheme is None:
        return f"{NOT_SHOWN}@"
    host = rest.partition("/")[0]
    # A password may have characters that end a host (RFC 3986); the text before the last @ is then not a host.
    if "@" in host or ("@" in rest and not _HOST.fullmatch(host)):
        rest = f"{NOT_SHOWN}@{rest.rpartition('@')[2]}"
    return f"{scheme}{_QUERY.sub(f'?{NOT_SHOWN}', rest)}"
