"""A bootable disk from a root file system and node files, without mounting anything.

No loop device, device-mapper or vfat of the host's kernel: it works in a container and in CI. Root is needed
for the files' owners and to run the target's own grub-mkimage in its root.

The file system of a root is made once and kept (imgbuild.image.system); what a build adds is written into its copy.
Where the root's own tools would have to run for that, the whole root is unpacked, as it is without a cache.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.drivers import BootDrivers, boot_drivers
from imgbuild.facts.live import INITRD as LIVE_INITRD
from imgbuild.facts.live import ROOT
from imgbuild.image.blocks import DamagedError
from imgbuild.image.cache import Unfit, subfolder, verified
from imgbuild.image.content import Additions, add, unpack, write_boot_loader
from imgbuild.image.disk import grub, selinux
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.disk.partition import make_root
from imgbuild.image.formats.qcow2 import Compression
from imgbuild.image.formats.write import DiskRecord, ImageFiles, Written, compressions, write_files
from imgbuild.image.live.disk import write_disk_files
from imgbuild.image.live.proof import prove_initrd
from imgbuild.image.live.root import LiveParts, take_initrd, write_root
from imgbuild.image.preload import Preload
from imgbuild.image.proof.bootproof import BootProof, prove
from imgbuild.image.rootfs.build import Rootfs
from imgbuild.image.scratch import scratch, sweep_memory
from imgbuild.image.sizes import MIB
from imgbuild.image.system import kept
from imgbuild.image.system.edited import Disk, Source, edited, why_whole
from imgbuild.image.system.kept import System
from imgbuild.image.system.make import make
from imgbuild.image.tool import no_space
from imgbuild.outputs.pxe import INITRD
from imgbuild.render.nodefile import NodeTree


@dataclass(frozen=True)
class Assembled:
    """What became of a root file system."""

    proof: BootProof
    disk: DiskRecord
    sums: Mapping[str, str]
    """The sha256 of each file of the disk, by name."""


def assemble(
    rootfs: Rootfs,
    layout: DiskLayout,
    tree: NodeTree,
    kernel_args: Sequence[str],
    files: ImageFiles,
    work: Path,
    steps: Steps,
    drivers: BootDrivers | None = None,
    preload: Preload | None = None,
    live: LiveParts | None = None,
    cache: Path | None = None,
    known: Callable[[DiskRecord, int], None] = lambda _disk, _epoch: None,
) -> Assembled:
    """Write the disk's ``files`` and return what its boot loader was proven to start.

    ``drivers`` must be in the initramfs (None: those of every image); ``preload`` are container images for first boot;
    ``live``: a live root is made, too. ``work`` is a folder for temporary files (about three times the root file
    system); it is emptied at the end, and by the next run after a kill. ``cache``: the finished file system is kept
    there, and taken from there. ``known`` is called with the disk and the date of its files (seconds) as soon as these
    are known. Each file appears complete or not at all.

    Raises:
        HostError: no root, no space, a unit that does not exist, a disk that would not boot.
        ImgbuildError: a kernel argument cannot be written to the boot menu.
    """
    if os.geteuid() != 0:
        raise HostError("a disk image can only be made as root", "run imgbuild with sudo, or with --no-image")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or rootfs.tar.stat().st_mtime)
    additions = Additions(layout, tree, kernel_args, preload, epoch)

    def told(disk: DiskRecord) -> None:
        known(disk, epoch)

    sweep_memory()
    try:
        with scratch(work, "assemble") as folder, ExitStack() as stack:
            disk = None
            if cache is not None and live is None:  # a live root is made of the whole root
                kinds = compressions(files.formats)
                system = stack.enter_context(_system(rootfs, layout, cache, folder, epoch, kinds, steps))
                why = why_whole(additions, system)
                if why is None:
                    disk = edited(additions, system, folder, stack, steps)
                else:
                    steps.note(f"the whole root file system is unpacked: {why}")
            root = folder / "root"
            disk = disk or _whole(rootfs, additions, root, folder, live, steps)
            if disk.source is not None:
                proof, written = _prove_and_write(disk, disk.source, layout, drivers, files, folder, epoch, steps, told)
            else:
                with steps.step("Prove what it boots"):
                    proof = prove(disk.path, layout, disk.kernel, folder, drivers)
                    steps.note(f"{layout.firmware} starts {proof.kernel}")
                if live is not None:
                    _make_live(live, disk, root, additions, drivers, proof.kernel, folder, steps)
                shutil.rmtree(root, ignore_errors=True)
                with steps.step(f"Write it as {', '.join(files.formats)}"):
                    written = write_files(disk.path, files, folder, epoch, steps, known=told)
    except OSError as err:
        if err.errno in {28, 122}:  # ENOSPC, EDQUOT
            raise no_space("make the disk image") from err
        raise
    return Assembled(proof, written.disk, written.sums)


@contextmanager
def _system(
    rootfs: Rootfs, layout: DiskLayout, cache: Path, folder: Path, epoch: int, kinds: Set[Compression], steps: Steps
) -> Iterator[System]:
    """The finished file system of the root, from the cache or made now. ``kinds``: its packs that will be needed."""
    key = kept.key_of(rootfs.key, rootfs.sha256, layout)
    place = subfolder(cache, kept.FOLDER) / key
    with kept.opened(place, steps, kinds) as found:
        if found is not None:
            steps.note(f"file system {key[:12]} is in the cache")
            try:
                yield found
            except DamagedError:
                kept.discard(place)
                raise
            return
    _verify(rootfs)
    with steps.step("Unpack the root file system"):
        root = folder / "unpacked"
        unpack(rootfs.tar, root)
    with steps.step("Make the file system"):
        made = folder / "made"
        made.mkdir(mode=0o700)
        make(root, rootfs.key, layout, made, folder, epoch)
        shutil.rmtree(root)
        kept.keep(made, place, rootfs.name)
    with kept.opened(place, steps) as found:
        if found is None:
            raise HostError("the file system was removed from the cache while it was being made", "run imgbuild again")
        yield found


def _verify(rootfs: Rootfs) -> None:
    """Raise HostError if the root file system was only looked up, and is not what its record tells."""
    if not rootfs.verified:
        try:
            verified(rootfs.tar)
        except Unfit as why:
            raise HostError(
                f"the root file system in the cache cannot be used: {why}", "run imgbuild again: it builds a new one"
            ) from why


def _prove_and_write(
    disk: Disk,
    source: Source,
    layout: DiskLayout,
    drivers: BootDrivers | None,
    files: ImageFiles,
    folder: Path,
    epoch: int,
    steps: Steps,
    known: Callable[[DiskRecord], None],
) -> tuple[BootProof, Written]:
    """Both at once, for a disk most of which is kept: the one waits for tools, the other for the disk."""
    step = f"Prove what it boots, and write it as {', '.join(files.formats)}"
    with steps.step(step), ThreadPoolExecutor(1) as beside:
        proving = beside.submit(prove, disk.path, layout, disk.kernel, folder, drivers, disk.read)
        written = write_files(disk.path, files, folder, epoch, steps, source, known, proving)
        proof = proving.result()
        steps.note(f"{layout.firmware} starts {proof.kernel}")
    return proof, written


def _make_live(
    live: LiveParts,
    disk: Disk,
    root: Path,
    additions: Additions,
    drivers: BootDrivers | None,
    kernel: str,
    folder: Path,
    steps: Steps,
) -> None:
    """The live root, and what installs the disk from it; ``root`` is another one afterwards."""
    layout = additions.layout
    with steps.step("Make the live root"):
        initrd = (live.folder / INITRD).read_bytes()
        prove_initrd(initrd, root, kernel, live.facts, drivers or boot_drivers())
        write_disk_files(disk.path, root, layout, live.folder, live.facts.install_compression)
        write_root(root, live, layout, kernel, folder, additions.epoch)
    steps.note(f"{ROOT} has {(live.folder / ROOT).stat().st_size >> 20} MiB")


def _whole(
    rootfs: Rootfs, additions: Additions, root: Path, folder: Path, live: LiveParts | None, steps: Steps
) -> Disk:
    """The disk from the whole root, which is in ``root`` afterwards."""
    layout, disk = additions.layout, folder / "disk.raw"
    _verify(rootfs)
    with steps.step("Unpack the root file system"):
        unpack(rootfs.tar, root)
    if live is not None:
        take_initrd(root, LIVE_INITRD, live.folder, INITRD)
    for path in grub.drop_extras(root, layout.boot):
        steps.note(f"removed {path} of the base: it adds to the boot menu, and can change what starts")
    boot = add(root, additions, lambda: grub.core_image(root, layout), steps)
    if layout.selinux:
        with steps.step("Label the files for SELinux"):
            selinux.label(root)
    with steps.step("Make the disk"):
        with disk.open("wb") as out:
            out.truncate(layout.size_mib * MIB)
        make_root(
            disk, layout, root, folder, additions.epoch, offset=layout.root_offset, size=layout.root_bytes
        )  # fmt: skip
        write_boot_loader(disk, root, additions, boot, folder)
    return Disk(disk, boot.kernel)
