"""The command line's entry: the build, which runs if no command is given, and the group of the other commands.

Each command imports only what it needs: imports take half the run time.
"""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from imgbuild import __version__
from imgbuild.cli.commands import Commands
from imgbuild.cli.options import Given, Place, input_options, name_option, output_option, store_option
from imgbuild.cli.output import Says, ends_well


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
@ends_well
@input_options(required=False)
@output_option("Folder for the results; each profile gets a folder in it.")
@name_option
@click.option(
    "--no-image",
    is_flag=True,
    help="Write seeds, cloud user-data, PXE files and elements, but no disk image: needs no root and no network.",
)
@store_option
@click.option(
    "--offline",
    is_flag=True,
    help="Use no network: build from what is in the store and the cache, and report at the start what is missing.",
)
@click.option("--fresh", is_flag=True, help="Build the disk image without the root file systems in the cache.")
@click.option(
    "--sign-key",
    metavar="FILE",
    type=Place(),
    help="Sign the manifest and the checksums of the disk image with this SSH key.",
)
@click.version_option(__version__, prog_name="imgbuild")
def main(
    says: Says, context: click.Context, given: Given, output: Path, name: str | None, no_image: bool,
    store: str | None, offline: bool, fresh: bool, sign_key: Path | None,
) -> None:  # fmt: skip
    """Bake a Kubernetes node: disk image, seed ISO, PXE files and cloud user-data from one profile.

    \b
    imgbuild --profile centos7-efi              build everything
    imgbuild --profile centos7-efi --no-image   build what needs no root
    imgbuild init                               write a profile of your own to start from
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
            raise click.UsageError(f"put the options after the command: imgbuild {context.invoked_subcommand} …")
        return
    if offline and fresh:
        raise click.UsageError("--fresh builds the root file system again, for which --offline leaves no network")
    request = given.request(name)
    from imgbuild.diagnostics.findings import Findings
    from imgbuild.image.cache import default_cache
    from imgbuild.outputs.signature import open_signer
    from imgbuild.pipeline import prepare
    from imgbuild.pipeline.write import write

    signer = None if sign_key is None else open_signer(sign_key)
    findings = Findings()
    ready = prepare(request, findings)
    says.findings(findings)
    place = write(
        ready, output, says.steps(), image=not no_image, cache=default_cache(), fresh=fresh,
        store=store, offline=offline, signer=signer,
    )  # fmt: skip
    if says.json:
        says.result(folder=str(place))
    else:
        says.out.print(str(place))
