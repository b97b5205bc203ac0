"""disk.efi: a small GRUB for a machine that boots over the network: it starts the image's boot loader from the disk.

After an installation the network boot has to end on the disk. iPXE's ``exit`` ends in the menu of some firmwares and in
their other network entries on others; this program knows the image's EFI system partition and starts what is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from imgbuild.image.disk.esp import FALLBACK
from imgbuild.image.disk.grub import need
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.tool import run

NAME = "disk.efi"
_SCRATCH = ".imgbuild-chainload"
# GRUB's rescue parser runs the configuration: a command a line, no "if". What fails is shown, and the next line is run.
_MODULES = ("chain", "echo", "fat", "part_gpt", "search_fs_uuid", "sleep", "minicmd", "reboot")
_WAIT = 10


def config(layout: DiskLayout) -> str:
    """What the program does. If the disk is not there, it shows that and returns to what started it."""
    return (
        f"search.fs_uuid {layout.esp_fs_uuid} root\n"
        f"chainloader ($root){FALLBACK}\n"
        "boot\n"
        f"echo imgbuild: no disk has the file system {layout.esp_fs_uuid} of this image with {FALLBACK}\n"
        "echo Install the machine again, or boot another entry of the firmware.\n"
        f"sleep {_WAIT}\n"
        "exit\n"
    )


def chainloader(root: Path, layout: DiskLayout) -> bytes:
    """The program, linked by the target's own grub-mkimage in ``root``. It has no signature for Secure Boot.

    Raises:
        HostError: the root lacks grub-mkimage or its modules.
    """
    boot = layout.boot
    modules = boot.module_dirs["efi"]
    need(root, boot.mkimage, "grub-mkimage")
    need(root, f"{modules}/moddep.lst", "GRUB's modules for efi")
    scratch = root / _SCRATCH
    scratch.mkdir()
    try:
        (scratch / "early.cfg").write_text(config(layout))
        argv: list[str | Path] = ["chroot", root, boot.mkimage, "-O", "x86_64-efi", "-d", modules]
        argv += ["-c", f"/{_SCRATCH}/early.cfg", "-p", "/", "-o", f"/{_SCRATCH}/{NAME}"]
        run([*argv, *_MODULES], what="link the boot loader that starts the installed disk")
        return (scratch / NAME).read_bytes()
    finally:
        shutil.rmtree(scratch)
