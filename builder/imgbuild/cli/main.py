"""The command line's entry: the build, which is what imgbuild does without a command, and the group of the others.

Everything is imported for its own command only: half of a run is importing.
"""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from imgbuild import __version__
from imgbuild.cli.commands import Commands
from imgbuild.cli.options import Given, input_options, output_option
from imgbuild.cli.output import Says, ends_well
from imgbuild.diagnostics.findings import Findings


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
@ends_well
@input_options(required=False)
@output_option("The result goes to a folder in it, named after the profile.")
@click.option("--no-image", is_flag=True, help="Seeds, cloud, PXE and elements only: no root, no network.")
@click.option("--fresh", is_flag=True, help="Build everything again, whatever the cache holds.")
@click.version_option(__version__, prog_name="imgbuild")
def main(says: Says, context: click.Context, given: Given, output: Path, no_image: bool, fresh: bool) -> None:
    """Bake a Kubernetes node: disk image, seed ISO, PXE files and cloud user-data from one profile.

    \b
    imgbuild --profile centos7-efi              everything
    imgbuild --profile centos7-efi --no-image   what needs no root
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
            raise click.UsageError(f"put the options behind the command: imgbuild {context.invoked_subcommand} …")
        return
    request = given.request()
    from imgbuild.image.cache import default_cache
    from imgbuild.pipeline import prepare, write

    findings = Findings()
    ready = prepare(request, findings)
    says.findings(findings)
    place = write(ready, output, says.steps(), image=not no_image, cache=default_cache(), fresh=fresh)
    says.out.print(str(place))
