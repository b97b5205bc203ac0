"""The sha256 of a file, which cannot be replaced by a link or a FIFO in the meantime."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path


def sha256_of(path: Path) -> str:
    """The sha256 (hex) of a regular file; a link in its place is not followed.

    Raises:
        OSError: it cannot be read, or it is not a regular file.
    """
    return summed(path)[0]


def summed(path: Path) -> tuple[str, os.stat_result]:
    """The same, and the file's state before it was read.

    Raises:
        OSError: it cannot be read, or it is not a regular file.
    """
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(number, "rb") as data:  # noqa: PTH123 - a descriptor
        before = os.fstat(number)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return hashlib.file_digest(data, "sha256").hexdigest(), before


def sync(path: Path) -> None:
    """Sync a file's content, or a folder's names, to the disk."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
