"""What the installer in the live system writes to a machine's disk, and how the machine then boots from it."""

from __future__ import annotations

from pathlib import Path

from imgbuild.config.target import Compression
from imgbuild.image.disk import chainload
from imgbuild.image.disk.extents import write_extents
from imgbuild.image.disk.layout import DiskLayout


def write_disk_files(disk: Path, root: Path, layout: DiskLayout, folder: Path, compression: Compression) -> None:
    """Write what is made of the finished raw ``disk`` into ``folder``, whose files are in pxe/ afterwards.

    ``root`` is its root file system, with the target's GRUB.

    Raises:
        HostError: a tool is missing or failed; no space.
    """
    write_extents(disk, layout, folder, compression)
    if layout.firmware == "efi":
        (folder / chainload.NAME).write_bytes(chainload.chainloader(root, layout))
