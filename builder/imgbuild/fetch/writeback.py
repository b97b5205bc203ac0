"""A large file that is written to the disk while it grows: whoever syncs it in the end waits for little."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

_EACH = 64 << 20
"""Bytes from one sync to the next."""


class Writeback:
    """Syncs the file ``descriptor`` beside the work of the block; ``at`` is the byte from which on it is written.

    Raises:
        OSError: the disk failed.
    """

    def __init__(self, descriptor: int, at: int = 0) -> None:
        self._descriptor, self._synced = descriptor, at
        self._pool = ThreadPoolExecutor(1)
        self._syncing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if kind is None and self._syncing is not None:
            self._syncing.result()

    def wrote(self, end: int) -> None:
        """Everything is written up to the byte ``end``."""
        if end - self._synced < _EACH or (self._syncing is not None and not self._syncing.done()):
            return
        if self._syncing is not None:
            self._syncing.result()  # the kernel reports an error of the disk once
        self._syncing, self._synced = self._pool.submit(os.fdatasync, self._descriptor), end
