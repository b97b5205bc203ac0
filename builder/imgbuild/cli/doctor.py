"""`imgbuild doctor`: what this host has and lacks for building and booting images."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console

from imgbuild.cli.output import Says, ends_well
from imgbuild.image.cache import default_cache
from imgbuild.image.requirements import lacks
from imgbuild.machine.requirements import machine_lacks


@click.command("doctor")
@ends_well
def command(says: Says) -> None:
    """Say what this host has and lacks for building and booting images."""
    rows = examine(default_cache())
    print_rows(says.out, rows, as_json=says.json)
    sys.exit(0 if all(row.ok for row in rows) else 3)


@dataclass(frozen=True)
class Row:
    """One line: a task of imgbuild's, whether it can be done here, and what to do if not."""

    task: str
    ok: bool
    what: str = ""
    hint: str = ""


def examine(cache: Path) -> list[Row]:
    """Everything at once; nothing is changed."""
    rows = []
    for task, lacking in (
        ("build a disk image", lacks(cache, Path.cwd())),
        ("boot a disk image", machine_lacks()),
    ):
        rows += [Row(task, False, lack.what, lack.hint) for lack in lacking] or [Row(task, True)]
    return rows


def print_rows(console: Console, rows: Sequence[Row], *, as_json: bool) -> None:
    """One line a row, the fix below."""
    if as_json:
        console.print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        console.print(f"{'ok     ' if row.ok else 'MISSING'} {row.task}{': ' if row.what else ''}{row.what}")
        if row.hint:
            console.print(f"        fix: {row.hint}")
