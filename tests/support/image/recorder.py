"""Steps that a test can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imgbuild.diagnostics.progress import Transfer


class _Open:
    def __enter__(self) -> None:
        """A step begins."""

    def __exit__(self, *exc: object) -> None:
        """A step ends; errors go on."""


class Recorder:
    """Keeps every step and note."""

    def __init__(self, *, echo: bool = False) -> None:
        self.lines: list[str] = []
        self.reports: list[tuple[int, int | None]] = []
        self._echo = echo

    def step(self, text: str) -> _Open:
        self.note(f"> {text}")
        return _Open()

    def note(self, text: str) -> None:
        self.lines.append(text)
        if self._echo:
            print(text, flush=True)

    @contextmanager
    def transfer(self, what: str = "") -> Iterator[Transfer]:
        def report(done: int, total: int | None) -> None:
            self.reports.append((done, total))

        yield report
