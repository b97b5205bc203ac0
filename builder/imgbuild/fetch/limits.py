"""Limits for a server: time, bytes, tries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds, bytes and counts. The defaults are those of a download."""

    connect_seconds: float = 20.0
    stall_seconds: float = 60.0
    """A transfer with less than ``stall_bytes`` in this time has stalled; so has an answer that never starts."""
    stall_bytes: int = 64 << 10
    total_seconds: float = 24 * 3600.0
    max_bytes: int = 64 << 30
    redirects: int = 10
    tries: int = 5
    """Tries in a row without progress; one that receives ``progress_bytes`` resets the count."""
    progress_bytes: int = 1 << 20
    pause_seconds: float = 1.0
    """The pause before the second try; it doubles with each one, up to ``max_pause_seconds``."""
    max_pause_seconds: float = 30.0
    max_wait_seconds: float = 300.0
    """The longest Retry-After that is honoured."""

    def pause(self, failed: int) -> float:
        """Seconds to wait after ``failed`` (1, 2, ...) tries in a row without progress."""
        doubled: float = self.pause_seconds * 2 ** min(failed - 1, 30)
        return min(doubled, self.max_pause_seconds)


QUESTION = Limits(
    connect_seconds=10.0, stall_seconds=20.0, stall_bytes=1, total_seconds=60.0, max_bytes=8 << 20, tries=3
)
"""Those of a small request: a server that takes longer for one small answer is too slow for a build."""
