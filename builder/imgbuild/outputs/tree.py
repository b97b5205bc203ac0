"""The output folder: groups of files, each replaced as a whole, so that a killed run leaves the old or the new group.

A group has its run's id in a file (`.run`); the manifest, written last, records which ids belong
together. A folder is 0700, a file 0600 or 0644.
Under sudo everything except files of mode 0600 belongs to the calling user.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import few
from imgbuild.outputs.caller import caller, give_file, give_tree, is_private, make_folder, owner_of
from imgbuild.outputs.halves import in_halves

RUN_FILE = ".run"
_RUN_BYTES = 1024
_LOCK = ".lock"
_NEW = ".new-"
_OLD = "-old"
_LEFT = re.compile(
    rf"{re.escape(_NEW)}(?P<group>[a-z0-9]+(?:-[a-z0-9]+)*)-[a-z0-9_]{{8}}(?P<old>{_OLD})?"
)  # tempfile's letters
_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100


@dataclass(frozen=True, slots=True)
class OutFile:
    """One file of the output; ``mode`` 0o600 if it has anything private."""

    content: bytes = field(repr=False)
    mode: int = 0o644


Group = Mapping[str, OutFile]
"""Path below the group's folder -> file."""


@dataclass(frozen=True, slots=True)
class Written:
    """One file as it is in a group now, in the manifest's words."""

    sha256: str
    size: int
    mode: str


_MANY = 1000
"""From how many files on another process writes half of them: starting it takes as long as a hundred."""


@contextmanager
def output_folder(path: Path, groups: Sequence[str] = ()) -> Iterator[Path]:
    """The output folder, locked against a second imgbuild; what a killed run left behind is removed.

    Nothing that imgbuild did not make is touched: existing files are checked before a mode, a lock or a file is set.

    Raises:
        HostError: it cannot be made or written, another imgbuild holds it, or it or something in place of one of
            ``groups`` belongs to another user.
    """
    try:
        for folder in (*reversed(path.parents), path):
            with suppress(FileExistsError):
                if not folder.is_dir():
                    make_folder(folder, 0o700 if folder == path else 0o777)
        _refuse_foreign(path, groups)
        path.chmod(0o700)
        lock = _open_lock(path / _LOCK)
    except OSError as error:
        raise HostError(f"cannot write to {path}: {error.strerror}", "pass another folder with --output") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HostError(
                f"another imgbuild is writing to {path}", "wait for it, or pass another --output"
            ) from error
        for left in _left(path):
            _clear(path, left)
        yield path
    finally:
        os.close(lock)


def _open_lock(path: Path) -> int:
    """The open lock file; a new one is the caller's, who runs imgbuild without sudo the next time."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        lock = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    os.fchown(lock, owner_of(0o644), -1)
    return lock


def _refuse_foreign(path: Path, groups: Sequence[str]) -> None:
    """Raise HostError unless ``path`` and its ``groups`` are imgbuild's own, or empty."""
    there = path.lstat()
    if stat.S_ISLNK(there.st_mode):
        hint = f"remove the link, or pass the folder for {path.name} with --output"
        raise HostError(f"{path} is a link, which imgbuild does not follow", hint)
    if not stat.S_ISDIR(there.st_mode):
        raise HostError(f"cannot write to {path}: it is not a folder", "pass another folder with --output")
    if there.st_uid not in own_users():
        hint = "pass another folder with --output"
        raise HostError(f"{path} belongs to another user (uid {there.st_uid})", hint)
    places = list(path.iterdir())
    if not any(group_run(path, place.name) is not None for place in places):
        foreign = sorted(
            {place.name for place in places} - {_LOCK, "lost+found"} - {left.name for left in _left(path)} - {*groups}
        )
        if foreign:
            hint = "pass an empty or a new folder with --output, or another name with --name"
            raise HostError(f"imgbuild did not make {path}: it has {few(foreign, 3)}", hint)
    for place in (path / name for name in groups):
        if os.path.lexists(place) and group_run(path, place.name) is None and not _is_empty(place):
            hint = f"move {place} away, or pass another folder with --output"
            raise HostError(f"imgbuild did not make {place}, which would be lost", hint)


def own_users() -> frozenset[int]:
    """The users whose folders this run may write to: its own and, under sudo, the calling user."""
    whose = caller()
    return frozenset({os.geteuid(), *([] if whose is None else [whose.uid])})


def _clear(folder: Path, left: Path) -> None:
    """Remove what a killed run left, but put back an old group that it had moved aside."""
    name = _LEFT.fullmatch(left.name)
    if name is not None and name["old"] and not os.path.lexists(folder / name["group"]):
        left.rename(folder / name["group"])
    else:
        _remove(left)


def _left(folder: Path) -> list[Path]:
    """The groups that killed runs were filling: this user's folders with a name from `new_group`."""
    out = []
    for place in folder.glob(f"{_NEW}*"):
        there = place.lstat()
        if _LEFT.fullmatch(place.name) and stat.S_ISDIR(there.st_mode) and there.st_uid in own_users():
            out.append(place)
    return out


def swap_group(
    folder: Path, name: str, files: Group, run: str, ready: Mapping[str, tuple[Path, str]] | None = None
) -> dict[str, Written]:
    """Write a group beside the old one and exchange the two in one step; return what was written, by its path.

    Unchanged files are reused. ``files`` is read one file at a time, so it may create them lazily. ``ready``: files
    that are on this disk already, too large for the memory, with their sha256; each is linked into the group, or
    copied.

    Raises:
        HostError: the disk is full or the folder cannot be written; the old group is unchanged.
    """
    before = (folder / name).resolve() if group_run(folder, name) is not None else None

    @cache
    def plain(old: Path) -> bool:  # a link may point out of the old group
        return old.resolve() == old

    with new_group(folder, name, run) as fresh:
        made = {""}

        def fill(relative: str) -> Written:
            file, place = files[relative], f"{fresh}/{relative}"
            _make_folder(fresh, relative.rpartition("/")[0], made)
            old = before / relative if before is not None else None
            if old is None or not plain(old.parent) or not _taken_over(old, place, file):
                write_file(place, file)
            return Written(hashlib.sha256(file.content).hexdigest(), len(file.content), f"{file.mode:04o}")

        paths = sorted(files)
        written = dict(zip(paths, in_halves(fill, paths, _MANY), strict=True))
        for relative, (source, checksum) in sorted((ready or {}).items()):
            _make_folder(fresh, relative.rpartition("/")[0], made)
            _link(source, fresh / relative)
            there = (fresh / relative).stat()
            written[relative] = Written(checksum, there.st_size, f"{stat.S_IMODE(there.st_mode):04o}")
    return written


def _link(source: Path, place: Path) -> None:
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:  # this file system has no hard links
        shutil.copy2(source, place, follow_symlinks=False)


@contextmanager
def work_folder(folder: Path, name: str) -> Iterator[Path]:
    """A folder for files that a group gets as ``ready``, in the output folder; it is removed at the end."""
    fresh = Path(tempfile.mkdtemp(prefix=f"{_NEW}{name}-", dir=folder))
    try:
        yield fresh
    finally:
        _remove(fresh)


@contextmanager
def new_group(folder: Path, name: str, run: str) -> Iterator[Path]:
    """A fresh folder to fill; it replaces the group when the block ends without an error.

    Raises:
        HostError: it cannot be written; the old group is kept.
    """
    fresh = Path(tempfile.mkdtemp(prefix=f"{_NEW}{name}-", dir=folder))
    try:
        try:
            yield fresh
            write_file(fresh / RUN_FILE, OutFile(f"{run}\n".encode()))
            give_tree(fresh)
            _exchange(fresh, folder / name)
        except OSError as error:
            raise _kept(folder / name, error) from error
    finally:
        if fresh.exists():
            _remove(fresh)


def write_file(path: Path | str, file: OutFile) -> None:
    """Write one new file with its mode from the first byte on.

    Not synced one by one: after a power failure the manifest's checksums show what is damaged, and rebuilding it
    takes a second.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, file.mode)
    try:
        os.fchmod(descriptor, file.mode)
        if not is_private(file.mode):
            give_file(descriptor)
        left = memoryview(file.content)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def _make_folder(root: Path, relative: str, made: set[str]) -> None:
    """Make a folder below ``root`` and those above it, unless they are in ``made``."""
    if relative not in made:
        _make_folder(root, relative.rpartition("/")[0], made)
        with suppress(FileExistsError):  # the other half's
            os.mkdir(f"{root}/{relative}", 0o700)  # noqa: PTH102 - a path object for each takes longer
        made.add(relative)


def _taken_over(old: Path, place: str, file: OutFile) -> bool:
    """Link ``old`` to ``place`` if it already has exactly the content and mode of ``file``.

    A thousand nodes are fifteen thousand files: a second run for one more node need not write them all.
    """
    try:
        with os.fdopen(os.open(old, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            there = os.fstat(stream.fileno())
            wanted = (stat.S_IFREG | file.mode, owner_of(file.mode), len(file.content))
            if (there.st_mode, there.st_uid, there.st_size) != wanted or stream.read() != file.content:
                return False
        os.link(old, place, follow_symlinks=False)
    except OSError:  # it is not there, or this file system has no hard links
        return False
    return True


def replace_file(path: Path, file: OutFile) -> None:
    """Replace a file in one step.

    Raises:
        HostError: it cannot be written; the old file is kept.
    """
    fresh = path.with_name(f"{_NEW}{path.name}")
    fresh.unlink(missing_ok=True)
    try:
        write_file(fresh, file)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise _kept(path, error) from error


def _kept(path: Path, error: OSError) -> HostError:
    hint = "free some space and retry" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"check {path} and retry"
    return HostError(f"cannot write {path}: {error.strerror}; the old one is kept", hint)


def group_run(folder: Path, name: str) -> str | None:
    """The id of the run that wrote this group; None if imgbuild wrote no group there. Links are not followed."""
    try:
        group = os.open(folder / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            run = os.open(RUN_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=group)
        finally:
            os.close(group)
        with os.fdopen(run, "rb") as stream:
            text = stream.read(_RUN_BYTES) if stat.S_ISREG(os.fstat(run).st_mode) else b""
    except OSError:
        return None
    return text.decode(errors="replace").strip() or None


def _is_empty(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink() and not any(place.iterdir())


def _exchange(fresh: Path, place: Path) -> None:
    if not place.exists():
        fresh.rename(place)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    exchange = getattr(libc, "renameat2", None)  # glibc 2.28
    if exchange is not None and exchange(
        _AT_FDCWD, os.fsencode(fresh), _AT_FDCWD, os.fsencode(place), _RENAME_EXCHANGE
    ) == 0:  # fmt: skip
        return
    # A file system without the exchange: two renames, with the old group back in place if the second fails.
    old = fresh.with_name(f"{fresh.name}{_OLD}")
    place.rename(old)
    try:
        fresh.rename(place)
    except OSError:
        old.rename(place)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
