"""`imgbuild profiles`: what ships with imgbuild."""

from __future__ import annotations

import click

from imgbuild.cli.output import Says, ends_well
from imgbuild.config.layers import shipped


@click.command("profiles")
@ends_well
def command(says: Says) -> None:
    """List the profiles, layers and targets that imgbuild ships."""
    for kind in ("profiles", "layers", "targets"):
        click.echo(f"{kind}: {', '.join(shipped(kind))}")
