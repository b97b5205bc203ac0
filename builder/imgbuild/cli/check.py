"""`imgbuild check`: every finding, and nothing else."""

from __future__ import annotations

import click

from imgbuild.cli.options import Given, input_options
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.diagnostics.findings import Findings
from imgbuild.pipeline import prepare


@click.command("check", cls=Command)
@ends_well
@input_options()
def command(says: Says, given: Given) -> None:
    """Report everything that is wrong with the input, and write nothing."""
    findings = Findings()
    prepare(given.request(), findings, base=True)
    says.findings(findings)
    if not findings.items and not says.json:
        says.out.print("no findings")
