"""What a disk's root file system has besides packages and node files: mount points, fstab, boot loader."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.image.disk import bls, esp, grub, grubmenu
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.disk.partition import write_table
from imgbuild.image.overlay import enable_units, inside, lay
from imgbuild.image.preload import Preload
from imgbuild.image.tool import run
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


WRITTEN = ("/etc/fstab", "/etc/machine-id", "/etc/resolv.conf")
"""The files that `configure` replaces."""
HOST_KEYS = "etc/ssh/ssh_host_"
"""How the names of those begin that it removes."""


@dataclass(frozen=True)
class Additions:
    """What a build adds to a root file system. ``epoch``: the date of the files (seconds)."""

    layout: DiskLayout
    tree: NodeTree
    kernel_args: Sequence[str]
    preload: Preload | None
    epoch: int


def unpack(tar: Path, root: Path) -> None:
    """Unpack the root file system's tar with owners, modes, capabilities and labels.

    The device nodes in it are the build host's: diskimage-builder binds /dev while it packs.

    Raises:
        HostError: tar fails.
    """
    root.mkdir()
    argv: list[str | Path] = ["tar", "--extract", "--file", tar, "--directory", root, "--numeric-owner"]
    argv += ["--same-owner", "--same-permissions", "--xattrs", "--xattrs-include=*"]
    run([*argv, "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*"], what="unpack the root file system")
    for name, mode in _MOUNT_POINTS.items():
        path = inside(root, f"/{name}")
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)


def add(root: Path, additions: Additions, core: Callable[[], bytes], steps: Steps) -> BootFiles:
    """Write everything into ``root``; ``core`` gives GRUB's core image, where it is needed.

    Raises:
        HostError: a unit does not exist, or the root has no kernel or no boot loader.
        ImgbuildError: a kernel argument cannot be written to the boot menu.
    """
    with steps.step("Add the node files"):
        lay(root, additions.tree, additions.epoch)
        enable_units(root, additions.tree)
        configure(root, additions.layout)
        boot = boot_files(root, additions.layout, additions.kernel_args, core)
    if additions.preload is not None:
        with steps.step("Add the container images"):
            additions.preload.lay(root, additions.epoch)
    return boot


def write_boot_loader(disk: Path, root: Path, additions: Additions, boot: BootFiles, work: Path) -> None:
    """Write partition table and boot loader around the root file system of the raw ``disk``.

    Raises:
        HostError: sfdisk fails, or the core image is too large.
    """
    layout = additions.layout
    write_table(disk, layout)
    if layout.firmware == "bios":
        grub.write_boot_sector(disk, root, layout, boot.core)
    else:
        esp.write_esp(disk, layout, boot.esp, work, additions.epoch)


def configure(root: Path, layout: DiskLayout) -> None:
    """Write what depends on this disk and not on its boot loader; remove what belongs to the build host.

    Raises:
        HostError: a link in the root points out of it.
    """
    boot = layout.boot
    fstab = [f"UUID={layout.root_uuid}\t/\text4\t{boot.root_options}\t0 1"]
    if layout.firmware == "efi":
        # nofail: a running node does not need it, and must come up to be repaired.
        fstab.append(f"UUID={layout.esp_fs_uuid}\t{layout.esp_mount}\tvfat\tumask=0077,nofail\t0 0")
    fstab_file, machine_id, resolver = WRITTEN
    _write(root, fstab_file, "".join(f"{line}\n" for line in fstab).encode())
    # Empty, not "uninitialized" and not missing: those two make systemd enable every unit it knows at first boot.
    _write(root, machine_id, b"", 0o444)
    for key in inside(root, "/etc/ssh/x").parent.glob(f"{PurePath(HOST_KEYS).name}*"):
        key.unlink()
    if not inside(root, resolver).is_symlink():
        _write(root, resolver, b"")


@dataclass(frozen=True)
class BootFiles:
    """The content of the boot loader's partition."""

    kernel: str
    """The version of the kernel that the disk must start."""
    core: bytes
    """GRUB's core image (BIOS), empty if the EFI programs are the distribution's own."""
    esp: Mapping[str, bytes]
    """The ESP's files; none on BIOS."""


def boot_files(
    root: Path, layout: DiskLayout, kernel_args: Sequence[str], core_image: Callable[[], bytes]
) -> BootFiles:
    """Write the boot menu and its settings into the root, and return what goes into the other partition.

    Raises:
        HostError: no kernel, no boot entry, no boot loader in the root.
        ImgbuildError: a kernel argument cannot be written to the boot menu.
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
    core = core_image()
    grub.install_files(root, layout, core)
    return BootFiles(kernel, core, esp.linked(core) if layout.firmware == "efi" else {})


def _write(root: Path, path: str, content: bytes, mode: int = 0o644) -> None:
    """Write one of imgbuild's files; a link in its place is replaced."""
    place = inside(root, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.write_bytes(content)
    place.chmod(mode)
