"""The program's first lines: Ctrl-C and too little memory end it in plain words, even while it is still importing.

Half of a run is importing, and nothing has been changed by then.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType

# Made beforehand: with no memory left there is none for a message either.
_INTERRUPTED = b"error: interrupted\n  fix: nothing was changed; run it again\n"
_NO_MEMORY = b"error: not enough memory\n  fix: free some, or raise the limit (ulimit -v), and run it again\n"


def early(_number: int, _frame: FrameType | None) -> None:
    """SIGINT before the command itself takes care of it, and after it has ended."""
    _end(_INTERRUPTED)


def no_memory() -> None:
    """End the program with exit code 3."""
    _end(_NO_MEMORY)


def _end(message: bytes) -> None:
    os.write(2, message)
    os._exit(3)


def main() -> None:
    """The console script."""
    signal.signal(signal.SIGINT, early)
    try:
        from imgbuild.cli.main import main as command

        command()
    except MemoryError:
        no_memory()
    except (ImportError, OSError) as error:
        # A library that cannot be mapped is an ImportError.
        if getattr(error, "errno", None) != errno.ENOMEM and not any(
            words in str(error) for words in ("Cannot allocate memory", "failed to map segment")
        ):
            raise
        no_memory()
    finally:
        sys.stderr.flush()
