"""`imgbuild profiles`: the profiles, layers and targets that imgbuild ships."""

from __future__ import annotations

import click

from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.shipped import shipped


@click.command("profiles", cls=Command)
@ends_well
def command(says: Says) -> None:
    """List the profiles, layers and targets that imgbuild ships."""
    names = {kind: shipped(kind) for kind in ("profiles", "layers", "targets")}
    if says.json:
        says.result(**names)
        return
    for kind, known in names.items():
        click.echo(f"{kind}: {', '.join(known)}")
