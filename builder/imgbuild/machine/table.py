"""Checks as a table: coloured on a terminal, plain elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgbuild.machine.verdict import Check

_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "yellow")}
_WORDS = {True: "ok", False: "FAILED", None: "skipped"}


def print_checks(checks: Sequence[Check], console: Console) -> None:
    """Print the checks on ``console``; its own settings decide on colour (rich honours NO_COLOR)."""
    if not console.is_terminal:
        print_checks_plain(checks, console.file)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("")
    table.add_column("check", overflow="fold")
    table.add_column("found", overflow="fold")
    for check in checks:
        mark, style = _MARKS[check.ok]
        # Text, never markup: rich must not interpret the guest's text.
        table.add_row(Text(mark, style), Text(check.name), Text(_found(check), "" if check.ok else style))
    console.print(table)
    console.print(Text(summary(checks)))


def print_checks_plain(checks: Sequence[Check], stream: IO[str]) -> None:
    """One line per check, for logs and pipes."""
    width = max((len(check.name) for check in checks), default=0)
    for check in checks:
        found = " / ".join(_found(check).splitlines())
        print(f"{_WORDS[check.ok]:7}  {check.name:{width}}  {found}".rstrip(), file=stream)
    print(summary(checks), file=stream, flush=True)


def summary(checks: Sequence[Check]) -> str:
    """ "27 checks passed, 1 failed, 2 skipped"."""
    count = {state: sum(check.ok is state for check in checks) for state in (True, False, None)}
    return f"{count[True]} checks passed, {count[False]} failed, {count[None]} skipped"


def _found(check: Check) -> str:
    if check.ok is not False:
        return check.found
    lines = [check.found or "nothing"]
    if check.expected:
        lines.append(f"expected: {check.expected}")
    if check.hint:
        lines.append(f"hint: {check.hint}")
    return "\n".join(lines)
