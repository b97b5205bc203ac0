"""The root file system: diskimage-builder's work, done once for each hash of what went in."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from builder.errors import HostError
from builder.image.base import Base
from builder.image.command import no_space, run
from builder.image.dibrun import run_dib
from builder.image.leftovers import clear
from builder.image.packages import LIST, Package, read_list
from builder.nodefile import NodeTree, digest
from builder.steps import Steps


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


def build_rootfs(plan: RootfsPlan, cache_dir: Path, steps: Steps) -> Rootfs:
    """The root file system of ``plan``: from the cache, or built now (two to three minutes, root, a network).

    Raises HostError with the cause picked from diskimage-builder's log and the log's path. However the run
    ends, kill -9 included, no mount stays; a loop device stays at most until the next run.
    """
    plan_key = plan.key
    cache_dir = cache_dir.resolve()
    if found := cached(plan_key, cache_dir):
        steps.note(f"root file system {plan_key[:12]} is in the cache")
        return found
    if os.geteuid() != 0:
        raise HostError("a root file system can only be built as root", "run imgbuild with sudo, or with --no-image")
    try:
        (cache_dir / "rootfs").mkdir(parents=True, exist_ok=True)
        with _locked(cache_dir, steps) as lock:
            # Somebody else may have built it while we waited.
            return cached(plan_key, cache_dir) or _build(plan, plan_key, cache_dir, lock, steps)
    except OSError as err:
        if err.errno in {28, 122}:  # ENOSPC, EDQUOT
            raise no_space("build the root file system") from err
        raise


def cached(key: str, cache_dir: Path) -> Rootfs | None:
    """The cache's entry, if it is whole: its record is written last and says how long the tar is."""
    tar, record = _names(key, cache_dir)
    try:
        known = json.loads(record.read_text())
        if tar.stat().st_size != known["bytes"]:
            return None
        return Rootfs(tar, key, tuple(Package(**p) for p in known["packages"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _build(plan: RootfsPlan, key: str, cache_dir: Path, lock: int, steps: Steps) -> Rootfs:
    run_dir = cache_dir / "build"
    if clear(run_dir):
        steps.note("cleared what a killed build had left")
    with steps.step(f"Build the root file system of {plan.target} with diskimage-builder"):
        try:
            made = run_dib(plan, key, cache_dir, run_dir, lock, steps)
            packages = _packages(made)
            tar, record = _names(key, cache_dir)
            with made.open("rb") as done:
                os.fsync(done.fileno())
            size = made.stat().st_size
            made.replace(tar)
            part = record.with_suffix(".part")
            part.write_text(json.dumps({"bytes": size, "packages": [asdict(p) for p in packages]}, indent=1))
            part.replace(record)
        finally:
            clear(run_dir)
    return Rootfs(tar, key, packages)


def _packages(tar: Path) -> tuple[Package, ...]:
    """The list that the install script wrote at its end."""
    out = run(["tar", "--extract", "--to-stdout", "--file", tar, f"./{LIST}"], what="read the list of packages")
    return read_list(out.decode())


def _names(key: str, cache_dir: Path) -> tuple[Path, Path]:
    return cache_dir / "rootfs" / f"{key}.tar", cache_dir / "rootfs" / f"{key}.json"


@contextmanager
def _locked(cache_dir: Path, steps: Steps) -> Iterator[int]:
    """One build at a time in a cache folder: diskimage-builder's package cache allows no second one."""
    lock = os.open(cache_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            steps.note(f"waiting for another imgbuild that builds in {cache_dir}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def forget(key: str, cache_dir: Path) -> None:
    """Take one entry out of the cache, so that the next build makes it anew."""
    for path in reversed(_names(key, cache_dir)):
        path.unlink(missing_ok=True)
