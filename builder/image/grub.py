"""GRUB without grub-install: the core image, the BIOS boot sector, the first grub.cfg.

grub-install wants a mounted root and real devices. What it does in the end is little: link modules into a
core image, copy modules into the boot folder, and write two places on the disk. osbuild does the same in its
stage org.osbuild.grub2.inst.
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

from builder.errors import HostError, ImgbuildError
from builder.image.command import run
from builder.image.layout import MIB, SECTOR, DiskLayout
from builder.target import Boot

_FORMATS = {"bios": "i386-pc", "efi": "x86_64-efi"}
_SCRATCH = ".imgbuild-grub"

# Offsets in boot.img and diskboot.img (grub-core/boot/i386/pc/{boot,diskboot}.S, include/grub/i386/pc/boot.h).
_KERNEL_SECTOR = 0x5C
_BOOT_DRIVE = 0x64
_DRIVE_CHECK = 0x66
_KEEP_FROM, _KEEP_TO = 0x1B8, 0x1FE
_BLOCKLIST = SECTOR - 12
_LOAD_SEGMENT = 0x820


def early_config(layout: DiskLayout) -> str:
    """What the core image does first: find the root file system by UUID, then go on as grub-install's does.

    GRUB itself enters normal mode afterwards and reads grub.cfg in the prefix.
    """
    return f"search.fs_uuid {layout.root_uuid} root\nset prefix=($root){layout.boot.grub_dir}\n"


def core_image(root: Path, layout: DiskLayout) -> bytes:
    """The core image (BIOS: core.img, EFI: the program for the ESP), made by the target's own grub-mkimage."""
    boot = layout.boot
    modules = boot.module_dirs[layout.firmware]
    _need(root, boot.mkimage, "grub-mkimage")
    _need(root, f"{modules}/moddep.lst", f"GRUB's modules for {layout.firmware}")
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
    """Copy the modules beside grub.cfg, as grub-install does: menus load from there what the core lacks."""
    source = root / layout.boot.module_dirs[layout.firmware].lstrip("/")
    target = root / layout.boot.grub_dir.lstrip("/") / _FORMATS[layout.firmware]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.suffix in {".mod", ".lst", ".img"} and not path.name.startswith(("cdboot", "pxeboot", "lnxboot")):
            shutil.copyfile(path, target / path.name)
    (target / ("core.img" if layout.firmware == "bios" else "core.efi")).write_bytes(core)


def write_boot_sector(disk: Path, root: Path, layout: DiskLayout, core: bytes) -> None:
    """Put boot.img into the first sector and ``core`` into the BIOS boot partition, as grub-bios-setup would."""
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
    """GRUB's boot.img, told where the core image lies; the disk's own signature and partition table stay."""
    if len(boot_img) != SECTOR or len(sector) != SECTOR:
        raise ValueError("a boot sector has 512 bytes")
    out = bytearray(boot_img)
    struct.pack_into("<Q", out, _KERNEL_SECTOR, core_sector)
    out[_BOOT_DRIVE] = 0xFF  # boot from the drive that the BIOS names
    out[_DRIVE_CHECK : _DRIVE_CHECK + 2] = b"\x90\x90"  # do not guess the drive: two no-operations
    out[_KEEP_FROM:_KEEP_TO] = sector[_KEEP_FROM:_KEEP_TO]
    return bytes(out)


def patch_core(core: bytes, core_sector: int) -> bytes:
    """``core`` with the list of its own remaining sectors in its first one, padded to whole sectors."""
    sectors = -(-len(core) // SECTOR)
    out = bytearray(core.ljust(sectors * SECTOR, b"\0"))
    struct.pack_into("<QHH", out, _BLOCKLIST, core_sector + 1, sectors - 1, _LOAD_SEGMENT)
    return bytes(out)


def kernel_versions(root: Path, boot: Boot) -> list[str]:
    """The versions of the kernels in the root, newest first. Raises HostError when there is none."""
    prefix = Path(boot.kernel_prefix.lstrip("/"))
    found = [p.name.removeprefix(prefix.name) for p in (root / prefix.parent).glob(f"{prefix.name}*")]
    if not found:
        raise HostError(
            f"the root file system holds no kernel ({boot.kernel_prefix}*)",
            "the install script must install one: look at its part of the build log",
        )
    return sorted(found, key=version_key, reverse=True)


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts kernel versions as grub-mkconfig does: numbers as numbers, a tilde before everything."""
    parts = re.findall(r"\d+|~|[^\d~]+", version)
    return (*((2, int(p), "") if p.isdigit() else (-1 if p == "~" else 1, 0, p) for p in parts), (0, 0, ""))


def command_line(kernel_args: Sequence[str]) -> str:
    """Kernel arguments as one line for grub.cfg. Raises ImgbuildError where GRUB's shell would read one differently."""
    for arg in kernel_args:
        if not arg or re.search(r"[\s\"'\\$`;&|<>{}#]", arg):
            raise ImgbuildError(
                f"the kernel argument {arg!r} cannot be written to the boot menu",
                "leave out blanks, quotes and the characters \\ $ ` ; & | < > { } #",
            )
    return " ".join(kernel_args)


def defaults(layout: DiskLayout, kernel_args: Sequence[str]) -> str:
    """The settings for grub-mkconfig in the node, so that it writes the same menu again after an update."""
    return (
        "# Written by imgbuild. Run update-grub (CentOS: grub2-mkconfig) after a change.\n"
        "GRUB_DEFAULT=0\n"
        f"GRUB_TIMEOUT={layout.timeout}\n"
        f'GRUB_DISTRIBUTOR="{layout.boot.distributor}"\n'
        'GRUB_CMDLINE_LINUX_DEFAULT=""\n'
        f'GRUB_CMDLINE_LINUX="{command_line(kernel_args)}"\n'
        'GRUB_TERMINAL="console serial"\n'
        f'GRUB_SERIAL_COMMAND="serial {layout.serial}"\n'
        "GRUB_DISABLE_OS_PROBER=true\n"
        "GRUB_DISABLE_RECOVERY=true\n"
    )


def menu(layout: DiskLayout, versions: Sequence[str], kernel_args: Sequence[str]) -> str:
    """The first grub.cfg, in the form and with the entry names that grub-mkconfig writes (newest kernel first)."""
    boot, uuid = layout.boot, layout.root_uuid
    args = command_line([f"root=UUID={uuid}", "ro", *kernel_args])

    def entry(title: str, name: str, version: str, indent: str) -> str:
        lines = (
            f"menuentry '{title}' --class gnu-linux --class os $menuentry_id_option '{name}' {{",
            "\tinsmod gzio",
            "\tinsmod part_gpt",
            "\tinsmod ext2",
            f"\tsearch --no-floppy --fs-uuid --set=root {uuid}",
            f"\techo\t'Loading Linux {version} ...'",
            f"\t{boot.linux[layout.firmware][0]}\t{boot.kernel_prefix}{version} {args}",
            "\techo\t'Loading initial ramdisk ...'",
            f"\t{boot.linux[layout.firmware][1]}\t{boot.initrd.format(version=version)}",
            "}",
        )
        return "".join(f"{indent}{line}\n" for line in lines)

    advanced = "".join(
        entry(f"{boot.title}, with Linux {v}", f"gnulinux-{v}-advanced-{uuid}", v, "\t") for v in versions
    )
    return (
        "# Written by imgbuild for the first boot; grub-mkconfig in the node replaces it at the next kernel update,\n"
        f"# from {boot.defaults_file} and /etc/grub.d.\n"
        "if [ -s $prefix/grubenv ]; then\n  set have_grubenv=true\n  load_env\nfi\n"
        'if [ "${next_entry}" ] ; then\n   set default="${next_entry}"\n   set next_entry=\n'
        "   save_env next_entry\n   set boot_once=true\n"
        'else\n   set default="0"\nfi\n'
        'if [ x"${feature_menuentry_id}" = xy ]; then\n  menuentry_id_option="--id"\n'
        'else\n  menuentry_id_option=""\nfi\n'
        f"serial {layout.serial}\nterminal_input console serial\nterminal_output console serial\n"
        f"set timeout={layout.timeout}\n"
        + entry(boot.title, f"gnulinux-simple-{uuid}", versions[0], "")
        + f"submenu 'Advanced options for {boot.title}' $menuentry_id_option 'gnulinux-advanced-{uuid}' {{\n"
        + advanced
        + "}\n"
    )


def environment_block() -> bytes:
    """An empty grubenv: GRUB writes into it in place and needs exactly 1024 bytes."""
    return b"# GRUB Environment Block\n".ljust(1024, b"#")


def _need(root: Path, path: str, what: str) -> None:
    if not (root / path.lstrip("/")).exists():
        raise HostError(
            f"the root file system lacks {what} ({path})",
            "the target's GRUB packages must be in the install script's list",
        )
