"""Logins and signatures in a text: found by their form, and redacted wherever the text is shown."""

from __future__ import annotations

import re

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


def mask(text: str) -> str:
    """A text as it may be shown: without user and password in an address, and without its query, which may sign it."""
    return _ADDRESS.sub(_masked, text) if "@" in text or "?" in text else text


def _masked(found: re.Match[str]) -> str:
    scheme, rest = found["scheme"], found["rest"]
    if scheme is None:
        return f"{NOT_SHOWN}@"
    host = rest.partition("/")[0]
    # A password may have characters that end a host (RFC 3986); the text before the last @ is then not a host.
    if "@" in host or ("@" in rest and not _HOST.fullmatch(host)):
        rest = f"{NOT_SHOWN}@{rest.rpartition('@')[2]}"
    return f"{scheme}{_QUERY.sub(f'?{NOT_SHOWN}', rest)}"
