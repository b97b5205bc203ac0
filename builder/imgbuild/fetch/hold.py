"""Locks on files: the kernel releases them with the process, so nothing depends on process ids or ages."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def alone(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock ``file``, which is removed at the end; ``waiting`` is called if another process has it."""
    number = _own(file, waiting)
    assert number is not None  # noqa: S101 - it waits
    with _released(file, number):
        yield


@contextmanager
def alone_now(file: Path) -> Iterator[bool]:
    """The same without waiting; whether it is held."""
    number = _own(file, None)
    if number is None:
        yield False
        return
    with _released(file, number):
        yield True


@contextmanager
def _released(file: Path, number: int) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()  # before it is released: whoever waits for it sees that it is not the file any longer
        os.close(number)


def _own(file: Path, waiting: Callable[[], None] | None) -> int | None:
    """The descriptor of the held lock; None if another process has it and ``waiting`` is None."""
    told = False
    while True:
        number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                os.close(number)
                return None
            if not told:
                waiting()
                told = True
            fcntl.flock(number, fcntl.LOCK_EX)
        try:
            if os.stat(file, follow_symlinks=False).st_ino == os.fstat(number).st_ino:  # noqa: PTH116
                return number
        except FileNotFoundError:
            pass
        os.close(number)


@contextmanager
def in_use(file: Path) -> Iterator[None]:
    """Keep ``file`` from ``unlink_unused`` for a while; works on a file system that is read-only.

    Raises:
        FileNotFoundError: it does not exist.
    """
    while True:
        number = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(number, fcntl.LOCK_SH)
            if os.stat(file, follow_symlinks=False).st_ino == os.fstat(number).st_ino:  # noqa: PTH116
                yield
                return
        finally:
            os.close(number)


def unlink_unused(file: Path) -> bool:
    """Remove ``file`` unless a process uses it; whether it is gone."""
    try:
        number = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(number)
    return True
