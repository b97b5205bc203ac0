"""What a disk looks like: firmware, sizes, identifiers, and the boot loader facts of a distribution as data."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from imgbuild.config.fields import Firmware
from imgbuild.config.target import Boot
from imgbuild.image.sizes import MIB

# Identifiers are derived, never random: the same root file system gives the same disk, and boot entries that were
# written in the chroot name the file system that assembly makes.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:imgbuild:disk")


@dataclass(frozen=True)
class DiskLayout:
    """One disk: a GPT with the boot loader's partition first and the root file system last, so that it can grow."""

    firmware: Firmware
    size_mib: int
    root_uuid: str
    esp_id: str
    """The ESP's FAT volume id: eight upper-case hexadecimal digits."""
    boot: Boot
    disk_uuid: str
    bios_uuid: str
    esp_uuid: str
    """The GPT's identifiers of disk and partitions; the root partition's is the file system's."""
    seed_uuid: str
    """The seed of ext4's directory hashes: without it mke2fs chooses a random one."""
    esp_mib: int = 64
    selinux: bool = False
    """Whether the files get the labels of the root's own policy."""
    timeout: int = 1
    """Seconds that the boot menu waits."""
    serial: str = "--unit=0 --speed=115200"
    esp_mount: str = field(default="/boot/efi")

    @property
    def esp_vendor(self) -> str:
        """The distribution's folder on the ESP, with a leading slash; empty if it has no boot loader there."""
        return (self.boot.signed_efi or "").removeprefix(self.esp_mount)

    @property
    def esp_fs_uuid(self) -> str:
        """The ESP's file system UUID, as blkid and GRUB write it."""
        return f"{self.esp_id[:4]}-{self.esp_id[4:]}"

    @property
    def first_mib(self) -> int:
        """Where the root partition starts, in MiB."""
        return 1 + (self.esp_mib if self.firmware == "efi" else 1)

    @property
    def root_offset(self) -> int:
        """Where the root file system starts on the disk, in bytes."""
        return self.first_mib * MIB

    @property
    def root_bytes(self) -> int:
        """The root file system's size: everything up to the last MiB, which has the second GPT."""
        return (self.size_mib - 1 - self.first_mib) * MIB


def disk_layout(
    key: str, firmware: Firmware, size_mib: int, boot: Boot, esp_mib: int = 64, *, selinux: bool = False
) -> DiskLayout:
    """The layout of the disk made from the root file system named ``key`` (RootfsPlan.key)."""

    def derive(part: str) -> uuid.UUID:
        return uuid.uuid5(_NAMESPACE, f"{key} {part}")

    return DiskLayout(
        firmware=firmware,
        size_mib=size_mib,
        root_uuid=str(derive("root")),
        esp_id=derive("esp").hex[:8].upper(),
        boot=boot,
        disk_uuid=str(derive("disk")),
        bios_uuid=str(derive("bios")),
        esp_uuid=str(derive("esp-partition")),
        seed_uuid=str(derive("hash-seed")),
        esp_mib=esp_mib,
        selinux=selinux,
    )
