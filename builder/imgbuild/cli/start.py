"""The program's first lines: signals and too little memory end it with a short message, even during imports.

Imports take half the run time, and nothing has been changed by then.
"""

from __future__ import annotations

import errno
import gc
import os
import sys

from imgbuild.cli.interrupted import listen, no_memory


def main() -> None:
    """The console script."""
    listen()
    _open_what_is_closed()
    # A run is short, and what it makes is kept until its end: looking for cycles takes a sixth of the time of a
    # thousand nodes, and their peak memory is the same without.
    gc.disable()
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
        gc.freeze()  # else Python looks for cycles twice more before it ends, which takes a sixth of a check


def _open_what_is_closed() -> None:
    """Open standard streams that the caller has closed (2>&-): else the next file gets such a number, and messages."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        if number:
            stream = os.fdopen(number, "w")
            sys.stdout, sys.stderr = (stream, sys.stderr) if number == 1 else (sys.stdout, stream)
    os.close(number)
