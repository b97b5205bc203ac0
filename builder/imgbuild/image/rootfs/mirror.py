"""Which Debian mirror to build from: the profile's, else the one that this host's own apt uses.

imgbuild has no built-in mirror: a build never connects to a host that was not configured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.fetch.address import shown
from imgbuild.fetch.ask import ask
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.logins import refused

_APT = Path("/etc/apt")


@dataclass(frozen=True)
class AptSource:
    """One suite of one archive in apt's configuration."""

    uri: str
    suite: str
    components: tuple[str, ...]


@dataclass(frozen=True)
class DebianMirrors:
    """The archives that a release is built from; those that a mirror lacks are empty."""

    release: str
    main: str
    security: str = ""
    updates: bool = False
    backports: bool = False
    components: tuple[str, ...] = ("main",)

    def suites(self) -> Mapping[str, str]:
        """Every suite with its archive."""
        out = {self.release: self.main}
        out |= {f"{self.release}-updates": self.main} if self.updates else {}
        out |= {f"{self.release}-backports": self.main} if self.backports else {}
        return out | ({f"{self.release}-security": self.security} if self.security else {})

    def sources(self) -> str:
        """The image's package sources, in the form of diskimage-builder's DIB_APT_SOURCES_CONF."""
        components = " ".join(self.components)
        lines = [f"debian:deb {self.main} {self.release} {components}"]
        if self.updates:
            lines.append(f"debian-updates:deb {self.main} {self.release}-updates {components}")
        if self.backports:
            lines.append(f"debian-backports:deb {self.main} {self.release}-backports {components}")
        if self.security:
            lines.append(f"debian-security:deb {self.security} {self.release}-security {components}")
        return "\n".join(lines)

    def environment(self) -> Mapping[str, str]:
        """What the elements read (RootfsPlan.environment)."""
        return {
            "DIB_RELEASE": self.release,
            "DIB_DISTRIBUTION_MIRROR": self.main,
            "DIB_APT_SOURCES_CONF": self.sources(),
        }


def serves(uri: str, suite: str) -> bool:
    """Whether the archive at ``uri`` has ``suite``.

    Raises:
        FetchError: it does not answer at all.
    """
    status = ask(f"{uri}/dists/{suite}/InRelease", method="HEAD").status
    if status == 200:
        return True
    if status in {403, 404, 410}:
        return False
    raise FetchError(refused(status) or f"the server answers with status {status}")


def debian_mirrors(
    release: str,
    wanted: str = "",
    *,
    security: str = "",
    apt: Path = _APT,
    asked: Callable[[str, str], bool] = serves,
) -> DebianMirrors:
    """The mirrors of a Debian release (code name).

    ``wanted`` is the profile's mirror and comes first; without it the host's apt configuration below ``apt`` is read.
    Each suite is requested (``asked``), so that a dead mirror is found now and not after a minute.

    Raises:
        HostError: no mirror is known, or none answers; it names what was tried.
    """
    own, own_security = own_archives(release, apt)
    main = _clean(wanted) or own
    if not main:
        raise HostError(
            f"no Debian mirror for {release}: neither the profile nor this host's apt ({apt}) has one",
            "set repositories.distribution in the profile, or add a Debian source to the host's apt",
        )
    guess = _clean(security) or ("" if wanted else own_security)
    candidates = [guess] if guess else [f"{main}-security"]
    try:
        if not asked(main, release):
            raise HostError(
                f"the Debian mirror {main} has no {release}", "set another mirror in repositories.distribution"
            )
        updates = asked(main, f"{release}-updates")
        backports = asked(main, f"{release}-backports")
    except FetchError as err:
        raise _dead(main, err) from err
    found = ""
    for candidate in candidates:
        try:
            found = candidate if asked(candidate, f"{release}-security") else ""
        except FetchError as err:
            raise _dead(candidate, err) from err
    return DebianMirrors(release, main, found, updates, backports)


def own_archives(release: str, apt: Path = _APT) -> tuple[str, str]:
    """The archives of a release and of its security updates that the host's own apt uses; empty if there are none."""
    sources = list(apt_sources(apt))
    return _archive(sources, release), _security(sources, release)


def apt_sources(apt: Path) -> Iterator[AptSource]:
    """The enabled binary sources of an apt configuration folder, in one-line and deb822 form.

    Read from the files, not from "apt-get indextargets": that one prints nothing if the package lists were
    removed, as in every container image.
    """
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for path in files:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".sources":
            yield from _deb822(text)
        elif path.suffix == ".list":
            yield from _one_line(text)


def _one_line(text: str) -> Iterator[AptSource]:
    for raw in text.splitlines():
        line = re.sub(r"\s\[[^\]]*\]", " ", raw.split("#", 1)[0])
        words = line.split()
        if len(words) >= 3 and words[0] == "deb":
            yield AptSource(_clean(words[1]), words[2], tuple(words[3:]))


def _deb822(text: str) -> Iterator[AptSource]:
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in {" ", "\t"} and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptSource(_clean(uri), suite, tuple(fields.get("components", "").split()))


def _clean(uri: str) -> str:
    """The address without a slash at its end; empty if it is not one that imgbuild fetches from."""
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else ""


def _archive(sources: list[AptSource], release: str) -> str:
    """The archive that has ``release``; else one that another Debian release comes from, which holds all of them."""
    exact = [s.uri for s in sources if s.uri and s.suite == release and "main" in s.components]
    same = [s.uri for s in sources if s.uri and s.uri.rsplit("/", 1)[-1] == "debian" and "main" in s.components]
    return next(iter(exact + same), "")


def _security(sources: list[AptSource], release: str) -> str:
    exact = [s.uri for s in sources if s.uri and s.suite == f"{release}-security"]
    same = [s.uri for s in sources if s.uri and s.uri.rsplit("/", 1)[-1] == "debian-security"]
    return next(iter(exact + same), "")


def _dead(mirror: str, error: FetchError) -> HostError:
    return HostError(
        f"the Debian mirror {shown(mirror)} does not answer: {error}",
        "check the network (and http_proxy), or set another mirror in repositories.distribution",
    )
