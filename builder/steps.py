"""Progress: one source of events, three ways to show it (a terminal, plain lines, JSON lines).

An address in it is shown without its login.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Protocol

from rich.console import Console
from rich.status import Status
from rich.text import Text

from builder.private import mask


class Steps(Protocol):
    """Where progress goes. ``step`` brackets one piece of work; ``note`` is one line inside it."""

    def step(self, text: str) -> AbstractContextManager[None]: ...

    def note(self, text: str) -> None: ...


class PlainSteps:
    """A line when a step starts and one when it ends, for logs and pipes."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._depth = 0

    def _say(self, text: str) -> None:
        print(f"{'  ' * self._depth}{mask(text)}", file=self._stream, flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        self._say(f"> {text}")
        start = time.monotonic()
        self._depth += 1
        ended = "failed"
        try:
            yield
            ended = "done"
        finally:
            self._depth -= 1
            self._say(f"  {ended}: {text} ({time.monotonic() - start:.1f} s)")

    def note(self, text: str) -> None:
        self._say(text)


class JsonSteps:
    """One JSON object a line: {"event": "start"|"end"|"note", "text": …, "seconds": …}."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def _say(self, event: str, text: str, **more: object) -> None:
        print(json.dumps({"event": event, "text": mask(text), **more}), file=self._stream, flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        self._say("start", text)
        start = time.monotonic()
        ok = False
        try:
            yield
            ok = True
        finally:
            self._say("end", text, ok=ok, seconds=round(time.monotonic() - start, 1))

    def note(self, text: str) -> None:
        self._say("note", text)


class TerminalSteps:
    """A spinner with the newest note while a step runs, a tick and its time when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open: list[tuple[str, float]] = []
        self._status: Status | None = None

    def _show(self, detail: str = "") -> None:
        if not self._open:
            if self._status is not None:
                self._status.stop()
                self._status = None
            return
        text, start = self._open[-1]
        line = Text.assemble(text, (f" {time.monotonic() - start:.0f} s {detail[:80]}", "dim"))
        if self._status is None:
            self._status = self._console.status(line)
            self._status.start()
        else:
            self._status.update(line)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        start, text = time.monotonic(), mask(text)
        self._open.append((text, start))
        self._show()
        mark = ("✗", "red")
        try:
            yield
            mark = ("✓", "green")
        finally:
            self._open.pop()
            indent = "  " * len(self._open)
            took = (f" {time.monotonic() - start:.1f} s", "dim")
            self._console.print(Text.assemble(indent, mark, f" {text}", took))
            self._show()

    def note(self, text: str) -> None:
        text = mask(text)
        if self._open:
            self._show(text)
        else:
            self._console.print(Text(text))
