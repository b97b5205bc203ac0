"""GRUB without grub-install: the core image and the BIOS boot sector.

grub-install requires a mounted root and real devices. What it does is little: link modules into a
core image, copy modules into the boot folder, and write two places on the disk. osbuild does the same in its
stage org.osbuild.grub2.inst.
"""

from __future__ import annotations

import re
import shutil
import struct
from pathlib import Path

from imgbuild.config.target import Boot
from imgbuild.diagnostics.errors import HostError
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.overlay import inside
from imgbuild.image.sizes import MIB, SECTOR
from imgbuild.image.tool import run

_FORMATS = {"bios": "i386-pc", "efi": "x86_64-efi"}
_SCRATCH = ".imgbuild-grub"
_KERNEL = "usr/share/imgbuild/kernel"
# What grub-mkconfig's menus read beside themselves, from the first kernel update on (util/grub.d/41_custom.in, EL's
# 01_users): entries, another default, a password.
_EXTRAS = ("custom.cfg", "user.cfg")

# Offsets in boot.img and diskboot.img (grub-core/boot/i386/pc/{boot,diskboot}.S, include/grub/i386/pc/boot.h).
_KERNEL_SECTOR = 0x5C
_BOOT_DRIVE = 0x64
_DRIVE_CHECK = 0x66
_KEEP_FROM, _KEEP_TO = 0x1B8, 0x1FE
_BLOCKLIST = SECTOR - 12
PROTECTIVE_STATUS = 0x1BE
"""Where the status of the first entry of a master boot record is, which is the protective one of a GPT."""
ACTIVE = 0x80
_PROTECTIVE_TYPE = 0xEE
_LOAD_SEGMENT = 0x820


def early_config(layout: DiskLayout) -> str:
    """What the core image does first: find the root file system by UUID, then continue as grub-install's does.

    GRUB itself enters normal mode afterwards and reads grub.cfg in the prefix.
    """
    return f"search.fs_uuid {layout.root_uuid} root\nset prefix=($root){layout.boot.grub_dir}\n"


def core_image(root: Path, layout: DiskLayout) -> bytes:
    """The core image (BIOS: core.img, EFI: the program for the ESP), made by the target's own grub-mkimage.

    Raises:
        HostError: the root has no grub-mkimage, or it fails.
    """
    boot = layout.boot
    modules = boot.module_dirs[layout.firmware]
    need(root, boot.mkimage, "grub-mkimage")
    need(root, f"{modules}/moddep.lst", f"GRUB's modules for {layout.firmware}")
    scratch = root / _SCRATCH
    scratch.mkdir()
    try:
        (scratch / "early.cfg").write_text(early_config(layout))
        argv: list[str | Path] = ["chroot", root, boot.mkimage, "-O", _FORMATS[layout.firmware], "-d", modules]
        argv += ["-c", f"/{_SCRATCH}/early.cfg", "-p", boot.grub_dir, "-o", f"/{_SCRATCH}/core"]
        run([*argv, *boot.core_modules[layout.firmware]], what="link GRUB's core image")
        return (scratch / "core").read_bytes()
    finally:
        shutil.rmtree(scratch)


def install_files(root: Path, layout: DiskLayout, core: bytes) -> None:
    """Copy the modules beside grub.cfg, as grub-install does: menus load modules from there that the core lacks."""
    source = root / layout.boot.module_dirs[layout.firmware].lstrip("/")
    target = root / layout.boot.grub_dir.lstrip("/") / _FORMATS[layout.firmware]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.suffix in {".mod", ".lst", ".img"} and not path.name.startswith(("cdboot", "pxeboot", "lnxboot")):
            shutil.copyfile(path, target / path.name)
    (target / ("core.img" if layout.firmware == "bios" else "core.efi")).write_bytes(core)


def drop_extras(root: Path, boot: Boot) -> list[str]:
    """Remove the base's additions to the boot menu, which could start something else; the paths of what there was.

    Raises:
        HostError: a link in the root points out of it.
    """
    found = []
    for folder in (boot.grub_dir, boot.signed_efi):
        for name in _EXTRAS if folder is not None else ():
            path = inside(root, f"{folder}/{name}")
            if path.is_symlink() or path.is_file():
                path.unlink()
                found.append(f"{folder}/{name}")
    return found


def write_boot_sector(disk: Path, root: Path, layout: DiskLayout, core: bytes) -> None:
    """Put boot.img into the first sector and ``core`` into the BIOS boot partition, as grub-bios-setup would.

    Raises:
        HostError: the core image is larger than the partition.
    """
    boot_img = (root / layout.boot.module_dirs["bios"].lstrip("/") / "boot.img").read_bytes()
    room = MIB
    if len(core) > room:
        raise HostError(f"GRUB's core image ({len(core)} bytes) is larger than the BIOS boot partition ({room})")
    first = MIB // SECTOR
    with disk.open("r+b") as out:
        sector = out.read(SECTOR)
        out.seek(0)
        out.write(patch_boot_sector(boot_img, sector, first))
        out.seek(first * SECTOR)
        out.write(patch_core(core, first))


def patch_boot_sector(boot_img: bytes, sector: bytes, core_sector: int) -> bytes:
    """GRUB's boot.img, with the place of the core image; the disk's own signature and partition table are kept.

    Raises:
        ValueError: one of the two is not a sector.
    """
    if len(boot_img) != SECTOR or len(sector) != SECTOR:
        raise ValueError("a boot sector has 512 bytes")
    out = bytearray(boot_img)
    struct.pack_into("<Q", out, _KERNEL_SECTOR, core_sector)
    out[_BOOT_DRIVE] = 0xFF  # boot from the drive that the BIOS names
    out[_DRIVE_CHECK : _DRIVE_CHECK + 2] = b"\x90\x90"  # do not guess the drive: two no-operations
    out[_KEEP_FROM:_KEEP_TO] = sector[_KEEP_FROM:_KEEP_TO]
    if out[PROTECTIVE_STATUS + 4] == _PROTECTIVE_TYPE:
        # UEFI requires 0 and reads no boot sector; older BIOSes of HP and Lenovo start no disk without an active entry.
        out[PROTECTIVE_STATUS] = ACTIVE
    return bytes(out)


def patch_core(core: bytes, core_sector: int) -> bytes:
    """``core`` with the list of its own remaining sectors in its first one, padded to whole sectors."""
    sectors = -(-len(core) // SECTOR)
    out = bytearray(core.ljust(sectors * SECTOR, b"\0"))
    struct.pack_into("<QHH", out, _BLOCKLIST, core_sector + 1, sectors - 1, _LOAD_SEGMENT)
    return bytes(out)


def kernel_versions(root: Path, boot: Boot) -> list[str]:
    """The versions of the kernels in the root, newest first.

    Raises:
        HostError: there is none.
    """
    prefix = Path(boot.kernel_prefix.lstrip("/"))
    found = [p.name.removeprefix(prefix.name) for p in (root / prefix.parent).glob(f"{prefix.name}*")]
    if not found:
        raise HostError(
            f"the root file system has no kernel ({boot.kernel_prefix}*)",
            "check the install script's part of the build log: it must install a kernel",
        )
    return sorted(found, key=version_key, reverse=True)


def installed_kernel(root: Path) -> str:
    """The version of the kernel that the install scripts chose (the step 30-kernel records it).

    Raises:
        HostError: they recorded none.
    """
    path = root / _KERNEL
    text = path.read_text().strip() if path.is_file() else ""
    if not text:
        raise HostError(
            f"the root file system does not record which kernel was installed (/{_KERNEL})",
            "check the step 30-kernel in the build log",
        )
    return text


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts kernel versions as grub-mkconfig does: numbers as numbers, a tilde before everything."""
    parts = re.findall(r"\d+|~|[^\d~]+", version)
    return (*((2, int(p), "") if p.isdigit() else (-1 if p == "~" else 1, 0, p) for p in parts), (0, 0, ""))


def need(root: Path, path: str, what: str) -> None:
    """Refuse a root without one of GRUB's files. Raises HostError."""
    if not (root / path.lstrip("/")).exists():
        raise HostError(
            f"the root file system lacks {what} ({path})",
            "check that the target's GRUB packages are in the install script's list",
        )
