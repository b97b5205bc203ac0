"""How long each step of a run took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from imgbuild.diagnostics.mask import mask
from imgbuild.diagnostics.progress import Steps, Transfer


@dataclass(frozen=True)
class Taken:
    """A step that is done. ``depth``: in how many other steps."""

    text: str
    depth: int
    seconds: float


class Timed:
    """Steps that are shown as ``inner`` shows them, and remembered in ``taken``, in the order in which they began."""

    def __init__(self, inner: Steps) -> None:
        self._inner = inner
        self._depth = 0
        self._taken: list[Taken | None] = []

    @property
    def taken(self) -> list[Taken]:
        """The steps that are done."""
        return [each for each in self._taken if each is not None]

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """One piece of work."""
        place, depth, start = len(self._taken), self._depth, time.monotonic()
        self._taken.append(None)
        self._depth += 1
        try:
            with self._inner.step(text):
                yield
        finally:
            self._depth -= 1
        self._taken[place] = Taken(mask(text), depth, round(time.monotonic() - start, 1))

    def note(self, text: str) -> None:
        """One line inside a step."""
        self._inner.note(text)

    def transfer(self, what: str = "") -> AbstractContextManager[Transfer]:
        """A download inside a step."""
        return self._inner.transfer(what)
