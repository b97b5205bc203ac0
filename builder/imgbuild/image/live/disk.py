"""What the installer in the live system writes to a machine's disk, and how the machine then boots from it."""

from __future__ import annotations

from pathlib import Path

from imgbuild.image.disk.layout import DiskLayout


def write_disk_files(disk: Path, layout: DiskLayout, folder: Path) -> None:
    """Write what is made of the finished raw ``disk`` into ``folder``, whose files are in pxe/ afterwards."""
    del disk, layout, folder
