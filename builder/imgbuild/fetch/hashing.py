"""The sum of a part, made by another thread while more of it is received."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from imgbuild.fetch.part import Part

_EACH = 4 << 20
"""Bytes that are hashed at a time: to hand each block over takes longer than to hash it."""


class Hashing:
    """Counts what is written to ``part`` from the byte ``at`` on into its sum; all of it, whatever ends the block."""

    def __init__(self, part: Part, at: int) -> None:
        self._part, self._at = part, at
        self._pool = ThreadPoolExecutor(1)
        self._blocks: list[bytes] = []
        self._size = 0
        self._handed = list[Future[None]]()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        if self._blocks:
            self._hand_over()
        self._pool.shutdown()
        if kind is None:
            self._finish()

    def add(self, block: bytes) -> None:
        """The next bytes, which are written."""
        self._blocks.append(block)
        self._size += len(block)
        if self._size >= _EACH:
            self._finish()  # no more than one waits: memory does not depend on the file's size
            self._hand_over()

    def _hand_over(self) -> None:
        self._handed.append(self._pool.submit(self._part.feed, self._blocks, self._at))
        self._at += self._size
        self._blocks, self._size = [], 0

    def _finish(self) -> None:
        while self._handed:
            self._handed.pop().result()
