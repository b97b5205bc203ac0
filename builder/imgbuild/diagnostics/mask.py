"""Logins and signatures in a text: found by their form, and left out wherever the text is shown."""

from __future__ import annotations

import re

NOT_SHOWN = "(not shown)"
"""What is shown in place of something private."""

# An address, or what some programs take for one: user:password@host; an image's digest is neither. Each begins where a
# word does, so that a text of megabytes is gone through once.
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z0-9+.-]+://)(?P<rest>\S+)|"
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
    # A password may hold what ends a host (RFC 3986); what is before the last @ then is no host.
    if "@" in host or ("@" in rest and not _HOST.fullmatch(host)):
        rest = f"{NOT_SHOWN}@{rest.rpartition('@')[2]}"
    return f"{scheme}{_QUERY.sub(f'?{NOT_SHOWN}', rest)}"
