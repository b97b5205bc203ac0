"""Which runs use a store now: each has a locked file in runs/, whose date is the run's start.

What a run asks the store for counts as used from then on (fetch/records.py). So whatever was used since the oldest of
these dates can be in use, and is not removed. The kernel releases the locks with the process.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path


class Runs:
    """The runs that use the store in ``folder``, this one among them once it has begun."""

    def __init__(self, folder: Path) -> None:
        self._store, self._folder = folder, folder / "runs"
        self._own: Path | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Tell others that this run uses the store, if there is one that can be written; once is enough."""
        if self._own is not None or not self._store.is_dir():
            return
        with self._lock, suppress(OSError):
            if self._own is not None:  # another thread was faster
                return
            self._folder.mkdir(mode=0o755, exist_ok=True)
            self._oldest(clear=True)
            number, name = tempfile.mkstemp(dir=self._folder)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._own = Path(name)
            weakref.finalize(self, _end, number, self._own)

    def since(self) -> float:
        """Since when other runs may use what is in the store, in seconds since 1970; in the future if none does."""
        return self._oldest(clear=False)

    def _oldest(self, *, clear: bool) -> float:
        """The oldest date; files whose run has ended are removed with ``clear``."""
        oldest = time.time() + 3600.0
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                if path == self._own:
                    continue
                with suppress(OSError):
                    number = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                    try:
                        there = os.fstat(number).st_mtime
                        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        if clear and time.time() - there > 60.0:  # a younger one may not be locked yet
                            path.unlink()
                    except BlockingIOError:
                        oldest = min(oldest, there)
                    finally:
                        os.close(number)
        return oldest


def _end(number: int, own: Path) -> None:
    with suppress(OSError):
        own.unlink()
    with suppress(OSError):
        os.close(number)
