"""`imgbuild export`: the nodes of a cluster, in the format of a system that runs fleets."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from imgbuild.cli.options import Given, input_options, name_option, output_option
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.diagnostics.findings import Findings
from imgbuild.export.given import Options
from imgbuild.export.systems import SYSTEMS
from imgbuild.pipeline.export import plan

_Callback = Callable[[click.Context, click.Parameter, str | None], str | None]


def _like(regex: str, what: str) -> _Callback:
    """A check of an option's value: it is written into scripts and documents that others read."""

    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(regex, value):
            raise click.BadParameter(f"{value!r} is not {what}", context, parameter)
        return value

    return check


def _each_like(regex: str, what: str) -> Callable[[click.Context, click.Parameter, Sequence[str]], Sequence[str]]:
    check = _like(regex, what)

    def each(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> Sequence[str]:
        for value in values:
            check(context, parameter, value)
        return values

    return each


_URL = r"(https?|docker|oci-archive)://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~%+@:/-]*)?"


@click.command("export", cls=Command)
@ends_well
@click.option(
    "--to",
    "systems",
    type=click.Choice(list(SYSTEMS)),
    multiple=True,
    required=True,
    help="The system that gets the nodes (repeatable).",
)
@input_options()
@output_option("Folder for the results; each profile gets a folder in it, and export/SYSTEM is in that.")
@name_option
@click.option(
    "--image-url",
    metavar="URL",
    callback=_like(_URL, "an address with http, https or docker, without a login"),
    help="Where the system fetches the disk image; a folder ends in a slash.",
)
@click.option(
    "--image-sha256",
    metavar="HEX",
    callback=_like("[0-9a-f]{64}", "a sha256: 64 digits 0-9 and a-f"),
    help="Its checksum. Default: that of the image in the output folder.",
)
@click.option(
    "--namespace",
    metavar="NAME",
    default="default",
    show_default=True,
    callback=_like("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "a name of a Kubernetes namespace"),
    help="Namespace of the Kubernetes objects.",
)
@click.option(
    "--network",
    "networks",
    metavar="NAME",
    multiple=True,
    callback=_each_like("(bridge:)?[A-Za-z0-9][A-Za-z0-9._/-]*", "a name of a network"),
    help="Network of virtual machines: once for all cards, or once for each (repeatable).",
)
@click.option(
    "--storage",
    metavar="NAME|DIR",
    callback=_like("[A-Za-z0-9/][A-Za-z0-9._/-]*", "a name of a storage, or a folder"),
    help="Where disks of virtual machines are: a storage of Proxmox, a storage class, a folder of libvirt's host.",
)
@click.option(
    "--memory",
    "memory_mib",
    metavar="MIB",
    type=click.IntRange(1024, 16 << 20),
    default=4096,
    show_default=True,
    help="Memory of a virtual machine.",
)
@click.option(
    "--cpus",
    metavar="N",
    type=click.IntRange(1, 1024),
    default=2,
    show_default=True,
    help="Processors of a virtual machine.",
)
@click.option(
    "--disk",
    "disk_gib",
    metavar="GIB",
    type=click.IntRange(4, 1 << 16),
    default=40,
    show_default=True,
    help="Size of a virtual machine's disk.",
)
def command(
    says: Says, given: Given, systems: Sequence[str], output: Path, name: str | None, image_url: str | None,
    image_sha256: str | None, namespace: str, networks: Sequence[str], storage: str | None, memory_mib: int, cpus: int,
    disk_gib: int,
) -> None:  # fmt: skip
    """Write the nodes of a cluster as the files of a system that runs fleets.

    \b
    imgbuild export --to metal3 --profile debian12-efi --cluster lab.yaml --image-url https://files.example.com/
    imgbuild export --to libvirt --profile debian12-efi --cluster lab.yaml
    """
    if image_sha256 is not None and (image_url is None or image_url.endswith("/")):
        raise click.UsageError("--image-sha256 is the checksum of one file: pass the address of that file, --image-url")
    options = Options(image_url, image_sha256, namespace, memory_mib, cpus, disk_gib, tuple(networks), storage)
    findings = Findings()
    export = plan(given.request(name), list(dict.fromkeys(systems)), options, output, findings)
    says.findings(findings)
    for system, folder in export.write(says.steps()).items():
        if says.json:
            says.event("exported", system=system, folder=str(folder), files=len(export.made[system]))
        else:
            says.out.print(str(folder))
    says.result(folder=str(output / export.ready.resolved.name))
