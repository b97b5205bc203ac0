"""Working folders that the next run removes if a run was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgbuild.image.disk.selinux import LABEL

_LOCK = ".lock"
_MEMORY = Path("/dev/shm")  # noqa: S108 - its folders are this user's alone
_SMALL = "imgbuild"


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder ``PREFIX-…`` below ``parent``, removed at the end.

    Folders of the same prefix whose owner is gone are removed first: each owner holds a lock that the kernel
    releases with the process, so nothing depends on process ids or ages.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=parent))
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def small_scratch(beside: Path, size: int) -> Iterator[Path]:
    """A working folder for thousands of small files, of ``size`` bytes together: in memory if there is room for twice
    as much, else as `scratch` makes it, in ``beside``. On some disks such files take seconds.
    """
    sweep_memory()
    fits = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= 2 * size
    with scratch(_MEMORY if fits and _keeps_labels(_MEMORY) else beside, _SMALL) as folder:
        yield folder


def sweep_memory() -> None:
    """Remove what a killed run left in memory, where it would stay until the machine is restarted."""
    if _MEMORY.is_dir():
        sweep(_MEMORY, _SMALL)


def _keeps_labels(parent: Path) -> bool:
    """Whether files below ``parent`` can have SELinux labels."""
    try:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            os.setxattr(folder, LABEL, b"system_u:object_r:tmp_t:s0\0")
    except OSError:
        return False
    return True


def sweep(parent: Path, prefix: str) -> list[Path]:
    """Remove the working folders below ``parent`` whose owner is gone; return what was removed."""
    gone = []
    for folder in sorted(parent.glob(f"{prefix}-*")):
        try:
            if folder.lstat().st_uid != os.geteuid():
                continue  # anybody can make one in memory
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # being created right now, or removed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder)
        finally:
            os.close(lock)
    return gone
