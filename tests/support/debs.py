"""Small Debian packages, made by dpkg-deb, and what a lock has of them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from imgbuild.config.lock_packages import LockedPackage


def deb(folder: Path, name: str, version: str = "1.0", *, depends: Sequence[str] = (), arch: str = "all") -> Path:
    """A package without files."""
    room = folder / f"{name}.build"
    (room / "DEBIAN").mkdir(parents=True)
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\nMaintainer: imgbuild's tests <t@example.com>\n"
    )
    control += f"Depends: {', '.join(depends)}\n" if depends else ""
    (room / "DEBIAN/control").write_text(f"{control}Description: a package of imgbuild's tests\n")
    made = folder / f"{name}_{version.replace(':', '%3a')}_{arch}.deb"
    argv: list[str | Path] = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", room, made]
    subprocess.run(argv, check=True, capture_output=True)
    return made


def locked(file: Path, repository: str, *, base: Path | None = None) -> LockedPackage:
    """The pin of a package file, whose name is NAME_VERSION_ARCH.deb, below ``base``."""
    content = file.read_bytes()
    name, version, arch = file.stem.split("_")
    path = file.name if base is None else file.relative_to(base).as_posix()
    sha256 = hashlib.sha256(content).hexdigest()
    return LockedPackage(len(content), sha256, path, name, version.replace("%3a", ":"), arch, repository)
