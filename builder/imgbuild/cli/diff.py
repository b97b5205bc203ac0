"""`imgbuild diff A B`: how what two profiles put on a node differs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import click

from imgbuild.cli.output import Says, ends_well
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.mask import mask
from imgbuild.pipeline import Request, prepare
from imgbuild.render.nodefile import NodeFile


@click.command("diff")
@click.argument("a")
@click.argument("b")
@click.option("--layer", "-l", "layers", metavar="NAME|FILE", multiple=True, help="Lay this over both.")
@click.option("--mode", type=click.Choice(["baked", "stock"]))
@ends_well
def command(says: Says, a: str, b: str, layers: tuple[str, ...], mode: str | None) -> None:
    """Show how the node files of two profiles differ. Secrets are never shown."""
    for line in unified(Request(a, layers, (), mode), Request(b, layers, (), mode)):
        click.echo(line)


def unified(a: Request, b: Request) -> Iterator[str]:
    """A unified diff of everything that two profiles put on a node; a secret's content is left out."""
    old, new = (_files(request) for request in (a, b))
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        if before is not None and after is not None and before.mode != after.mode:
            yield f"mode {before.mode:04o} -> {after.mode:04o} {path}"
        yield from map(mask, difflib.unified_diff(
            _lines(before), _lines(after),
            f"{a.profile}{path}" if before else "/dev/null", f"{b.profile}{path}" if after else "/dev/null",
            lineterm="",
        ))  # fmt: skip


def _files(request: Request) -> dict[str, NodeFile]:
    rendered = prepare(request, Findings()).rendered
    return {file.path: file for tree in (rendered.install, rendered.node) for file in tree.files}


def _lines(file: NodeFile | None) -> list[str]:
    if file is None:
        return []
    return ["(secret)"] if file.secret else file.content.decode("utf-8", "backslashreplace").splitlines()
