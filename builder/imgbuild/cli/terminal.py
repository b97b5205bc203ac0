"""The terminal as imgbuild writes to it: a reader that has gone is an error, and no text is taken for markup."""

from __future__ import annotations

import os
import sys

from rich.console import Console as RichConsole


class Console(RichConsole):
    """rich's, with what every line of imgbuild's wants: no wrapping, markup, emoji codes or colours by itself."""

    def __init__(self, *, stderr: bool = False) -> None:
        # rich writes nothing at all in a width of 0, which a serial console and some editors say.
        environment = {k: v for k, v in os.environ.items() if k != "COLUMNS" or v.strip("0")}
        super().__init__(
            stderr=stderr, soft_wrap=True, markup=False, emoji=False, highlight=False, _environ=environment
        )

    def on_broken_pipe(self) -> None:
        """Leave it to the caller: rich would end the program with 1, which means errors in the input."""
        raise BrokenPipeError


def never_fail_to_encode() -> None:
    """A terminal that has no letter for ours (LC_ALL=C) gets its number, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
