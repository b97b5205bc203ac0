"""The terminal as imgbuild writes to it: a closed pipe is an error, and no text is read as markup."""

from __future__ import annotations

import os

from rich.console import Console as RichConsole


class Console(RichConsole):
    """rich's console with imgbuild's defaults: no wrapping, markup, emoji codes or automatic colours."""

    def __init__(self, *, stderr: bool = False) -> None:
        # rich writes nothing at a width of 0, which a serial console and some editors report.
        environment = {k: v for k, v in os.environ.items() if k != "COLUMNS" or v.strip("0")}
        super().__init__(
            stderr=stderr, soft_wrap=True, markup=False, emoji=False, highlight=False, _environ=environment
        )

    def on_broken_pipe(self) -> None:
        """Leave it to the caller: rich would exit with 1, which means errors in the input."""
        raise BrokenPipeError
