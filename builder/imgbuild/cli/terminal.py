"""The terminal as imgbuild writes to it: a closed pipe is an error, and no text is read as markup."""

from __future__ import annotations

import os
import re
from typing import Any

from rich.console import Console as RichConsole
from rich.text import Text

# What moves the cursor, changes colours or the direction of the text: all controls but tab and the end of a line.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Console(RichConsole):
    """rich's console with imgbuild's defaults: no wrapping, markup, emoji codes or automatic colours.

    What controls a terminal is shown as its number: text from a bundle, a server or a profile can have it.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        # rich writes nothing at a width of 0, which a serial console and some editors report.
        environment = {k: v for k, v in os.environ.items() if k != "COLUMNS" or v.strip("0")}
        super().__init__(
            stderr=stderr, soft_wrap=True, markup=False, emoji=False, highlight=False, _environ=environment
        )

    def print(self, *objects: Any, **options: Any) -> None:
        """Print these objects."""
        super().print(*map(_visible, objects), **options)

    def on_broken_pipe(self) -> None:
        """Leave it to the caller: rich would exit with 1, which means errors in the input."""
        raise BrokenPipeError


def _visible(shown: Any) -> Any:
    if isinstance(shown, str):
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", shown)
    if isinstance(shown, Text) and _CONTROL.search(shown.plain):
        shown.plain = _CONTROL.sub("?", shown.plain)  # as many characters: the styles stay at their places
    return shown
