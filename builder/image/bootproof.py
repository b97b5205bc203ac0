"""What the finished disk will really start, read from the disk and not from the folder that it was made of.

It goes the way that firmware and GRUB go: boot sector or ESP, core image, its built-in commands, grub.cfg, the
default entry, kernel, initramfs. A boot that would end in a rescue prompt ends here, with the reason.
"""

from __future__ import annotations

import lzma
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from builder.errors import HostError
from builder.image import bootmenu, initramfs
from builder.image.command import run
from builder.image.layout import SECTOR, DiskLayout
from builder.image.partition import Partition, read_table

DRIVERS = ("virtio_blk", "virtio_pci", "virtio_net", "nvme", "ext4", "xfs")
"""What the initramfs (or the kernel itself) must hold to find its disk on the machines that imgbuild promises."""

_EARLY = re.compile(rb"search\.fs_uuid (\S+) root\nset prefix=\(\$root\)(\S+)\n")


@dataclass(frozen=True)
class BootProof:
    """What the disk was proven to start."""

    kernel: str
    """The kernel's version, as its own header says."""
    command_line: str
    kernel_path: str
    initrd_path: str
    kernel_file: bytes = field(repr=False, default=b"")
    initrd_file: bytes = field(repr=False, default=b"")


def prove(disk: Path, layout: DiskLayout, expected: str, work: Path, drivers: Iterable[str] = DRIVERS) -> BootProof:
    """Read the raw ``disk`` and give what it boots; ``expected`` is the kernel version that it must be.

    ``work`` is a folder for extracted files. Raises HostError with the first step that would go wrong.
    """
    partitions = read_table(disk)
    root = _Ext4(disk, partitions[-1], work)
    uuid = root.uuid()
    if uuid != layout.root_uuid:
        raise _broken(f"the root file system has the UUID {uuid}, not {layout.root_uuid}")

    if layout.firmware == "bios":
        core = _bios_core(disk, partitions[0], root, layout)
    else:
        core = _efi_program(disk, partitions[0])
    early = _EARLY.search(core)
    if not early:
        raise _broken("GRUB's core image holds no command to find the root file system")
    if early[1].decode() != uuid:
        raise _broken(f"GRUB looks for the file system {early[1].decode()}, the root file system is {uuid}")
    prefix = early[2].decode()

    menu = root.read(f"{prefix}/grub.cfg").decode(errors="replace")
    entry = bootmenu.default(menu, root.read(f"{prefix}/grubenv"))
    linux = entry.words("linux", "linux16", "linuxefi")
    initrd = entry.words("initrd", "initrd16", "initrdefi")
    if not linux or not initrd:
        raise _broken(f"the menu's entry {entry.title!r} names no kernel or no initramfs")
    arguments = linux[1:]
    if f"root=UUID={uuid}" not in arguments:
        raise _broken(f"the kernel is told {' '.join(arguments)!r}, which does not name the root file system {uuid}")

    kernel_file = root.read(linux[0])
    version = kernel_version(kernel_file)
    if version != expected:
        raise _broken(f"the default entry starts kernel {version}, not {expected}")
    initrd_file = root.read(initrd[0])
    held = initramfs.modules(initrd_file) | _built_in(root, version)
    if missing := sorted(set(drivers) - held):
        raise _broken(
            f"the initramfs {initrd[0]} lacks {', '.join(missing)}",
            "build it for any machine, not for this one (initramfs-tools: MODULES=most, dracut: --no-hostonly)",
        )
    return BootProof(version, " ".join(arguments), linux[0], initrd[0], kernel_file, initrd_file)


def kernel_version(image: bytes) -> str:
    """The version in a bzImage's own header (Documentation/arch/x86/boot.rst of the kernel: kernel_version)."""
    if image[0x202:0x206] != b"HdrS":
        raise _broken("what the menu starts is no Linux kernel")
    (offset,) = struct.unpack_from("<H", image, 0x20E)
    text = image[offset + 0x200 : offset + 0x200 + 256].split(b"\0", 1)[0]
    return text.decode(errors="replace").split(" ", 1)[0]


class _Ext4:
    """Files of an ext4 inside the disk, read by debugfs."""

    def __init__(self, disk: Path, partition: Partition, work: Path) -> None:
        self._device = f"{disk}?offset={partition.start}"
        self._work = work

    def uuid(self) -> str:
        out = run(["dumpe2fs", "-h", self._device], what="read the root file system").decode()
        found = re.search(r"^Filesystem UUID:\s+(\S+)$", out, re.MULTILINE)
        return found[1] if found else ""

    def read(self, path: str) -> bytes:
        """A file's content. debugfs ends with 0 whatever happens: what counts is whether it wrote the file."""
        target = self._work / "dumped"
        target.unlink(missing_ok=True)
        run(["debugfs", "-R", f'dump "{path}" "{target}"', self._device], what=f"read {path} from the disk")
        if not target.exists() or not target.stat().st_size:
            raise _broken(f"{path} is missing or empty on the disk")
        try:
            return target.read_bytes()
        finally:
            target.unlink()


def _bios_core(disk: Path, partition: Partition, root: _Ext4, layout: DiskLayout) -> bytes:
    """GRUB's kernel with what is built into it, found from the boot sector on and unpacked."""
    with disk.open("rb") as raw:
        sector = raw.read(SECTOR)
        if sector[-2:] != b"\x55\xaa":
            raise _broken("the first sector is no boot sector")
        (first,) = struct.unpack_from("<Q", sector, 0x5C)
        inside = partition.start <= first * SECTOR < partition.start + partition.size
        if not inside or partition.type != "21686148-6449-6E6F-744E-656564454649":
            raise _broken(f"the boot sector loads sector {first}, which is not in the BIOS boot partition")
        raw.seek(first * SECTOR)
        head = raw.read(SECTOR)
        start, count = struct.unpack_from("<QH", head, SECTOR - 12)
        if start != first + 1:
            raise _broken(f"GRUB's core image goes on at sector {start}, not {first + 1}")
        body = raw.read(count * SECTOR)
    # Behind the unpacker, lzma_decompress.img, whose fields say how much there is (grub-core/boot/i386/pc/
    # startup_raw.S).
    unpacker = len(root.read(f"{layout.boot.grub_dir}/i386-pc/lzma_decompress.img"))
    packed, unpacked = struct.unpack_from("<II", body, 8)
    if unpacker + packed > len(body):
        raise _broken("GRUB's core image is longer than what the boot sector loads of it")
    filters = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 20}]
    try:
        reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        return reader.decompress(body[unpacker : unpacker + packed], unpacked)
    except lzma.LZMAError as err:
        raise _broken(f"GRUB's core image cannot be unpacked: {err}") from err


def _efi_program(disk: Path, partition: Partition) -> bytes:
    argv = ["mcopy", "-n", "-i", f"{disk}@@{partition.start}", "::/EFI/BOOT/BOOTX64.EFI", "-"]
    program = run(argv, what="read the ESP", env={"MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"})
    if program[:2] != b"MZ":
        raise _broken("EFI/BOOT/BOOTX64.EFI is no EFI program")
    return program


def _built_in(root: _Ext4, version: str) -> set[str]:
    listed = root.read(f"/usr/lib/modules/{version}/modules.builtin").decode(errors="replace")
    return {line.rsplit("/", 1)[-1].removesuffix(".ko").replace("-", "_") for line in listed.splitlines()}


def _broken(why: str, hint: str = "") -> HostError:
    return HostError(
        f"the disk would not boot as it should: {why}",
        hint or "no image was written; this is a mistake in imgbuild or in the target's packages: please report it",
    )
