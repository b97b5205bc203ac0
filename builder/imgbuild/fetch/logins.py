"""Logins at the hosts that something is fetched from: for all requests of a time, as the environment's proxies are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class HostLogin:
    """A name and a password, a certificate with its key as files, or both."""

    name: str = ""
    password: str = field(default="", repr=False)
    certificate: Path | None = None
    key: Path | None = None

    @property
    def header(self) -> Mapping[str, str]:
        """The request header; none without a name."""
        pair = f"{self.name}:{self.password}".encode()
        return {"authorization": f"Basic {b64encode(pair).decode()}"} if self.name else {}


Logins = Mapping[str, HostLogin]
"""By the host with its port, as an address has both."""
_known: Logins = {}


@contextmanager
def logged_in(logins: Logins) -> Iterator[None]:
    """Use ``logins`` for the requests of all threads until the end of the block."""
    global _known  # downloads run in threads, which have no context of their own
    before, _known = _known, logins
    try:
        yield
    finally:
        _known = before


def login_at(url: str) -> HostLogin:
    """The login for an address; an empty one where none is known."""
    return _known.get(urlsplit(url).netloc.lower(), HostLogin())


def refused(status: int) -> str:
    """What an answer of a server that asks for a login means; nothing for others."""
    if status == 401:
        return "the server asks for a login, or refuses the one it gets: see repositories.logins"
    return ""
