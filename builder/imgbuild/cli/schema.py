"""`imgbuild schema`: the JSON Schema of a profile, a cluster file or a lock, for editors."""

from __future__ import annotations

import json

import click

from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.schema import KINDS, Kind, json_schema


@click.command("schema", cls=Command)
@click.argument("kind", metavar="|".join(KINDS), type=click.Choice(KINDS))
@ends_well
def command(says: Says, kind: Kind) -> None:
    """Print the JSON Schema of a profile, of a cluster file or of a lock, for editors."""
    if says.json:
        says.result(schema=json_schema(kind))
        return
    click.echo(json.dumps(json_schema(kind), indent=2, ensure_ascii=False))
