"""`imgbuild doctor`: what this host has and lacks for building and booting images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console

from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.image.cache import default_cache
from imgbuild.image.requirements import lacks
from imgbuild.machine.requirements import machine_lacks


@click.command("doctor", cls=Command)
@ends_well
def command(says: Says) -> int:
    """Report what this host lacks for building and booting images."""
    rows = examine(default_cache())
    if says.json:
        for row in rows:
            says.event("task", **asdict(row))
    else:
        print_rows(says.out, rows)
    return 0 if all(row.ok for row in rows) else 3


@dataclass(frozen=True)
class Row:
    """One line: one of imgbuild's tasks, whether it can be done here, and what to do if not."""

    task: str
    ok: bool
    what: str = ""
    hint: str = ""


def examine(cache: Path) -> list[Row]:
    """All tasks; nothing is changed."""
    rows = []
    for task, lacking in (
        ("build a disk image", lacks(cache, Path.cwd())),
        ("boot a disk image", machine_lacks()),
    ):
        rows += [Row(task, False, lack.what, lack.hint) for lack in lacking] or [Row(task, True)]
    return rows


def print_rows(console: Console, rows: Sequence[Row]) -> None:
    """One line per row, with the fix below."""
    for row in rows:
        console.print(f"{'ok     ' if row.ok else 'MISSING'} {row.task}{': ' if row.what else ''}{row.what}")
        if row.hint:
            console.print(f"        fix: {row.hint}")
