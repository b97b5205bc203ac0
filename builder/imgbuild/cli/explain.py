"""`imgbuild explain KEY|CODE`: what a key means and where its value came from; what a finding's code means."""

from __future__ import annotations

from pathlib import Path

import click

from imgbuild.cli import explain_code
from imgbuild.cli.completion import keys_to_explain
from imgbuild.cli.explain_key import as_json, explain, lines
from imgbuild.cli.options import Given, Place, input_options
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.load import load
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.node_settings import settle


@click.command("explain", cls=Command)
@click.argument("key", metavar="KEY|CODE", shell_complete=keys_to_explain)
@ends_well
@input_options(required=False, cluster=False)
@click.option(
    "--cluster", "nodes_file", metavar="FILE", type=Place(), help="Also show the values of this cluster file."
)
def command(says: Says, key: str, given: Given, nodes_file: Path | None) -> None:
    """Show what a key of a profile or a cluster file means, or a finding's code such as IB205.

    With --profile: its value, every file and line that set it, and what follows from it.

    Errors in the input do not stop it, because that is when you need to know where a value comes from.
    """
    if explain_code.is_code(key):
        row = explain_code.code(key)
        if says.json:
            says.result(**explain_code.as_json(row))
        else:
            for line in explain_code.lines(row, max(40, says.out.width)):
                click.echo(line)
        return
    findings = Findings()
    loaded = pinned = None
    if given.profile is not None:
        loaded = load(given.profile, given.layers, given.sets, given.mode, findings)
        if loaded is None:
            raise InvalidInput(findings)
        from imgbuild.pipeline import with_lock  # takes half the run time

        loaded, pinned = with_lock(given.request(), loaded, findings)
    elif given.layers or given.sets or given.mode:
        raise click.UsageError("--layer, --set and --mode require --profile, which they are applied on top of")
    nodes = load_cluster(nodes_file, findings) if nodes_file is not None else None
    if loaded is not None and nodes is not None:
        fill = pinned.fill if pinned else None
        loaded = settle(loaded, nodes.cluster, nodes.layered, Findings(), fill).resolved.loaded
    found = explain(key, loaded, nodes.layered if nodes is not None else None, render=not findings.errors)
    if says.json:
        says.result(**as_json(found))
    else:
        for line in lines(found, max(40, says.out.width)):
            click.echo(line)
    if findings.errors:
        raise InvalidInput(findings)
