"""The site around an image build: its proxy, its certificate authorities, logins at its mirrors.

Nothing of them remains in the image.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from imgbuild.config.certificates import split
from imgbuild.config.cluster import DEFAULT
from imgbuild.config.profile import Profile
from imgbuild.config.profile.site import has_login
from imgbuild.config.target import load_target
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.endpoint import reach
from imgbuild.facts.no_proxy import no_proxy
from imgbuild.facts.repository_logins import host_of, repository_logins
from imgbuild.fetch.forward import forwarded
from imgbuild.fetch.logins import HostLogin, Logins, logged_in
from imgbuild.fetch.relay import relayed
from imgbuild.render.nodefile import NodeFile
from imgbuild.render.paths import LIBEXEC
from imgbuild.render.repository_logins import login_file, login_tree, quoted, update
from imgbuild.render.site import proxy_variables

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
TRUST = "IMGBUILD_TRUST"
"""The variable with the path of the certificates, for the element imgbuild-install."""
LOGINS = "IMGBUILD_LOGINS"
"""The variable with the folder of files with logins, for the elements."""
FIRST_SOURCES = "IMGBUILD_FIRST_SOURCES"
"""The variable with apt's sources for mmdebstrap, where they are not the image's own."""
_BUILD = f"/{LIBEXEC}/build-logins"
_BLOCK = 4 << 20
_PEM_LINE = 64
"""Characters of a whole line of base64 in PEM (RFC 7468)."""
_LEAST = 4
"""Characters of a password that can be searched for: shorter ones are in every file."""


@dataclass(frozen=True)
class Site:
    """What a build is told besides its environment. It is valid as long as the ``with`` of `surroundings`."""

    hosts: frozenset[str] = frozenset()
    """Those that ask for a login."""
    folder: Path | None = None
    """The files with the logins, laid out as on the node."""
    own_authority: bool = False
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)

    def local(self, sources: str = "") -> Mapping[str, str]:
        """The variables for diskimage-builder's elements. ``sources``: as in DIB_APT_SOURCES_CONF.

        mmdebstrap runs on this host, which knows neither the logins nor the site's authorities: it asks a server on
        the loopback interface where the archive needs one.
        """
        out = {LOGINS: str(self.folder)} if self.folder is not None else {}
        there = first_sources(sources, self._reachable)
        if there != first_sources(sources):
            out[FIRST_SOURCES] = there
            out["no_proxy"] = ",".join(filter(None, (os.environ.get("no_proxy"), "127.0.0.1")))
        return out

    def _reachable(self, archive: str) -> str:
        """Where a program of this host finds it."""
        if host_of(archive) in self.hosts or (self.own_authority and archive.startswith("https:")):
            return self._stack.enter_context(relayed(archive))
        return archive


NOWHERE = Site()
"""A site that asks for nothing."""


def first_sources(sources: str, at: Callable[[str], str] = str) -> str:
    """apt's sources for mmdebstrap, from the image's (DIB_APT_SOURCES_CONF). ``at``: where an archive is reached.

    Without backports: their packages are for those who ask for them.
    """
    lines = [line.partition(":")[2].split() for line in sources.splitlines()]
    reached = {url: at(url) for _, url, *_ in lines}
    return "\n".join(
        " ".join((kind, reached[url], suite, *components))
        for kind, url, suite, *components in lines
        if not suite.endswith("-backports")
    )


@contextmanager
def surroundings(profile: Profile) -> Iterator[Site]:
    """Set the environment that fetching and diskimage-builder read, for the time of a build.

    A proxy with a login is handed to them without it (fetch/forward.py), and so is a mirror to mmdebstrap
    (fetch/relay.py).
    """
    variables = proxy_variables(profile, no_proxy(profile, DEFAULT, reach(profile, DEFAULT)))
    with ExitStack() as stack:
        proxies = {url for name, url in variables.items() if not name.lower().startswith("no_") and has_login(url)}
        local = {url: stack.enter_context(forwarded(url)) for url in sorted(proxies)}
        new: dict[str, str | None] = {}
        if variables:
            new |= dict.fromkeys(PROXIES, None) | {name: local.get(value, value) for name, value in variables.items()}
        certificates = [pem for text in profile.trust.certificates for pem in split(text)]
        if certificates:
            new |= _trusted(_room(stack, "trust"), "".join(certificates))
        found = repository_logins(profile)
        folder = _room(stack, "logins") if found else None
        if folder is not None:
            for file in _login_files(profile):
                place = folder / file.path[1:]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch(mode=file.mode)
                place.write_bytes(file.content)
            stack.enter_context(logged_in(_logins(profile, folder)))
        stack.enter_context(_environment(new))
        yield Site(frozenset(found), folder, bool(certificates), stack)


def _room(stack: ExitStack, name: str) -> Path:
    """A folder of root's alone, which is removed at the end."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"imgbuild-{name}-")))


def _login_files(profile: Profile) -> Iterator[NodeFile]:
    """Those of a node, with what the elements use and remove them by."""
    target = load_target(profile.target)
    files = login_tree(profile, target)
    yield from files
    yield NodeFile(f"{_BUILD}/update", update(target).encode())
    yield NodeFile(f"{_BUILD}/files", "".join(f"{file.path}\n" for file in files).encode())


def _logins(profile: Profile, folder: Path) -> Logins:
    """The same for what the host itself fetches."""
    found = {}
    for host, login in repository_logins(profile).items():
        crt, key = (folder / login_file(host, kind)[1:] for kind in ("crt", "key"))
        certificate = crt if login.client_certificate is not None else None
        found[host] = HostLogin(login.username or "", login.password or "", certificate, certificate and key)
    return found


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
    """Search a finished root file system, an uncompressed tar, for the logins of the profile's proxy and mirrors.

    Raises:
        HostError: one is in it.
    """
    wanted = {
        f"the login of the proxy ({key})": _forms(parts.username or "", parts.password or "")
        for key in ("http", "https")
        if (parts := urlsplit(getattr(profile.proxy, key) or ""))
    }
    for host, login in repository_logins(profile).items():
        password = login.password or ""
        words = _forms(login.username or "", quote(password, safe=""))
        if words:
            words.append(quoted(password).encode())
        wanted[f"the login at {host}"] = [*words, *_key_lines(login.client_key or "")]
    words = [word for found in wanted.values() for word in found]
    found = _found(tar, words) if words else None
    if found is not None:
        whose = next(name for name, mine in wanted.items() if found in mine)
        raise HostError(
            f"the root file system {tar} has {whose} in it, and would give it to every node",
            "search files: and packages for what stores it; remove the file from the cache, and build again",
        )


def _forms(user: str, password: str) -> list[bytes]:
    """The ways in which programs write a login; both words as in a URL."""
    if len(unquote(password)) < _LEAST:
        return []
    plain = f"{unquote(user)}:{unquote(password)}".encode()
    return list(dict.fromkeys([password.encode(), unquote(password).encode(), base64.b64encode(plain)]))


def _key_lines(pem: str) -> list[bytes]:
    """The whole lines of a private key but the first, whose beginning all keys of a kind have alike."""
    body = pem.splitlines()[1:-1]
    return [line.encode() for line in body[1:] or body if len(line) == _PEM_LINE]


def _found(file: Path, wanted: Sequence[bytes]) -> bytes | None:
    """The first of the words that is in a file."""
    overlap = max(map(len, wanted)) - 1
    with file.open("rb") as stream:
        tail = b""
        while block := stream.read(_BLOCK):
            here = tail + block
            for word in wanted:
                if word in here:
                    return word
            tail = here[-overlap:] if overlap else b""
    return None
