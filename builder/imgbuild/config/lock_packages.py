"""The packages of a lock: what the target's own package manager chose for a root file system, one line a package.

A line has what is needed to fetch a package and to install exactly that one. It is short, because there are hundreds.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from imgbuild.config.fields import Model, Sha256, Url, pattern
from imgbuild.config.setting import Setting, Words

_NAME = r"[A-Za-z0-9][A-Za-z0-9+._-]*"
_PATH = r"(?!/)(?!(.*/)?\.\.?(/|$))[!-~]+"
_FILE = rf"([0-9]{{1,11}}) ([0-9a-f]{{64}}) ({_PATH})"
_PACKAGE = rf"({_NAME}) ([0-9A-Za-z.+:~^_-]+) ([a-z0-9_]+) ({_NAME}) {_FILE}"

PackageLine = Annotated[
    str,
    pattern(_PACKAGE, "a package is: NAME VERSION ARCHITECTURE REPOSITORY SIZE SHA256 PATH"),
    Words("package"),
]
FileLine = Annotated[str, pattern(_FILE, "a file is: SIZE SHA256 PATH"), Words("file")]


@dataclass(frozen=True)
class LockedFile:
    """A file of a repository. ``path``: below the repository's address; ``size`` in bytes."""

    size: int
    sha256: str
    path: str

    @classmethod
    def of(cls, line: str) -> LockedFile:
        """From its line, which is valid."""
        size, sha256, path = line.split(" ")
        return cls(int(size), sha256, path)

    def line(self) -> str:
        """As it is in the lock."""
        return f"{self.size} {self.sha256} {self.path}"


@dataclass(frozen=True)
class LockedPackage(LockedFile):
    """One package. ``version`` is the package manager's own: with epoch and release."""

    name: str
    version: str
    arch: str
    repository: str

    @classmethod
    def of(cls, line: str) -> LockedPackage:
        """From its line, which is valid."""
        name, version, arch, repository, size, sha256, path = line.split(" ")
        return cls(int(size), sha256, path, name, version, arch, repository)

    def line(self) -> str:
        """As it is in the lock."""
        return f"{self.name} {self.version} {self.arch} {self.repository} {super().line()}"


class RepositoryPin(Model):
    """A repository that packages come from."""

    urls: Annotated[
        list[Url],
        Field(min_length=1),
        Setting(
            "Its addresses, in the order in which they are tried: the one that was read, and its mirrors.",
            example=["https://mirror.example.com/debian"],
        ),
    ]
    suite: Annotated[
        str | None, Setting("Of a Debian archive: the suite. A flat repository has none.", example="bookworm")
    ] = None
    obtained: Annotated[
        Literal["index", "package"],
        Setting(
            "What vouches for the checksums of its packages: `index`, the repository's signed index has them; "
            "`package`, each package is signed itself, and has the checksum of the repository's metadata.",
            example="index",
        ),
    ]
    modules: Annotated[
        FileLine | None,
        Setting(
            "Of a repository with modules: their metadata, without which dnf installs none of its packages. Size in "
            "bytes, sha256, path below the address."
        ),
    ] = None


class Packages(Model):
    """The packages of a root file system."""

    target: Annotated[str, Setting("The target that they are for.", example="debian12")]
    base: Annotated[
        Sha256 | None,
        Setting("The checksum of the base that they are installed on; left out if everything is a package."),
    ] = None
    requested: Annotated[
        list[str],
        Setting(
            "What the profile asked for when they were chosen. If it asks for something else since, the build stops.",
            example=["chrony", "linux-image-amd64/bookworm-backports"],
        ),
    ]
    repositories: Annotated[dict[str, RepositoryPin], Setting("The repositories, by the names in the lines below.")]
    installed: Annotated[
        list[PackageLine],
        Field(min_length=1),
        Setting(
            "The packages, one per line: name, version (with epoch and release), architecture, repository, size in "
            "bytes, sha256, path below the repository's address."
        ),
    ]

    temporary: Annotated[
        list[PackageLine],
        Setting("Packages that a build installs and removes again: it needs them to make a live root, for example."),
    ] = []

    @cached_property
    def packages(self) -> tuple[LockedPackage, ...]:
        """What is installed in the end."""
        return tuple(map(LockedPackage.of, self.installed))

    @cached_property
    def every(self) -> tuple[LockedPackage, ...]:
        """What a build needs."""
        return (*self.packages, *map(LockedPackage.of, self.temporary))

    @cached_property
    def modules(self) -> dict[str, LockedFile]:
        """The metadata of modules, by repository."""
        return {
            name: LockedFile.of(repository.modules)
            for name, repository in self.repositories.items()
            if repository.modules is not None
        }

    @property
    def digest(self) -> str:
        """The sha256 (hex) of everything that decides what is installed; addresses do not."""
        lines = [self.target, self.base or "", *sorted(self.installed), *sorted(self.temporary)]
        lines += sorted(f"{name} {repository.modules}" for name, repository in self.repositories.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Each package is there once, from a repository that is there and whose name can be that of a folder."""
        for name in self.repositories:
            if not re.fullmatch(_NAME, name):
                raise ValueError(f"{name!r} cannot be the name of a repository")
        seen = set[tuple[str, str, str]]()
        for package in self.every:
            if package.repository not in self.repositories:
                raise ValueError(f"{package.name} comes from {package.repository}, which is not in repositories")
            same = (package.name, package.version, package.arch)
            if same in seen:
                raise ValueError(f"{package.name} {package.version} is there twice")
            seen.add(same)
        return self
