"""What the finished disk will really start, read from the disk and not from the folder that it was made of.

It follows the path of firmware and GRUB: boot sector or ESP, core image, its built-in commands, grub.cfg, the
default entry, kernel, initramfs. A boot that would end in a rescue prompt ends here, with the reason.
"""

from __future__ import annotations

import lzma
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.drivers import BootDrivers, boot_drivers
from imgbuild.image.disk import grub
from imgbuild.image.disk.esp import FALLBACK, read_esp
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.disk.partition import Partition, read_table
from imgbuild.image.proof import initramfs
from imgbuild.image.proof.bootmenu import Device, Entry, Menu
from imgbuild.image.sizes import SECTOR
from imgbuild.image.tool import run

_EARLY = re.compile(rb"search\.fs_uuid (\S+) root\nset prefix=\(\$root\)(\S+)\n")


@dataclass(frozen=True)
class BootProof:
    """What the disk was proven to start."""

    kernel: str
    """The kernel's version, as in its own header."""
    command_line: str
    kernel_path: str
    initrd_path: str
    kernel_file: bytes = field(repr=False, default=b"")
    initrd_file: bytes = field(repr=False, default=b"")


def prove(
    disk: Path,
    layout: DiskLayout,
    expected: str,
    work: Path,
    drivers: BootDrivers | None = None,
    read: Callable[[str], bytes | None] | None = None,
) -> BootProof:
    """Read the raw ``disk`` and return what it boots; ``expected`` is the kernel version that it must be.

    ``work`` is a folder for extracted files; ``drivers`` are those of every image unless a test has others. ``read``
    gives the content of a file of the root file system, for a disk whose file has only a part of it.

    Raises:
        HostError: it would not boot; it names the first step that would go wrong.
    """
    partitions = read_table(disk)
    root = _Ext4(disk, partitions[-1], work, read)
    uuid = root.uuid()
    if uuid != layout.root_uuid:
        raise _broken(f"the root file system has the UUID {uuid}, not {layout.root_uuid}")

    menus = _menus(disk, layout, partitions[0], root)
    with _would_not_boot():
        entries = [menu.default() for menu in menus]
    entry = entries[0]
    if any((other.linux, other.initrd) != (entry.linux, entry.initrd) for other in entries):
        raise _broken("the firmware's own boot entry and the fallback path start different kernels")
    if not entry.initrd:
        raise _broken(f"the menu's entry {entry.title!r} names no initramfs")
    kernel_path, *arguments = entry.linux
    if f"root=UUID={uuid}" not in arguments:
        raise _broken(
            f"the kernel's arguments are {' '.join(arguments)!r}, which do not name the root file system {uuid}"
        )

    kernel_file = _loaded(root, entry, kernel_path)
    version = kernel_version(kernel_file)
    if version != expected:
        raise _broken(f"the default entry starts kernel {version}, not {expected}")
    initrd_file = b"".join(_loaded(root, entry, path) for path in entry.initrd)
    built_in, built = _built_in(root, version), _modules(root, version)
    drivers = drivers or boot_drivers()
    wanted = {*drivers.always, *(set(drivers.where_built) & built)}
    if missing := sorted(wanted - built_in - initramfs.modules(initrd_file)):
        raise _broken(
            f"the initramfs {entry.initrd[0]} lacks {', '.join(missing)}",
            "build it for any machine, not for this one (initramfs-tools: MODULES=most, dracut: --no-hostonly)",
        )
    return BootProof(version, " ".join(arguments), kernel_path, entry.initrd[0], kernel_file, initrd_file)


def kernel_version(image: bytes) -> str:
    """The version in a bzImage's own header (Documentation/arch/x86/boot.rst of the kernel: kernel_version).

    Raises:
        HostError: it is not a bzImage.
    """
    if image[0x202:0x206] != b"HdrS":
        raise _broken("the menu starts a file that is not a Linux kernel")
    (offset,) = struct.unpack_from("<H", image, 0x20E)
    text = image[offset + 0x200 : offset + 0x200 + 256].split(b"\0", 1)[0]
    return text.decode(errors="replace").split(" ", 1)[0]


def _menus(disk: Path, layout: DiskLayout, first: Partition, root: _Ext4) -> list[Menu]:
    """The boot menu, once for each path on which firmware reaches it. ``first`` is the boot loader's partition."""
    devices = [Device("root", root.uuid(), root.find, root.names)]
    if layout.firmware == "efi":
        devices.append(
            Device("esp", layout.esp_fs_uuid, lambda path: read_esp(disk, first.start, path), lambda _path: ())
        )
        if layout.boot.signed_efi:
            folders = (FALLBACK.rpartition("/")[0], layout.esp_vendor)
            return [_signed_menu(disk, first, devices, folder) for folder in folders]
        core = _efi_program(disk, first, FALLBACK)
    else:
        core = _bios_core(disk, first, root, layout)
    early = _EARLY.search(core)
    if not early:
        raise _broken("GRUB's core image has no command to find the root file system")
    uuid, prefix = early[1].decode(), early[2].decode()
    if uuid != layout.root_uuid:
        raise _broken(f"GRUB looks for the file system {uuid}, the root file system is {layout.root_uuid}")
    menu = Menu(devices, "root", prefix)
    with _would_not_boot():
        menu.run(f"(root){prefix}/grub.cfg")
    return [menu]


def _signed_menu(disk: Path, first: Partition, devices: list[Device], folder: str) -> Menu:
    """The menu of a signed GRUB: it reads grub.cfg in the folder that it was itself started from."""
    shim = FALLBACK if folder == FALLBACK.rpartition("/")[0] else f"{folder}/shimx64.efi"
    for program in (shim, f"{folder}/grubx64.efi"):
        _efi_program(disk, first, program)
    menu = Menu(devices, "esp", folder)
    with _would_not_boot():
        menu.run(f"(esp){folder}/grub.cfg")
    return menu


@contextmanager
def _would_not_boot() -> Iterator[None]:
    """Errors that the menu's reader finds are those that GRUB would fail on."""
    try:
        yield
    except HostError as error:
        raise _broken(str(error)) from error


def _loaded(root: _Ext4, entry: Entry, path: str) -> bytes:
    """A file that an entry loads: from the root file system, where imgbuild keeps /boot."""
    device, slash, rest = path.rpartition(")")
    if (device or f"({entry.root}") != "(root":
        raise _broken(f"the menu's entry {entry.title!r} loads {path} from {device or entry.root}, not from the root")
    return root.read(rest if slash else path)


class _Ext4:
    """Files of an ext4 inside the disk, read by debugfs."""

    def __init__(
        self, disk: Path, partition: Partition, work: Path, read: Callable[[str], bytes | None] | None
    ) -> None:
        self._device = f"{disk}?offset={partition.start}"
        self._work, self._read = work, read

    def uuid(self) -> str:
        out = run(["dumpe2fs", "-h", self._device], what="read the root file system").decode()
        found = re.search(r"^Filesystem UUID:\s+(\S+)$", out, re.MULTILINE)
        return found[1] if found else ""

    def find(self, path: str) -> bytes | None:
        """A file's content, None if it is missing. debugfs exits with 0 even then, but writes no file."""
        if self._read is not None:
            return self._read(path)
        target = self._work / "dumped"
        target.unlink(missing_ok=True)
        run(["debugfs", "-R", f'dump "{path}" "{target}"', self._device], what=f"read {path} from the disk")
        try:
            return target.read_bytes()
        except FileNotFoundError:
            return None
        finally:
            target.unlink(missing_ok=True)

    def read(self, path: str) -> bytes:
        """A file's content, which must be there."""
        content = self.find(path)
        if not content:
            raise _broken(f"{path} is missing or empty on the disk")
        return content

    def names(self, path: str) -> list[str]:
        """The names in a folder: debugfs writes /inode/mode/uid/gid/name/size/ a line."""
        out = run(["debugfs", "-R", f'ls -p "{path}"', self._device], what=f"list {path} on the disk").decode()
        rows = (line.split("/") for line in out.splitlines())
        return [row[5] for row in rows if len(row) > 5 and row[5] not in {".", ".."}]


def _bios_core(disk: Path, partition: Partition, root: _Ext4, layout: DiskLayout) -> bytes:
    """GRUB's kernel with what is built into it, found from the boot sector on and unpacked."""
    with disk.open("rb") as raw:
        sector = raw.read(SECTOR)
        if sector[-2:] != b"\x55\xaa":
            raise _broken("the first sector is not a boot sector")
        if sector[grub.PROTECTIVE_STATUS] != grub.ACTIVE:
            raise _broken("the protective partition is not active: some BIOSes skip such a disk")
        (first,) = struct.unpack_from("<Q", sector, 0x5C)
        inside = partition.start <= first * SECTOR < partition.start + partition.size
        if not inside or partition.type != "21686148-6449-6E6F-744E-656564454649":
            raise _broken(f"the boot sector loads sector {first}, which is not in the BIOS boot partition")
        raw.seek(first * SECTOR)
        head = raw.read(SECTOR)
        start, count = struct.unpack_from("<QH", head, SECTOR - 12)
        if start != first + 1:
            raise _broken(f"GRUB's core image continues at sector {start}, not {first + 1}")
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


def _efi_program(disk: Path, partition: Partition, path: str) -> bytes:
    program = read_esp(disk, partition.start, path) or b""
    if program[:2] != b"MZ":
        raise _broken(f"{path[1:]} on the ESP is not an EFI program")
    return program


def _modules(root: _Ext4, version: str) -> set[str]:
    """The modules that this kernel has: modules.dep has PATH: PATH... on each line."""
    listed = root.read(f"/usr/lib/modules/{version}/modules.dep").decode(errors="replace")
    names = (line.split(":", 1)[0].rsplit("/", 1)[-1] for line in listed.splitlines())
    return {name.split(".ko", 1)[0].replace("-", "_") for name in names}


def _built_in(root: _Ext4, version: str) -> set[str]:
    listed = root.read(f"/usr/lib/modules/{version}/modules.builtin").decode(errors="replace")
    return {line.rsplit("/", 1)[-1].removesuffix(".ko").replace("-", "_") for line in listed.splitlines()}


def _broken(why: str, hint: str = "") -> HostError:
    return HostError(
        f"the disk would not boot as it should: {why}",
        hint or "report this: it is a bug in imgbuild or in the target's packages; no image was written",
    )
