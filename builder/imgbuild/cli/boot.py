"""`imgbuild boot DIR`: one output folder, booted with the seed of one of its nodes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from imgbuild.cli.options import Place
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.profile.storage import SIZE, size_bytes
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.formats import bootable
from imgbuild.machine.access import Access, access, forward
from imgbuild.machine.boot import boot
from imgbuild.machine.result import BootResult, result_fields
from imgbuild.machine.spec import Accelerator, MachineSpec
from imgbuild.machine.stay import Stay
from imgbuild.machine.table import print_checks
from imgbuild.outputs.caller import give_tree
from imgbuild.outputs.manifest import mixed, read_manifest


@click.command("boot", cls=Command)
@click.argument("folder", type=Place())
@ends_well
@click.option("--check", is_flag=True, help="Run the checks in the guest; exit with 0 only if all of them pass.")
@click.option("--ssh", is_flag=True, help="Keep the guest running and print how to log in; Ctrl-C ends it.")
@click.option(
    "--stay",
    metavar="SECONDS",
    type=click.IntRange(1, 86400),
    default=3600,
    show_default=True,
    help="Time limit of --ssh, from when the guest's SSH server answers.",
)
@click.option(
    "--online",
    is_flag=True,
    help="Let the guest reach the host and its network; without it, nothing leaves the guest.",
)
@click.option("--node", metavar="NAME", help="Boot with the seed of this node. Default: the first node.")
@click.option(
    "--disk",
    "disks",
    metavar="SIZE[:SERIAL]",
    multiple=True,
    help="Give the guest one more blank disk, for `disks` in the profile: 20GB, or 20GB:data for "
    "/dev/disk/by-id/virtio-data (repeatable). It is discarded with the guest.",
)
@click.option("--mixed", is_flag=True, help="Boot even if image and seeds come from different runs.")
@click.option(
    "--seconds",
    metavar="SECONDS",
    type=click.IntRange(10, 7200),
    default=600,
    show_default=True,
    help="Time limit for the boot.",
)
@click.option(
    "--memory",
    metavar="MIB",
    type=click.IntRange(512, 65536),
    default=2048,
    show_default=True,
    help="Memory of the guest.",
)
@click.option(
    "--accel",
    type=click.Choice(["tcg", "kvm"]),
    default="tcg",
    show_default=True,
    help="tcg: emulation, works everywhere; kvm: much faster, needs /dev/kvm.",
)
def command(
    says: Says,
    folder: Path,
    check: bool,
    ssh: bool,
    stay: int,
    online: bool,
    node: str | None,
    disks: tuple[str, ...],
    mixed: bool,
    seconds: int,
    memory: int,
    accel: Accelerator,
) -> int:  # fmt: skip
    """Boot the image in FOLDER, such as out/debian12-efi, in QEMU with the seed of a node."""
    if check and ssh:
        raise click.UsageError("pass --check or --ssh: the one ends the guest after its report, the other keeps it")

    def tell(how: Access, port: int) -> None:
        for line in how.commands(port):
            if says.json:
                says.event("ssh", port=port, command=line)
            else:
                says.out.print(line, markup=False, soft_wrap=True, highlight=False)
        says.note(f"the guest runs until Ctrl-C, for at most {stay} s")

    result = boot_folder(
        folder,
        says.steps(),
        check=check,
        node=node,
        mixed_runs=mixed,
        seconds=seconds,
        memory_mib=memory,
        accel=accel,
        online=online,
        disks=[_disk(text) for text in disks],
        keep=(tell, stay) if ssh else None,
    )
    if says.json:
        says.result(**result_fields(result))
    else:
        show(result, says.out)
    return 0 if result.ok else 3


def boot_folder(
    folder: Path,
    steps: Steps,
    *,
    check: bool,
    node: str | None,
    mixed_runs: bool,
    seconds: int,
    memory_mib: int,
    accel: Accelerator,
    online: bool = False,
    disks: Sequence[tuple[str, int]] = (),
    keep: tuple[Callable[[Access, int], None], float] | None = None,
) -> BootResult:
    """Boot the image in ``folder``.

    ``disks``: blank disks for data, each with its serial number (may be empty) and its size in bytes.
    ``keep``: keep the guest running for so many seconds once it is told how to log in, and at which port.

    Raises:
        HostError: there is nothing to boot, QEMU is missing, or groups are from different runs (unless ``mixed_runs``).
        UsageError: the folder has no such node.
    """
    manifest = read_manifest(folder)
    reasons = mixed(folder, manifest)
    if reasons and not mixed_runs:
        raise HostError(f"{folder} is a mixed tree: {'; '.join(reasons)}", "build it again, or pass --mixed")
    spec, name = spec_of(folder, manifest, node, memory_mib, accel)
    spec, kept = replace(spec, online=online), spec.disk.with_suffix(".boot")
    try:
        with tempfile.TemporaryDirectory(prefix="imgbuild-boot-") as work:
            stay = None
            spec = replace(spec, data_disks=tuple(_blank(Path(work), disks)))
            if keep is not None:
                tell, limit = keep
                how = access(folder / "nodes" / name, Path(work))
                network = folder / "nodes" / name / "network-config"
                config = network.read_bytes() if network.is_file() else None
                spec = replace(spec, ssh=forward(config, spec.macs), seed=how.seed)
                stay = Stay(lambda port: tell(how, port), limit)
            return boot(
                spec,
                steps,
                kept,
                check=check,
                required=frozenset(manifest["groups"]["nodes"].get("checks", [])),
                expected={"hostname": name},
                seconds=float(seconds),
                stay=stay,
            )
    finally:
        if kept.is_dir() and not kept.is_symlink():
            give_tree(kept)


_DISK = re.compile(rf"({SIZE.pattern})(?::([A-Za-z0-9_.-]{{1,20}}))?")  # a serial number of virtio has 20 bytes


def _disk(text: str) -> tuple[str, int]:
    """A disk as it is written: serial number and bytes."""
    found = _DISK.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a size: write 20GB, 100MiB or 20GB:SERIAL", param_hint="'--disk'")
    return found[found.re.groups] or "", size_bytes(found[1])


def _blank(folder: Path, disks: Sequence[tuple[str, int]]) -> Iterator[tuple[str, Path]]:
    """Files for blank disks: they take space only where the guest writes."""
    for number, (serial, size) in enumerate(disks):
        path = folder / f"disk{number}.raw"
        with path.open("wb") as file:
            file.truncate(size // 512 * 512)
        yield serial or f"imgbuild-data{number}", path


def spec_of(
    folder: Path, manifest: Mapping[str, Any], node: str | None, memory_mib: int, accel: Accelerator
) -> tuple[MachineSpec, str]:
    """The machine that boots this folder's image with the seed of ``node``, and that node's name."""
    image = manifest["groups"].get("image")
    files = (image or {}).get("files", {})
    found = bootable(files)
    if found is None and files:
        hint = "add qcow2 to image.formats and build it again"
        raise HostError(f"QEMU can read none of the disk images in {folder}: {', '.join(files)}", hint)
    if found is None:
        raise HostError(f"{folder} has no disk image", "build it without --no-image (as root, on a supported target)")
    disk, driver = found
    nodes: Mapping[str, Any] = manifest["groups"]["nodes"].get("nodes", {})
    name = node or next(iter(nodes), "")
    if name not in nodes:
        raise UsageError(f"{folder} has no node {name!r}", f"use one of its nodes: {', '.join(nodes) or 'none'}")
    macs = tuple(nodes[name])
    spec = MachineSpec(
        firmware=manifest["firmware"],
        disk=folder / disk,
        driver=driver,
        seed=folder / "nodes" / name / "seed.iso",
        memory_mib=memory_mib,
        accel=accel,
    )
    return replace(spec, macs=macs) if macs else spec, name


def show(result: BootResult, console: Console) -> None:
    """The checks, what went wrong, and where the console log, the screenshot and the boot plot are."""
    if result.checks:
        print_checks(result.checks, console)
    if result.times is not None:
        console.print(str(result.times), markup=False)
    if not result.ok:
        console.print(result.failure(), markup=False)
    for what, path in result.files.items():
        console.print(f"{what}: {path}", markup=False)
