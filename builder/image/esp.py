"""The EFI system partition, written by mkfs.vfat and mtools: the kernel of the host need not know vfat."""

from __future__ import annotations

from pathlib import Path

from builder.image.command import run
from builder.image.layout import MIB, DiskLayout


def write_esp(disk: Path, layout: DiskLayout, loader: bytes, work: Path, epoch: int) -> None:
    """Make the ESP and put ``loader`` where every firmware looks when its own list is empty: EFI/BOOT/BOOTX64.EFI.

    ``epoch`` (seconds) dates the files. The boot entries in a machine's own memory are never written: the image
    does not know the machine.
    """
    program = work / "BOOTX64.EFI"
    program.write_bytes(loader)
    image = work / "esp.img"
    image.unlink(missing_ok=True)
    env = {"SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC", "MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"}
    run(
        ["mkfs.vfat", "-F", "32", "-i", layout.esp_id, "-n", "ESP", "-C", image, str(layout.esp_mib * 1024)],
        what="make the EFI system partition",
        env=env,
    )
    folders = ["::/EFI", "::/EFI/BOOT"]
    copies = ["::/EFI/BOOT/BOOTX64.EFI"]
    run(["mmd", "-i", image, *folders], what="make the ESP's folders", env=env)
    for copy in copies:
        run(["mcopy", "-i", image, program, copy], what="copy GRUB to the ESP", env=env)
    _copy_into(image, disk, MIB)
    image.unlink()


def _copy_into(source: Path, disk: Path, offset: int) -> None:
    """Copy a file into the disk at ``offset`` bytes, leaving its holes as they are."""
    with source.open("rb") as data, disk.open("r+b") as out:
        position = offset
        while block := data.read(MIB):
            if block.strip(b"\0"):
                out.seek(position)
                out.write(block)
            position += len(block)
