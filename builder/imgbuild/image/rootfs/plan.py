"""What a root file system is made of. Its hash names the cache entry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from imgbuild.config.lock_packages import Packages
from imgbuild.image.rootfs.base import Base
from imgbuild.render.nodefile import NodeTree, digest


@dataclass(frozen=True)
class RootfsPlan:
    """Everything that goes into the root file system; its hash names the cache entry."""

    target: str
    elements: tuple[str, ...]
    elements_dir: Path
    install: NodeTree
    """The package part: copied into the chroot, where /usr/libexec/imgbuild/install is then run."""
    environment: Mapping[str, str]
    """What the elements read: release, mirrors. Host paths do not belong here: they would change the key."""
    base: Base | None = None
    """The base, unless only packages are installed."""
    packages: Packages | None = None
    """Exactly what is installed, if a lock has it."""
    local: Mapping[str, str] = field(default_factory=dict)
    """What the elements read in this run alone: host paths, addresses of this host. It is not part of the key."""

    @property
    def key(self) -> str:
        """The sha256 (hex) of everything that goes in: the same on every host."""
        sha = hashlib.sha256()
        for path in self.element_files():
            name = path.relative_to(self.elements_dir).as_posix()
            sha.update(f"{name}\0{path.stat().st_mode & 0o111:o}\0".encode())
            sha.update(hashlib.sha256(path.read_bytes()).digest())
        rest = {
            "target": self.target,
            "elements": self.elements,
            "environment": dict(sorted(self.environment.items())),
            "diskimage-builder": version("diskimage-builder"),
            **({"base": self.base.sha256} if self.base else {}),
            **({"packages": self.packages.digest} if self.packages else {}),
        }
        sha.update(json.dumps(rest, sort_keys=True).encode())
        return digest(self.install, sha.digest())

    def element_files(self) -> list[Path]:
        """The files of imgbuild's elements that take part, sorted; those of diskimage-builder count by version."""
        todo, seen = list(self.elements), set[str]()
        files: list[Path] = []
        while todo:
            name = todo.pop()
            folder = self.elements_dir / name
            if name in seen or not folder.is_dir():
                continue
            seen.add(name)
            files += (p for p in folder.rglob("*") if p.is_file() and p.suffix not in {".rst", ".md", ".pyc"})
            deps = folder / "element-deps"
            if deps.exists():
                todo += deps.read_text().split()
        return sorted(files)
