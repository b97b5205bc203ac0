"""The site around an image build: its proxy and its certificate authorities; nothing of them remains in the image."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imgbuild.config.certificates import split
from imgbuild.config.cluster import DEFAULT
from imgbuild.config.profile import Profile
from imgbuild.config.profile.site import has_login
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.endpoint import reach
from imgbuild.facts.no_proxy import no_proxy
from imgbuild.fetch.forward import forwarded
from imgbuild.render.site import proxy_variables

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
TRUST = "IMGBUILD_TRUST"
"""The variable with the path of the certificates, for the element imgbuild-install."""
_BLOCK = 4 << 20
_LEAST = 4
"""Characters of a password that can be searched for: shorter ones are in every file."""


@contextmanager
def surroundings(profile: Profile) -> Iterator[None]:
    """Set the environment that fetching and diskimage-builder read, for the time of a build.

    A proxy with a login is handed to them without it (fetch/forward.py).
    """
    variables = proxy_variables(profile, no_proxy(profile, DEFAULT, reach(profile, DEFAULT)))
    with ExitStack() as stack:
        logins = {url for name, url in variables.items() if not name.lower().startswith("no_") and has_login(url)}
        local = {url: stack.enter_context(forwarded(url)) for url in sorted(logins)}
        new: dict[str, str | None] = {}
        if variables:
            new |= dict.fromkeys(PROXIES, None) | {name: local.get(value, value) for name, value in variables.items()}
        certificates = [pem for text in profile.trust.certificates for pem in split(text)]
        if certificates:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgbuild-trust-")))
            new |= _trusted(folder, "".join(certificates))
        with _environment(new):
            yield


def _trusted(folder: Path, own: str) -> Mapping[str, str]:
    """Variables that make Python's ssl and the build trust ``own`` in addition to the host's store."""
    (folder / "own.pem").write_text(own)
    before = Path(os.environ.get("SSL_CERT_FILE", "/etc/pki/tls/certs/ca-bundle.crt"))  # Debian's default is a folder
    (folder / "all.pem").write_text((before.read_text() if before.is_file() else "") + own)
    return {TRUST: str(folder / "own.pem"), "SSL_CERT_FILE": str(folder / "all.pem")}


@contextmanager
def _environment(new: Mapping[str, str | None]) -> Iterator[None]:
    old = {name: os.environ.get(name) for name in new}
    _set(new)
    try:
        yield
    finally:
        _set(old)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def refuse_logins(profile: Profile, tar: Path) -> None:
    """Search a finished root file system, an uncompressed tar, for the logins of the profile's proxy.

    Raises:
        HostError: one is in it.
    """
    wanted = [word for url in (profile.proxy.http, profile.proxy.https) if url for word in _forms(url)]
    if wanted and _has(tar, wanted):
        raise HostError(
            f"the root file system {tar} has the login of the proxy in it, and would give it to every node",
            "search files: and packages for what stores it; remove the file from the cache, and build again",
        )


def _forms(url: str) -> list[bytes]:
    """The ways in which programs write a login."""
    parts = urlsplit(url)
    user, password = parts.username or "", parts.password or ""
    if len(unquote(password)) < _LEAST:
        return []
    plain = f"{unquote(user)}:{unquote(password)}".encode()
    return list(dict.fromkeys([password.encode(), unquote(password).encode(), base64.b64encode(plain)]))


def _has(file: Path, wanted: Sequence[bytes]) -> bool:
    overlap = max(map(len, wanted)) - 1
    with file.open("rb") as stream:
        tail = b""
        while block := stream.read(_BLOCK):
            here = tail + block
            if any(word in here for word in wanted):
                return True
            tail = here[-overlap:] if overlap else b""
    return False
