"""What imgbuild keeps on the disk: the store's files, root file systems in two forms, bases, what builds leave."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.hold import unlink_unused
from imgbuild.fetch.store import Store
from imgbuild.image.cache import Unfit, discard, free_lock, verified
from imgbuild.image.system import kept

Kind = Literal["file", "part", "aside", "root file system", "file system", "base", "packages"]
_LOCKS: Mapping[Kind, str] = {"base": "base.lock"}
"""The lock of a kind in the cache, if it is not the build's."""
_DIGITS = 12
_READ = "run imgbuild as its owner; or name another store (--store DIR) or cache (IMGBUILD_CACHE)"


@dataclass(frozen=True)
class Entry:
    """One thing that can be removed on its own. ``used``: seconds since 1970."""

    kind: Kind
    name: str
    path: Path
    size: int
    used: float
    kept: str = ""
    """Why it is never pruned; empty if it can be."""

    def age(self) -> float:
        """Seconds since it was used."""
        return max(0.0, time.time() - self.used)


def entries(cache: Path, store: Store) -> list[Entry]:
    """Everything, what was not used for the longest time first.

    Raises:
        HostError: a folder cannot be read.
    """
    with _reported("read", _READ):
        found = [*_of_store(store), *_of_cache(cache)]
    return sorted(found, key=lambda entry: (entry.used, str(entry.path)))


@contextmanager
def _reported(what: str, hint: str) -> Iterator[None]:
    """An error of the disk with its fix."""
    try:
        yield
    except OSError as error:
        raise HostError(f"{error.filename or 'the disk'} cannot be {what}: {error.strerror}", hint) from error


def _of_store(store: Store) -> Iterator[Entry]:
    listed, since = store.listed(), store.used_now()
    for blob in store.blobs():
        kept = "a run uses it" if blob.used >= since else ""
        kept = "index.json of the store names it" if blob.sha256 in listed else kept
        yield Entry("file", blob.name or blob.sha256[:_DIGITS], blob.path, blob.size, blob.used, kept)
    for kind, paths in (("part", store.parts()), ("aside", store.set_aside())):
        for path in paths:
            with suppress(FileNotFoundError):
                yield Entry(kind, path.name[:_DIGITS], path, _size(path), path.lstat().st_mtime)  # type: ignore[arg-type]


def _of_cache(cache: Path) -> Iterator[Entry]:
    kinds: tuple[tuple[Kind, str], ...] = (("root file system", "rootfs"), ("base", "base"))
    for kind, folder in kinds:
        for tar in _tars(cache / folder):
            with suppress(FileNotFoundError):
                found, record = tar.lstat(), tar.with_suffix(".json")
                used = record.lstat().st_mtime if record.exists() else found.st_mtime
                yield Entry(kind, _name(record) or tar.stem[:_DIGITS], tar, found.st_size, used)
    for place in kept.folders(cache):
        with suppress(FileNotFoundError):
            name = _name(place / kept.RECORD) or place.name[:_DIGITS]
            yield Entry("file system", name, place, _used(place), _newest(place))
    packages = cache / "dib"
    if packages.is_dir():
        yield Entry("packages", "of diskimage-builder", packages, _size(packages), _newest(packages))


def _tars(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("*.tar")) if folder.is_dir() else ()


def _name(record: Path) -> str:
    with suppress(OSError, ValueError, RecursionError, AttributeError):
        return str(json.loads(record.read_text()).get("name") or "")
    return ""


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names)


def _used(folder: Path) -> int:
    """Bytes that the files in a folder take on the disk: some are sparse."""
    return sum(path.lstat().st_blocks * 512 for path in folder.iterdir())


def _newest(folder: Path) -> float:
    return max((Path(at, name).lstat().st_mtime for at, _, names in os.walk(folder) for name in (*names, ".")))


def chosen(found: Sequence[Entry], older_than: float | None, most: int | None) -> list[Entry]:
    """What is to be removed: what was not used for so many seconds, and then the oldest until ``most`` bytes remain."""
    free = [entry for entry in found if not entry.kept]
    gone = [entry for entry in free if older_than is not None and entry.age() > older_than]
    if most is not None:
        left = sum(entry.size for entry in found) - sum(entry.size for entry in gone)
        for entry in free:
            if left <= most:
                break
            if entry not in gone:
                gone.append(entry)
                left -= entry.size
    return gone


def removed(entry: Entry, cache: Path, store: Store) -> bool:
    """Remove it, unless a run uses it; whether it is gone.

    Raises:
        HostError: it cannot be removed.
    """
    with _reported("removed", "run it as the owner of that file, where its file system is mounted for writing"):
        return _is_removed(entry, cache, store)


def _is_removed(entry: Entry, cache: Path, store: Store) -> bool:
    if entry.kind == "part":
        return store.remove_part(entry.path)
    if entry.kind == "aside":
        _remove(entry.path)
        return True
    if entry.kind == "file":
        return store.remove(entry.path.name)
    with free_lock(cache / _LOCKS.get(entry.kind, "lock")) as free:
        if not free:
            return False
        if entry.kind == "packages":
            _remove(entry.path)
            return True
        if entry.kind == "file system":
            return kept.removed(entry.path)
        if not unlink_unused(entry.path):
            return False
        discard(entry.path)
        return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Damage:
    """Something that had another content than it should, and what was done."""

    path: Path
    what: str


def verify(cache: Path, store: Store, steps: Steps) -> list[Damage]:
    """Read everything that has a checksum; what is wrong is moved aside (the store) or removed (the cache).

    Raises:
        FetchError: the store cannot be read.
        HostError: a folder cannot be read.
    """
    out = []
    with _reported("read", _READ):
        blobs = store.blobs()
    for blob in blobs:
        with steps.step(f"Verify {blob.name or blob.sha256[:_DIGITS]}"):
            what = store.verify(blob.sha256)
        if what:
            out.append(Damage(blob.path, what))
    for folder, lock in (("rootfs", "lock"), ("base", "base.lock")):
        for tar in _tars(cache / folder):
            with free_lock(cache / lock) as free:
                if not free:
                    steps.note(f"{tar} is not verified: a build is running")
                    continue
                with steps.step(f"Verify {tar.name}"):
                    try:
                        verified(tar, used=False)
                    except Unfit as why:
                        discard(tar)
                        out.append(Damage(tar, f"{why}; removed, the next build makes it again"))
    for place in kept.folders(cache):
        with steps.step(f"Verify the file system {place.name[:_DIGITS]}"):
            wrong = kept.damage(place)
        if wrong and kept.removed(place):
            out.append(Damage(place, f"{wrong}; removed, the next build makes it again"))
    return out
