"""Progress: one source of events, three ways to show it (a terminal, plain lines, JSON lines).

An address in it is shown without its login.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.status import Status
from rich.text import Text

from imgbuild.diagnostics.jsonlines import json_line
from imgbuild.diagnostics.mask import mask


class Transfer(Protocol):
    """Called with the number of bytes received and the total, any number of times."""

    def __call__(self, done: int, total: int | None) -> None: ...


class Steps(Protocol):
    """Where progress goes. ``step`` brackets one piece of work; ``note`` is one line inside it.

    ``transfer`` brackets a download inside a step, of ``what``. Several can be open at once, each in its own thread,
    which may call ``note`` too.
    """

    def step(self, text: str) -> AbstractContextManager[None]: ...

    def note(self, text: str) -> None: ...

    def transfer(self, what: str = "") -> AbstractContextManager[Transfer]: ...


class _Rate:
    """How fast a transfer is, and when to print another line: after each tenth, or every half a minute."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._told: tuple[float, int] = (0.0, 0)
        self._last = 0

    def due(self, done: int, total: int | None) -> bool:
        now = time.monotonic()
        tenth = done * 10 // total if total else 0
        again = done < self._last
        self._last = done
        if self._first is None or again:
            self._first, self._told = (now, done), (now, tenth)
            return False
        if tenth <= self._told[1] and now - self._told[0] < _LINE_SECONDS:
            return False
        self._told = (now, max(tenth, self._told[1]))
        return True

    def rate(self, done: int) -> float:
        """Bytes a second since the first report."""
        if self._first is None:
            return 0.0
        since, at = self._first
        return (done - at) / max(time.monotonic() - since, 1e-6)

    def line(self, done: int, total: int | None) -> str:
        """As "40 % of 812 MiB, 5.2 MiB/s, 90 s left"."""
        rate = self.rate(done)
        speed = f"{rate / _MIB:.1f} MiB/s"
        if not total:
            return f"{done // _MIB} MiB, {speed}"
        rest = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        return f"{done * 100 // total} % of {total / _MIB:.0f} MiB, {speed}{rest}"


_LINE_SECONDS = 30.0
_MIB = 1 << 20
_WIDEST = 40  # characters of a step's text beside its bar


class PlainSteps:
    """A line when a step starts and one when it ends, for logs and pipes."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._depth = 0

    def _say(self, text: str) -> None:
        # One write: lines of several threads stay whole.
        self._stream.write(f"{'  ' * self._depth}{mask(text)}\n")
        self._stream.flush()

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

    @contextmanager
    def transfer(self, what: str = "") -> Iterator[Transfer]:
        rate = _Rate()

        def report(done: int, total: int | None) -> None:
            if rate.due(done, total):
                self._say(f"{what}{': ' if what else ''}{rate.line(done, total)}")

        yield report


class JsonSteps:
    """One JSON object per line: {"event": "start"|"end"|"note", "text": …, "seconds": …}.

    A transfer: {"event": "transfer", "text": …, "what": …, "bytes": …, "total": …, "bytes_per_second": …}.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def _say(self, event: str, text: str, **more: object) -> None:
        self._stream.write(f"{json_line(event, text=mask(text), **more)}\n")
        self._stream.flush()

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

    @contextmanager
    def transfer(self, what: str = "") -> Iterator[Transfer]:
        rate = _Rate()

        def report(done: int, total: int | None) -> None:
            if rate.due(done, total):
                speed = round(rate.rate(done))
                line = rate.line(done, total)
                self._say("transfer", line, what=mask(what), bytes=done, total=total, bytes_per_second=speed)

        yield report


class _Speed(ProgressColumn):
    """In MiB, like the sizes beside it; rich's own column has MB."""

    def render(self, task: Task) -> Text:
        """The current rate."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed / _MIB:.1f} MiB/s" if speed else "")


class TerminalSteps:
    """A spinner with the newest note while a step runs, a tick and its time when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open: list[tuple[str, float]] = []
        self._status: Status | None = None
        self._bar: Progress | None = None
        self._bars = 0
        self._lock = threading.Lock()

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
        bar = self._bar
        if bar is not None:
            bar.console.print(Text(f"{'  ' * len(self._open)}{text}"))
        elif self._open:
            self._show(text)
        else:
            self._console.print(Text(text))

    @contextmanager
    def transfer(self, what: str = "") -> Iterator[Transfer]:
        """A bar with rate and remaining time, below those of other threads."""
        text = mask(what) or (self._open[-1][0] if self._open else "")
        bar = self._more_bars()
        task = bar.add_task(text if len(text) <= _WIDEST else f"…{text[1 - _WIDEST :]}", total=None)
        last = 0

        def report(done: int, total: int | None) -> None:
            nonlocal last
            if done < last:  # restarted: restart the rate too
                bar.reset(task)
            last = done
            bar.update(task, completed=done, total=total)

        try:
            yield report
        finally:
            self._fewer_bars(bar, task)

    def _more_bars(self) -> Progress:
        """The bars instead of the spinner: a console shows one live display."""
        with self._lock:
            self._bars += 1
            if self._bar is None:
                if self._status is not None:
                    self._status.stop()
                    self._status = None
                self._bar = Progress(
                    TextColumn("{task.description}"), BarColumn(bar_width=30), TaskProgressColumn(),
                    DownloadColumn(True), _Speed(), TimeRemainingColumn(), console=self._console, transient=True,
                )  # fmt: skip
                self._bar.start()
            return self._bar

    def _fewer_bars(self, bar: Progress, task: TaskID) -> None:
        with self._lock:
            bar.refresh()  # shows the end, which can come between two of the bars' own refreshes
            self._bars -= 1
            if self._bars:
                bar.remove_task(task)
                return
            bar.stop()
            self._bar = None
            self._show()
