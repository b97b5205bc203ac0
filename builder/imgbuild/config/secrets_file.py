"""The file of a cluster's secrets on the disk: it appears complete or not at all, and for its owner only.

It is written under another name first. A run that is killed then leaves that file behind, with all keys in it: each
run removes what killed runs left. A file in use is locked by its writer, and the kernel releases the lock when the
process ends, so nothing depends on process ids, which other machines and containers have too.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imgbuild.diagnostics.errors import HostError

HEAD = "# imgbuild: the keys of the cluster "
"""The first text of every such file."""


class MadeMeanwhile(HostError):  # noqa: N818  (nothing has failed: the keys exist)
    """Another run has created the file since this run checked: its keys are the cluster's."""


def create(path: Path, text: str) -> None:
    """Write a file that does not exist yet.

    Raises:
        MadeMeanwhile: it exists now, created by another run or by hand; it is left unchanged.
        HostError: it cannot be written.
    """
    with _fresh(path, text) as part:
        try:
            os.link(part, path)  # never over an existing file
        except FileExistsError as error:
            hint = "run this again: it uses the existing keys"
            raise MadeMeanwhile(f"another run has created {path} in the meantime", hint) from error


def replace(path: Path, text: str) -> None:
    """Replace the existing file in one step; its owner is kept, and a link to it.

    Raises:
        HostError: it cannot be written; the old one is unchanged.
    """
    path = path.resolve()
    with _fresh(path, text) as part:
        there = path.stat()
        if there.st_uid != os.geteuid():  # root renews a user's file
            os.chown(part, there.st_uid, there.st_gid)
        part.replace(path)


def clear(path: Path) -> None:
    """Remove what killed runs left beside ``path``: this user's files with what `create` writes.

    The names are those of `_fresh`, and older ones with process ids. Nothing else is touched, not even links.
    """
    name = re.compile(rf"\.{re.escape(path.name)}\.(new-[a-z0-9_]{{8}}|[0-9]{{1,7}})")
    with suppress(OSError):
        for left in sorted(path.parent.iterdir()):
            if name.fullmatch(left.name):
                with suppress(OSError):
                    _clear(left)


def _clear(left: Path) -> None:
    descriptor = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "r+b") as stream:
        there = os.fstat(descriptor)
        if not stat.S_ISREG(there.st_mode) or there.st_uid != os.geteuid() or there.st_mode & 0o077:
            return
        head = HEAD.encode()
        if not head.startswith(stream.read(len(head))):
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: a run is writing it
        if _is(left, descriptor):
            left.unlink()


@contextmanager
def _fresh(path: Path, text: str) -> Iterator[Path]:
    """A file beside ``path`` with ``text``, synced to the disk; it is removed at the end, unless it was renamed."""
    try:
        clear(path)
        while True:
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.new-", dir=path.parent)  # mode 0600
            part = Path(name)
            with os.fdopen(descriptor, "w") as out:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if not _is(part, descriptor):  # another run cleared it before it was locked
                    continue
                try:
                    out.write(text)
                    out.flush()
                    os.fsync(descriptor)
                    yield part
                    _sync(path.parent)
                finally:
                    if _is(part, descriptor):
                        part.unlink()
                return
    except OSError as error:
        hint = "free some space, or pass a file in another folder with --secrets"
        raise HostError(f"cannot write the cluster's secrets to {path}: {error.strerror}", hint) from error


def _is(path: Path, descriptor: int) -> bool:
    """Whether ``path`` is still the open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sync(folder: Path) -> None:
    """Sync the folder, or a power failure may lose keys that a node has booted with. Not every file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
