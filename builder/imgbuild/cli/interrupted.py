"""Short messages for Ctrl-C and too little memory at any moment, also while imgbuild is still importing."""

from __future__ import annotations

import os
from types import FrameType

# Created beforehand: without free memory, a message cannot be created either.
_INTERRUPTED = b"error: interrupted\n  fix: run it again; nothing was changed\n"
_NO_MEMORY = b"error: not enough memory\n  fix: free some, or raise the limit (ulimit -v), and run it again\n"


def early(_number: int, _frame: FrameType | None) -> None:
    """SIGINT before the command handles it itself, and after it has ended."""
    _end(_INTERRUPTED)


def no_memory() -> None:
    """End the program with exit code 3."""
    _end(_NO_MEMORY)


def _end(message: bytes) -> None:
    os.write(2, message)
    os._exit(3)
