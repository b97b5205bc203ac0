"""The guest's serial console: kept as a log, watched for milestones and for fatal errors."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LOG_LIMIT = 32 << 20  # bytes kept; further output is read and dropped
_LINE_LIMIT = 4096  # bytes of a line that are examined

# Escape sequences (colours, cursor moves of GRUB and the firmware) would hide text from the patterns.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-B]|[=>c])")

_MILESTONES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("firmware", re.compile(r"SeaBIOS|BdsDxe: loading|UEFI firmware")),
    ("boot loader", re.compile(r"Welcome to GRUB|GNU GRUB|GRUB loading|Booting `")),
    ("kernel", re.compile(r"Linux version \d|Booting the kernel|Command line: ")),
    ("systemd", re.compile(r"systemd\[1\]: |Welcome to (?!GRUB).*!")),
    ("cloud-init", re.compile(r"Cloud-init v\. .* running")),
    ("cloud-init done", re.compile(r"Cloud-init v\. .* finished")),
    ("login", re.compile(r" login: ?$")),
)

_DEATHS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("the kernel panicked", re.compile(r"Kernel panic - not syncing")),
    ("systemd went into emergency mode", re.compile(r"^You are in emergency mode")),
    ("the initramfs found no root file system", re.compile(r"^\(initramfs\) ")),
    ("dracut gave up", re.compile(r"^Entering emergency mode\. Exit the shell|^dracut:/#")),
    ("GRUB did not find its files", re.compile(r"^grub rescue>")),
    ("the firmware found nothing to boot", re.compile(r"BdsDxe: No bootable option|^UEFI Interactive Shell v")),
)


@dataclass(frozen=True)
class Milestone:
    """A step of the boot seen on the console, in seconds since the machine was started."""

    name: str
    seconds: float


class Console:
    """Processes the console's bytes as they arrive."""

    def __init__(self, log: IO[bytes], seen: Callable[[Milestone], None]) -> None:
        self._log = log
        self._seen = seen
        self._written = 0
        self._line = b""
        self._start = time.monotonic()
        self._names: set[str] = set()
        self._last: deque[str] = deque(maxlen=200)
        self.death: str | None = None
        """How the guest failed, once a line shows it."""

    def begin(self) -> None:
        """The machine starts: seconds count from here."""
        self._start = time.monotonic()

    def feed(self, data: bytes) -> None:
        """Log ``data`` and examine the lines in it."""
        keep = data[: max(0, LOG_LIMIT - self._written)]
        self._log.write(keep)
        self._log.flush()
        self._written += len(data)
        *lines, self._line = re.split(rb"[\r\n]+", self._line + data)
        for line in lines:
            self._look(_plain(line))
        # A prompt has no end of line; a line without end must not grow forever.
        self._look(_plain(self._line), finished=False)
        self._line = self._line[-_LINE_LIMIT:]

    def rebooted(self) -> None:
        """The guest restarts: reset the milestones."""
        self._names.clear()

    @property
    def silent(self) -> bool:
        """True if nothing has come yet."""
        return self._written == 0

    def tail(self, count: int = 30) -> list[str]:
        """The last lines, plain text, oldest first."""
        rest = _plain(self._line)
        return [*self._last, *([rest] if rest.strip() else [])][-count:]

    def _look(self, text: str, *, finished: bool = True) -> None:
        if finished and text.strip():
            self._last.append(text)
        for name, pattern in _MILESTONES:
            if name not in self._names and pattern.search(text):
                self._names.add(name)
                self._seen(Milestone(name, round(time.monotonic() - self._start, 1)))
        if self.death is None:
            self.death = next((what for what, pattern in _DEATHS if pattern.search(text)), None)


def _plain(line: bytes) -> str:
    text = _ESCAPES.sub(b"", line[:_LINE_LIMIT]).decode("utf-8", errors="replace")
    return "".join(char for char in text if char.isprintable() or char == "\t")


def open_log(path: Path) -> IO[bytes]:
    """The log's file, new and 0600: a console's output can have private data."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    return path.open("wb")
