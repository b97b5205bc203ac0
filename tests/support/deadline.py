"""Limits of time that hold on a machine that is busy with other work."""

from __future__ import annotations

import os
import time
from pathlib import Path

HUNG = 900
"""Seconds after which a program that is not waiting for anything hangs, also where ten others compute beside it."""


class Deadline:
    """A limit in seconds of an idle machine: time passes slower while more processes run than there are processors.

    What is waited for makes progress as the processors come round to it, and that is what counts here.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._last = time.monotonic()

    def passed(self) -> bool:
        """Whether the limit is reached. To be asked often: each answer counts the time since the last one."""
        now = time.monotonic()
        self._left -= (now - self._last) * _share()
        self._last = now
        return self._left < 0


def _share() -> float:
    """The part of a processor that a process has now: proc_loadavg(5), runnable entities, this one among them."""
    runnable = int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].split("/")[0])
    return min(1.0, (os.cpu_count() or 1) / max(1, runnable))
