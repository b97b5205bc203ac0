"""The root file system: diskimage-builder's work, done once for each hash of what went in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.checksum import sha256_of
from imgbuild.image.cache import Unfit, discard, locked, open_cache, store, subfolder, take, verified
from imgbuild.image.rootfs.base import Base
from imgbuild.image.rootfs.dibcache import discard_packages
from imgbuild.image.rootfs.dibrun import run_dib
from imgbuild.image.rootfs.leftovers import clear
from imgbuild.image.rootfs.packages import LIST, Package, read_list
from imgbuild.image.tool import no_space, run
from imgbuild.render.nodefile import NodeTree, digest


@dataclass(frozen=True)
class RootfsPlan:
    """All that goes into the root file system; its hash names the cache entry."""

    target: str
    elements: tuple[str, ...]
    elements_dir: Path
    install: NodeTree
    """The package part: laid into the chroot, where /usr/libexec/imgbuild/install is then run."""
    environment: Mapping[str, str]
    """What the elements read: release, mirrors. Host paths don't belong here: they would change the key."""
    base: Base | None = None
    """What is built on, where that is not packages alone."""

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
        }
        sha.update(json.dumps(rest, sort_keys=True).encode())
        return digest(self.install, sha.digest())

    def element_files(self) -> list[Path]:
        """The files of our elements that take part, sorted; an element of diskimage-builder's own counts by version."""
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


@dataclass(frozen=True)
class Rootfs:
    """A finished root file system in the cache."""

    tar: Path
    key: str
    packages: tuple[Package, ...] = ()


def build_rootfs(plan: RootfsPlan, cache_dir: Path, steps: Steps, *, fresh: bool = False) -> Rootfs:
    """The root file system of ``plan``: from the cache, or built now (two to three minutes, root, a network).

    ``fresh``: built now, and nothing that an earlier build has kept goes into it but the base.

    Raises HostError with the cause picked from diskimage-builder's log and the log's path. However the run
    ends, kill -9 included, no mount stays; a loop device stays at most until the next run.
    """
    plan_key = plan.key
    place = open_cache(cache_dir)
    if not fresh and (found := cached(plan_key, place)):
        steps.note(f"root file system {plan_key[:12]} is in the cache")
        return found
    if os.geteuid() != 0:
        raise HostError("a root file system can only be built as root", "run imgbuild with sudo, or with --no-image")
    tar = _tar(plan_key, place)
    try:
        subfolder(place, "rootfs")
        with locked(place / "lock", f"waiting for another imgbuild that builds in {place}", steps) as lock:
            if fresh:
                discard(tar)
                discard_packages(place)
            # Somebody else may have built it while we waited.
            elif (kept := take(tar, "the root file system", steps)) and (found := _read(plan_key, tar, kept)):
                return found
            return _build(plan, plan_key, place, lock, steps)
    except OSError as err:
        if err.errno in {28, 122}:  # ENOSPC, EDQUOT
            raise no_space("build the root file system") from err
        raise


def cached(key: str, cache_dir: Path) -> Rootfs | None:
    """The cache's entry, if its content is what its record promises."""
    tar = _tar(key, cache_dir)
    try:
        kept = verified(tar)
    except Unfit:
        return None
    return _read(key, tar, kept) if kept else None


def _read(key: str, tar: Path, kept: Mapping[str, Any]) -> Rootfs | None:
    try:
        return Rootfs(tar, key, tuple(Package(**p) for p in kept["packages"]))
    except (ValueError, TypeError, KeyError):
        return None


def _build(plan: RootfsPlan, key: str, cache_dir: Path, lock: int, steps: Steps) -> Rootfs:
    run_dir = cache_dir / "build"
    if clear(run_dir):
        steps.note("cleared what a killed build had left")
    tar = _tar(key, cache_dir)
    with steps.step(f"Build the root file system of {plan.target} with diskimage-builder"):
        try:
            made = run_dib(plan, key, cache_dir, run_dir, lock, steps)
            packages = _packages(made)
            store(made, tar, sha256_of(made), {"packages": [asdict(p) for p in packages]})
        finally:
            clear(run_dir)
    return Rootfs(tar, key, packages)


def _packages(tar: Path) -> tuple[Package, ...]:
    """The list that the install script wrote at its end."""
    out = run(["tar", "--extract", "--to-stdout", "--file", tar, f"./{LIST}"], what="read the list of packages")
    return read_list(out.decode())


def _tar(key: str, cache_dir: Path) -> Path:
    return cache_dir / "rootfs" / f"{key}.tar"
