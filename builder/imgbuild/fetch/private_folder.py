"""Folders for this user alone in the system's folder of temporary files, such as one with logins."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """A new folder of mode 0700, removed at the end; those that killed runs of this user have left are removed first.

    Its user holds a lock on it, which the kernel releases with the process.
    """
    _clear(prefix)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            number = _locked(folder)
            if number is None:  # another run cleared it before it was locked
                continue
            try:
                yield folder
                return
            finally:
                os.close(number)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _clear(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):
            there = folder.lstat()
            if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.geteuid() or there.st_mode & 0o077:
                continue
            number = _locked(folder)
            if number is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(number)


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the lock; None if another process has it or has removed the folder."""
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.lstat().st_ino == os.fstat(number).st_ino:
            return number
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(number)
    return None
