"""A bootable disk from a root file system and node files, without mounting anything.

No loop device, device-mapper or vfat of the host's kernel: it works in a container and in CI. Root is needed
for the files' owners and to run the target's own grub-mkimage in its root.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.drivers import BootDrivers, boot_drivers
from imgbuild.facts.live import INITRD as LIVE_INITRD
from imgbuild.facts.live import ROOT
from imgbuild.image.disk import bls, esp, grub, grubmenu, selinux
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.disk.partition import make_root, write_table
from imgbuild.image.formats.write import DiskRecord, ImageFiles, write_files
from imgbuild.image.live.disk import write_disk_files
from imgbuild.image.live.proof import prove_initrd
from imgbuild.image.live.root import LiveParts, take_initrd, write_root
from imgbuild.image.overlay import enable_units, inside, lay
from imgbuild.image.preload import Preload
from imgbuild.image.proof.bootproof import BootProof, prove
from imgbuild.image.rootfs.build import Rootfs
from imgbuild.image.scratch import scratch
from imgbuild.image.sizes import MIB
from imgbuild.image.tool import no_space, run
from imgbuild.outputs.pxe import INITRD
from imgbuild.render.nodefile import NodeTree

# What must exist for the guest's first process; diskimage-builder's tar has no proc and sys at all.
_MOUNT_POINTS = {
    "dev": 0o755,
    "proc": 0o555,
    "sys": 0o555,
    "run": 0o755,
    "tmp": 0o1777,
    "mnt": 0o755,
    "boot/efi": 0o700,
}


@dataclass(frozen=True)
class Assembled:
    """What became of a root file system."""

    proof: BootProof
    disk: DiskRecord
    epoch: int
    """The date of its files (seconds)."""


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
) -> Assembled:
    """Write the disk's ``files`` and return what its boot loader was proven to start.

    ``drivers`` must be in the initramfs (None: those of every image); ``preload`` are container images for first boot;
    ``live``: a live root is made, too. ``work`` is a folder for temporary files (about three times the root file
    system); it is emptied at the end, and by the next run after a kill. Each file appears complete or not at all.

    Raises:
        HostError: no root, no space, a unit that does not exist, a disk that would not boot.
    """
    if os.geteuid() != 0:
        raise HostError("a disk image can only be made as root", "run imgbuild with sudo, or with --no-image")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or rootfs.tar.stat().st_mtime)
    try:
        with scratch(work, "assemble") as folder:
            root = folder / "root"
            with steps.step("Unpack the root file system"):
                unpack(rootfs.tar, root)
            if live is not None:
                take_initrd(root, LIVE_INITRD, live.folder, INITRD)
            with steps.step("Add the node files"):
                lay(root, tree, epoch)
                enable_units(root, tree)
                configure(root, layout)
                for path in grub.drop_extras(root, layout.boot):
                    steps.note(f"removed {path} of the base: it adds to the boot menu, and can change what starts")
                boot = boot_files(root, layout, kernel_args)
            if preload is not None:
                with steps.step("Add the container images"):
                    preload.lay(root, epoch)
            if layout.selinux:
                with steps.step("Label the files for SELinux"):
                    selinux.label(root)
            with steps.step("Make the disk"):
                disk = folder / "disk.raw"
                make_disk(disk, root, layout, boot, folder, epoch)
            with steps.step("Prove what it boots"):
                proof = prove(disk, layout, boot.kernel, folder, drivers)
                steps.note(f"{layout.firmware} starts {proof.kernel}")
            if live is not None:
                with steps.step("Make the live root"):
                    initrd = (live.folder / INITRD).read_bytes()
                    prove_initrd(initrd, root, proof.kernel, live.facts, drivers or boot_drivers())
                    write_disk_files(disk, root, layout, live.folder, live.facts.install_compression)
                    write_root(root, live, layout, proof.kernel, folder, epoch)
                steps.note(f"{ROOT} has {(live.folder / ROOT).stat().st_size >> 20} MiB")
            shutil.rmtree(root, ignore_errors=True)
            with steps.step(f"Write it as {', '.join(files.formats)}"):
                record = write_files(disk, files, folder, epoch, steps)
    except OSError as err:
        if err.errno in {28, 122}:  # ENOSPC, EDQUOT
            raise no_space("make the disk image") from err
        raise
    return Assembled(proof, record, epoch)


def unpack(tar: Path, root: Path) -> None:
    """Unpack the root file system's tar with owners, modes, capabilities and labels.

    The device nodes in it are the build host's: diskimage-builder binds /dev while it packs.
    """
    root.mkdir()
    argv: list[str | Path] = ["tar", "--extract", "--file", tar, "--directory", root, "--numeric-owner"]
    argv += ["--same-owner", "--same-permissions", "--xattrs", "--xattrs-include=*"]
    run([*argv, "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*"], what="unpack the root file system")
    for name, mode in _MOUNT_POINTS.items():
        path = inside(root, f"/{name}")
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)


def configure(root: Path, layout: DiskLayout) -> None:
    """Write what depends on this disk and not on its boot loader; remove what belongs to the build host."""
    boot = layout.boot
    fstab = [f"UUID={layout.root_uuid}\t/\text4\t{boot.root_options}\t0 1"]
    if layout.firmware == "efi":
        # nofail: a running node does not need it, and must come up to be repaired.
        fstab.append(f"UUID={layout.esp_fs_uuid}\t{layout.esp_mount}\tvfat\tumask=0077,nofail\t0 0")
    _write(root, "/etc/fstab", "".join(f"{line}\n" for line in fstab).encode())
    # Empty, not "uninitialized" and not missing: those two make systemd enable every unit it knows at first boot.
    _write(root, "/etc/machine-id", b"", 0o444)
    for key in inside(root, "/etc/ssh/x").parent.glob("ssh_host_*"):
        key.unlink()
    if not inside(root, "/etc/resolv.conf").is_symlink():
        _write(root, "/etc/resolv.conf", b"")


@dataclass(frozen=True)
class BootFiles:
    """The content of the boot loader's partition."""

    kernel: str
    """The version of the kernel that the disk must start."""
    core: bytes
    """GRUB's core image (BIOS), empty if the EFI programs are the distribution's own."""
    esp: Mapping[str, bytes]
    """The ESP's files; none on BIOS."""


def boot_files(root: Path, layout: DiskLayout, kernel_args: Sequence[str]) -> BootFiles:
    """Write the boot menu and its settings into the root, and return what goes into the other partition.

    Raises:
        HostError: no kernel, no boot entry, no boot loader in the root.
    """
    boot = layout.boot
    kernel, versions = grub.installed_kernel(root), grub.kernel_versions(root, boot)
    if kernel not in versions:
        raise HostError(
            f"the kernel that was installed ({kernel}) is not among {boot.kernel_prefix}{{{','.join(versions)}}}",
            "check the step 30-kernel in the build log",
        )
    versions.remove(kernel)
    versions.insert(0, kernel)
    menu = grubmenu.menu(layout, versions, kernel_args)
    entry = bls.name_of(root, kernel) if boot.menu == "bls" else grubmenu.entry_title(layout, kernel)
    environment = grubmenu.environment_block(grubmenu.environment(layout, entry, kernel_args))
    _write(root, boot.defaults_file, grubmenu.defaults(layout, kernel_args).encode())
    config, variables = f"{boot.grub_dir}/grub.cfg", f"{boot.grub_dir}/grubenv"

    if layout.firmware == "efi" and boot.signed_efi:
        files = esp.signed(root, layout, menu, environment)
        # The ESP is mounted over it: files below would take space and never be seen.
        mount = inside(root, f"{layout.esp_mount}/x").parent
        shutil.rmtree(mount)
        mount.mkdir(mode=0o700)
        inside(root, config).unlink(missing_ok=True)
        # Where grub2-editenv and kernel-install look; a relative link, as grub2-efi-x64's own.
        relative = os.path.relpath(f"{boot.signed_efi}/grubenv", boot.grub_dir)
        inside(root, variables).unlink(missing_ok=True)
        inside(root, variables).symlink_to(relative)
        return BootFiles(kernel, b"", files)

    _write(root, config, menu.encode(), 0o600)
    # grubenv can be a link to the ESP, which a BIOS GRUB cannot follow: always a file of its own here.
    _write(root, variables, environment, 0o600)
    core = grub.core_image(root, layout)
    grub.install_files(root, layout, core)
    return BootFiles(kernel, core, esp.linked(core) if layout.firmware == "efi" else {})


def make_disk(disk: Path, root: Path, layout: DiskLayout, boot: BootFiles, work: Path, epoch: int) -> None:
    """Write the raw disk: root file system, partition table, boot loader."""
    with disk.open("wb") as out:
        out.truncate(layout.size_mib * MIB)
    make_root(disk, layout, root, work, epoch)
    write_table(disk, layout)
    if layout.firmware == "bios":
        grub.write_boot_sector(disk, root, layout, boot.core)
    else:
        esp.write_esp(disk, layout, boot.esp, work, epoch)


def _write(root: Path, path: str, content: bytes, mode: int = 0o644) -> None:
    """Write one of imgbuild's files; a link in its place is replaced."""
    place = inside(root, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.write_bytes(content)
    place.chmod(mode)
