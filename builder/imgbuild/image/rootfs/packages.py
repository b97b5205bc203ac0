"""The packages of a root file system, as the install script lists them (install.d/any/80-list)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from imgbuild.diagnostics.errors import HostError

LIST = "usr/share/imgbuild/packages.tsv"
_ORIGINS = ("base", "profile", "dependency")


@dataclass(frozen=True)
class Package:
    """One installed package, as the root file system's own package manager names it.

    ``repository``: "unknown" where none offers it. ``origin``: "base", "profile" (requested by name) or "dependency".
    ``license``: as an RPM's header has it; empty in Debian, whose database has none.
    """

    name: str
    version: str
    arch: str
    repository: str
    origin: str
    license: str = ""

    def __post_init__(self) -> None:
        parts = (self.name, self.version, self.arch, self.repository)
        if self.origin not in _ORIGINS or not all(part and part.strip() == part for part in parts):
            raise ValueError(f"not a package: {self}")


def read_list(text: str) -> tuple[Package, ...]:
    """The list in the root file system.

    Raises:
        HostError: it is not in the form that the install script writes.
    """
    lines = text.splitlines()
    packages = []
    for number, line in enumerate(lines, 1):
        try:
            packages.append(Package(*line.split("\t")))
        except (TypeError, ValueError):
            raise _broken(f"line {number} is {line!r}") from None
    if not packages:
        raise _broken("it is empty")
    if len({(p.name, p.version, p.arch) for p in packages}) != len(packages):
        raise _broken("it has a duplicate package")
    return tuple(packages)


def _broken(why: str) -> HostError:
    return HostError(
        f"the root file system's list of packages ({LIST}) cannot be used: {why}",
        "report this: it is a bug in imgbuild or in the base",
    )


def described(packages: Iterable[Package]) -> dict[str, Any]:
    """For the manifest, by name; packages that share one are distinguished by version and architecture."""
    found = list(packages)
    count = Counter(package.name for package in found)
    out = {
        package.name if count[package.name] == 1 else f"{package.name}-{package.version}.{package.arch}": {
            "version": package.version,
            "repository": package.repository,
            "origin": package.origin,
        }
        for package in found
    }
    return dict(sorted(out.items()))
