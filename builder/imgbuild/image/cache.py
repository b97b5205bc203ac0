"""The cache of the image build: each entry has a record with its sha256, which is verified at every use.

An entry that fails is reported, removed and rebuilt. So a disk that returns other bytes, a truncated copy
and a replaced file cost minutes, and never get into an image.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from imgbuild.bundle.read import open_bundle
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.diagnostics.findings import few
from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.checksum import sha256_of, sync
from imgbuild.fetch.oci import SCHEMES, repository
from imgbuild.fetch.store import Store
from imgbuild.outputs.caller import caller
from imgbuild.outputs.tree import own_users

_BUNDLE = ".bundle"
_TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
_CLEARED = frozenset({"build", "dib"})
_NAMES = _CLEARED | {"base", "lock", "logs", "mirrors", "rootfs", "store", "systems", "times", "work"}


class Unfit(Exception):  # noqa: N818 - not an error: the entry is rebuilt
    """An entry that must not be used; the text is the reason."""


def default_cache() -> Path:
    """IMGBUILD_CACHE, else imgbuild/ in the user's cache folder (XDG base directory specification).

    Under sudo in root's home, whatever HOME is: otherwise root would leave folders that the calling user cannot delete.
    """
    own = os.environ.get("IMGBUILD_CACHE")
    if own:
        return Path(own)
    if caller() is not None:
        return Path(pwd.getpwuid(0).pw_dir) / ".cache/imgbuild"
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgbuild"
    except RuntimeError:  # no HOME, and no such user in /etc/passwd
        return Path.cwd() / ".cache/imgbuild"


def is_there(folder: Path) -> bool:
    """Whether there is a cache folder.

    Raises:
        HostError: another user's folder does not let this be known.
    """
    try:
        return folder.exists()
    except OSError as error:
        raise _unusable(folder, error) from error


def open_cache(folder: Path) -> Path:
    """The cache folder, created if it does not exist, with links resolved.

    Raises:
        HostError: another user owns it or can write to it: whoever can change an entry can also change its record.
            Or it has other files: a build removes everything in some folders of the cache.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = folder.resolve(strict=True)
        _own(place, place.stat())
        _mark(place)
    except OSError as error:
        raise _unusable(folder, error) from error
    return place


def _unusable(folder: Path, error: OSError) -> HostError:
    why = f"the cache folder {folder} cannot be used: {error.strerror}"
    return HostError(why, "set IMGBUILD_CACHE to a folder that you own")


def open_store(cache_dir: Path, place: str | None = None, *, offline: bool = False) -> Store:
    """The store of fetched files: ``place``, else IMGBUILD_STORE, else store/ in the cache folder.

    A place in a registry (oci://) is the shared store of the one in the cache folder, and what a bundle has gets there
    when it is used.

    Raises:
        UsageError: it is not a valid address, or one of a registry without a network; or the bundle does not exist.
        HostError: it is a file, and not a whole bundle.
    """
    where = place or os.environ.get("IMGBUILD_STORE")
    if where:
        _refuse_typo(where)
    if where is not None and Path(where).is_file():
        return Store(open_cache(cache_dir) / "store", own_users(), offline=offline, carried=open_bundle(Path(where)))
    if where is not None and where.startswith(SCHEMES):
        shared = repository(where)
        if offline:
            raise UsageError(
                f"the store {where} needs a network, which --offline does not use",
                "fetch into a folder with a network, and name that: --store DIR",
            )
        return Store(open_cache(cache_dir) / "store", own_users(), shared=shared)
    return Store(Path(where) if where else open_cache(cache_dir) / "store", own_users(), offline=offline)


def _refuse_typo(where: str) -> None:
    """Refuse what would become a folder of that name, and is meant as something else.

    Raises:
        UsageError: it is the address of something else than a registry, or the name of a bundle that is not there.
    """
    scheme, found, rest = where.partition("://")
    if found and re.fullmatch("[A-Za-z][A-Za-z0-9+.-]*", scheme) and not where.startswith(SCHEMES):
        if scheme.lower() == "file":
            hint = f"write the path alone: {rest}"
        else:
            hint = f"a store in a registry is oci://{rest}, or oci+http://{rest} for a registry without TLS"
        raise UsageError(f"the store {where} is neither a folder nor oci://HOST/PATH", hint)
    if where.endswith(_BUNDLE) and not Path(where).exists():
        raise UsageError(
            f"there is no bundle {where}", f"correct its path; a folder for a store needs a name without {_BUNDLE}"
        )


def _mark(place: Path) -> None:
    """Write the tag of a cache (the Cache Directory Tagging Specification) if it is missing; refuse other folders."""
    tag = place / _TAG
    if tag.is_file() and not tag.is_symlink():
        return
    there = {path.name for path in place.iterdir()} - {"lost+found"}
    foreign = there - _NAMES or there & _CLEARED
    if foreign and "rootfs" not in there:  # a cache from before the tag existed has that
        raise HostError(
            f"imgbuild did not make the cache folder {place}: it has {few(sorted(foreign), 3)}",
            "set IMGBUILD_CACHE to an empty or a new folder: imgbuild removes what is in it",
        )
    with suppress(OSError), tag.open("x") as out:
        out.write(f"{_SIGNATURE}\n# imgbuild's cache. Everything in this folder may be deleted at any time.\n")


def subfolder(cache_dir: Path, name: str) -> Path:
    """A folder of the cache, created if it does not exist.

    Raises:
        HostError: it is a link, or another user owns it or can write to it.
    """
    folder = cache_dir / name
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise HostError(f"{folder} in the cache is not a folder", f"delete it: rm {folder}")
    _own(folder, found)
    return folder


def _own(folder: Path, found: os.stat_result) -> None:
    if found.st_uid not in {0, *own_users()}:
        raise HostError(
            f"the cache folder {folder} belongs to another user (uid {found.st_uid})",
            "set IMGBUILD_CACHE to your own folder: files that another user can change must not get into an image",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise HostError(
            f"other users can write to the cache folder {folder} (mode {stat.S_IMODE(found.st_mode):04o})",
            f"delete its content, then run: chmod go-w {folder}",
        )


@contextmanager
def locked(file: Path, waiting: str, steps: Steps) -> Iterator[int]:
    """Hold the lock ``file`` (returns a descriptor); ``waiting`` is noted if another process has it."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            steps.note(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


@contextmanager
def free_lock(file: Path) -> Iterator[bool]:
    """Hold the lock ``file`` if no other process has it; whether it is held."""
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:  # there is no cache
        yield True
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(lock)


def store(made: Path, entry: Path, sha256: str, facts: Mapping[str, Any] | None = None) -> None:
    """Move ``made`` (its sha256 is known) to ``entry`` and write its record, both synced when this returns.

    The record comes last: an entry without one was interrupted by a power failure or a kill.
    """
    sync(made)
    record = _record(entry)
    record.unlink(missing_ok=True)
    made.replace(entry)
    sync(entry.parent)
    about = {"entry": entry.name, "bytes": entry.stat().st_size, "sha256": sha256, **(facts or {})}
    write_record(record, about)


def write_record(record: Path, about: Mapping[str, Any]) -> None:
    """Write a JSON file that appears complete or not at all, also if several processes write it at once."""
    number, name = tempfile.mkstemp(prefix=f"{record.name}.", suffix=".part", dir=record.parent)
    part = Path(name)
    try:
        with open(number, "w") as text:  # noqa: PTH123 - a descriptor
            text.write(json.dumps(about, indent=1))
        sync(part)
        part.replace(record)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(record.parent)


def recorded(entry: Path) -> Mapping[str, Any] | None:
    """The record of an entry whose content was not read; None if there is no entry.

    Raises:
        Unfit: the entry must not be used.
    """
    record = _record(entry)
    if not os.path.lexists(entry) and not os.path.lexists(record):
        return None
    for path in (record, entry):
        regular(path)
    try:
        about: Mapping[str, Any] = json.loads(record.read_text())
        if not isinstance(about["sha256"], str):
            raise TypeError
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise Unfit("its record has no checksum") from None
    if about.get("entry") != entry.name:
        raise Unfit(f"its record is for {about.get('entry')}")
    return about


def verified(entry: Path, *, used: bool = True) -> Mapping[str, Any] | None:
    """The record of an entry whose content was just verified; None if there is no entry.

    ``used``: note that it was used now.

    Raises:
        Unfit: the entry must not be used.
    """
    about = recorded(entry)
    if about is None:
        return None
    try:
        found = sha256_of(entry)
    except OSError as error:
        raise Unfit(f"it cannot be read: {error.strerror}") from error
    if found != about["sha256"]:
        raise Unfit(f"it has the sha256 {found}, its record has {about['sha256']}")
    if used:
        note_use(entry)
    return about


def note_use(entry: Path) -> None:
    """Note that an entry was used now."""
    with suppress(OSError):
        os.utime(_record(entry))


def take(entry: Path, what: str, steps: Steps) -> Mapping[str, Any] | None:
    """The same, but an entry that must not be used is reported and removed. Use it only while holding the lock."""
    try:
        return verified(entry)
    except Unfit as why:
        steps.note(f"{what} in the cache is not used but rebuilt: {why} ({entry})")
        discard(entry)
        return None


def discard(entry: Path) -> None:
    """Remove an entry, so that it is rebuilt. The record is removed first."""
    remove(_record(entry))
    remove(entry)


def remove(path: Path) -> None:
    """Remove a file, or whatever is in its place."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        shutil.rmtree(path)


def _record(entry: Path) -> Path:
    return entry.with_name(f"{entry.name.removesuffix('.tar')}.json")


def regular(path: Path) -> None:
    """Check that ``path`` is a regular file that nobody else can change.

    Raises:
        Unfit: it is not.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        raise Unfit(f"it is not complete: {path.name} is missing") from None
    if not stat.S_ISREG(found.st_mode):
        raise Unfit(f"{path.name} is not a regular file")
    if found.st_uid not in {0, *own_users()} or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Unfit(f"another user can write to {path.name}")
    if found.st_nlink > 1:
        raise Unfit(f"{path.name} has a second name (a hard link), through which it can be changed")
