"""`imgbuild iso`: the live root of a build as a CD or USB image, for machines that do not boot over the network."""

from __future__ import annotations

from pathlib import Path

import click

from imgbuild.cli.options import Place
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.image.medium import write_iso
from imgbuild.outputs.medium import medium


@click.command("iso", cls=Command)
@click.argument("folder", type=Place())
@ends_well
@click.option("--node", metavar="NAME", help="Put the seed of this node on it. The medium then contains its secrets.")
@click.option("--install", is_flag=True, help="Without --node: install by default, on the smallest blank disk.")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=Place(),
    help="The image to write. Default: a file in FOLDER, named after it and the node.",
)
def command(says: Says, folder: Path, node: str | None, install: bool, output: Path | None) -> None:
    """Write the live root in FOLDER as an image for a CD or a USB disk.

    It boots with BIOS and with EFI. With --node, the machine does what that node has in `pxe.boot`.

    \b
    imgbuild iso out/debian12-efi                 a live system, and a menu to install without a seed
    imgbuild iso out/debian12-efi --node node1    the machine becomes node1
    """
    if node is not None and install:
        raise click.UsageError("--install is for a medium without a node: with --node set pxe.boot for that node")
    target = output or folder / f"{folder.resolve().name}{f'-{node}' if node else ''}.iso"
    made = medium(folder, node, install=install)
    with says.steps().step(f"Write {target}"):
        write_iso(made, target)
    if says.json:
        says.result(file=str(target), secret=made.secret)
    else:
        says.out.print(str(target))
    if made.secret:
        says.err.print(f"{target} contains the secrets of {node}: whoever has the medium has them")
