"""GRUB's boot sector, core image and menu, without a disk."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import ImgbuildError
from imgbuild.image.disk import grub, grubmenu
from imgbuild.image.disk.layout import DiskLayout, disk_layout
from imgbuild.image.disk.partition import read_table, write_table
from tests.support.image.plan import DEBIAN

_KEY = "ab" * 32


def _layout(firmware: str = "bios") -> DiskLayout:
    return disk_layout(_KEY, "efi" if firmware == "efi" else "bios", 512, DEBIAN)


def test_identifiers_come_from_the_root_file_systems_key() -> None:
    one, same, other = _layout(), _layout("efi"), disk_layout("cd" * 32, "bios", 512, DEBIAN)
    assert one.root_uuid == same.root_uuid
    assert len({one.root_uuid, one.disk_uuid, one.esp_uuid, one.bios_uuid, other.root_uuid}) == 5
    assert re.fullmatch(r"[0-9A-F]{8}", one.esp_id)


def test_the_boot_sector_keeps_what_belongs_to_the_disk() -> None:
    disk = bytes(range(256)) * 2
    made = grub.patch_boot_sector(b"\xeb" * 512, disk, 2048)
    assert struct.unpack_from("<Q", made, 0x5C) == (2048,)
    assert made[0x64] == 0xFF
    assert made[0x66:0x68] == b"\x90\x90"
    assert made[0x1B8:0x1FE] == disk[0x1B8:0x1FE]
    assert made[0x1FE:] == b"\xeb\xeb"


def test_the_protective_partition_of_a_bios_disk_is_active(tmp_path: Path) -> None:
    """On the bytes of a real table; UEFI's disks keep the 0 that its specification has."""
    layout = _layout()
    disk = tmp_path / "disk"
    with disk.open("wb") as out:
        out.truncate(layout.size_mib << 20)
    write_table(disk, layout)
    before = disk.read_bytes()[:512]
    assert (before[0x1BE], before[0x1C2]) == (0, 0xEE)
    made = grub.patch_boot_sector(b"\xeb" * 510 + b"\x55\xaa", before, 2048)
    assert (made[0x1BE], made[0x1BF:0x1FE]) == (0x80, before[0x1BF:0x1FE])
    with disk.open("r+b") as out:
        out.write(made)
    assert [p.number for p in read_table(disk)] == [1, 2], "it is a GPT as before"
    assert subprocess.run(["sfdisk", "--verify", disk], capture_output=True, check=False).returncode == 0


def test_the_core_image_lists_its_own_sectors() -> None:
    made = grub.patch_core(b"\x52" * 1300, 2048)
    assert len(made) == 3 * 512
    assert struct.unpack_from("<QHH", made, 500) == (2049, 2, 0x820)
    assert made[1300:] == b"\0" * 236


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_the_table_is_read_back_as_planned(firmware: str, tmp_path: Path) -> None:
    layout = _layout(firmware)
    disk = tmp_path / "disk"
    with disk.open("wb") as out:
        out.truncate(layout.size_mib << 20)
    write_table(disk, layout)
    boot, root = read_table(disk)
    assert (boot.start, root.start) == (1 << 20, layout.root_offset)
    assert root.start + root.size == (layout.size_mib - 1) << 20
    assert root.uuid.lower() == layout.root_uuid
    assert subprocess.run(["sfdisk", "--verify", disk], capture_output=True, check=False).returncode == 0


def test_versions_sort_as_numbers() -> None:
    versions = ["6.1.0-9-amd64", "6.12.95+deb12-amd64", "6.1.0-56-amd64", "6.12.9+deb12-amd64", "6.12.95~rc1-amd64"]
    assert sorted(versions, key=grub.version_key, reverse=True) == [
        "6.12.95+deb12-amd64",
        "6.12.95~rc1-amd64",
        "6.12.9+deb12-amd64",
        "6.1.0-56-amd64",
        "6.1.0-9-amd64",
    ]


@pytest.mark.parametrize("arg", ["a b", 'x="y"', "$HOME", "a;reboot", "a\nb", "", "a'b", "x#y"])
def test_a_kernel_argument_that_grub_would_read_differently(arg: str) -> None:
    with pytest.raises(ImgbuildError, match="kernel argument"):
        grubmenu.command_line([arg])


def test_an_environment_block_has_1024_bytes() -> None:
    assert len(grubmenu.environment_block()) == 1024
