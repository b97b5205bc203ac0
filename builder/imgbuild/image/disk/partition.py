"""The partition table and the root file system, written straight into the disk file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.sizes import MIB, SECTOR
from imgbuild.image.tool import run

_TYPE_BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
_TYPE_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
# Not the "Linux root (x86-64)" type: systemd-gpt-auto-generator would then mount things that fstab names already.
_TYPE_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


@dataclass(frozen=True)
class Partition:
    """One partition as the finished disk's table has it; ``start`` and ``size`` are bytes."""

    number: int
    start: int
    size: int
    type: str
    uuid: str


def table(layout: DiskLayout) -> str:
    """sfdisk's script for the disk."""
    first = MIB // SECTOR
    if layout.firmware == "efi":
        boot = f"start={first}, size={layout.esp_mib * first}, type={_TYPE_ESP}, uuid={layout.esp_uuid}, name=ESP"
    else:
        boot = f"start={first}, size={first}, type={_TYPE_BIOS_BOOT}, uuid={layout.bios_uuid}, name=BIOS"
    root = (
        f"start={layout.root_offset // SECTOR}, size={layout.root_bytes // SECTOR}, type={_TYPE_LINUX}, "
        f"uuid={layout.root_uuid}, name=root"
    )
    return f"label: gpt\nlabel-id: {layout.disk_uuid}\nunit: sectors\n{boot}\n{root}\n"


def write_table(disk: Path, layout: DiskLayout) -> None:
    """Write the GPT, and verify by reading it back that nothing was moved or rounded.

    Raises:
        HostError: sfdisk fails, or has put the root partition elsewhere.
    """
    run(
        ["sfdisk", "--quiet", "--wipe", "never", "--no-reread", "--no-tell-kernel", disk],
        what="partition the disk",
        data=table(layout).encode(),
    )
    root = read_table(disk)[-1]
    if (root.start, root.size) != (layout.root_offset, layout.root_bytes):
        raise HostError(
            f"sfdisk put the root partition at byte {root.start}, not {layout.root_offset}",
            "report this with the output of 'sfdisk --version': it is a bug in imgbuild or a changed sfdisk",
        )


def read_table(disk: Path) -> list[Partition]:
    """The partitions of a disk file, in the table's order.

    Raises:
        HostError: sfdisk cannot read it.
    """
    found = json.loads(run(["sfdisk", "--json", disk], what="read the partition table"))["partitiontable"]
    sector = int(found.get("sectorsize", SECTOR))
    return [
        Partition(number, p["start"] * sector, p["size"] * sector, p["type"], p.get("uuid", ""))
        for number, p in enumerate(found["partitions"], start=1)
    ]


def make_root(
    disk: Path, layout: DiskLayout, tree: Path, work: Path, epoch: int, *, offset: int, size: int
) -> None:  # fmt: skip
    """Make the root file system of ``size`` bytes from the folder ``tree``, at byte ``offset`` of ``disk``.

    ``epoch`` (seconds) is what mke2fs uses as the current time. The file system's features are the target's, read from
    a separate mke2fs.conf: the host's defaults differ by release, and a feature that the target's GRUB cannot read ends
    in a rescue prompt.

    Raises:
        HostError: the tree does not fit.
    """
    config = work / "mke2fs.conf"
    config.write_text(
        "[defaults]\n"
        f"\tbase_features = {','.join(layout.boot.ext4_features)}\n"
        "\tdefault_mntopts = acl,user_xattr\n"
        "\tenable_periodic_fsck = 0\n"
        "\tblocksize = 4096\n\tinode_size = 256\n\tinode_ratio = 16384\n"
        "[fs_types]\n\text4 = {\n\t}\n"
    )
    # Inode tables and journal are written now (as zeros): otherwise the guest's kernel would do it at first boot.
    extended = f"offset={offset},hash_seed={layout.seed_uuid},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"
    argv: list[str | Path] = ["mkfs.ext4", "-q", "-F", "-t", "ext4", "-L", "root", "-U", layout.root_uuid]
    argv += ["-E", extended, "-d", tree, disk, f"{size // 1024}k"]
    env = {"MKE2FS_CONFIG": str(config), "E2FSPROGS_FAKE_TIME": str(epoch)}
    try:
        run(argv, what="make the root file system", env=env)
    except HostError as err:
        if "Could not allocate" in str(err) or "while populating file system" in str(err):
            used = tree_bytes(tree) // MIB
            raise HostError(
                f"the root file system ({used} MiB of files) does not fit into {size // MIB} MiB",
                f"set a larger image.size_mib: it needs about {used + used // 4 + 256} MiB",
            ) from err
        raise


def resize_root(image: Path, size: int, epoch: int) -> None:
    """Let the root file system in the file ``image`` have ``size`` bytes.

    Raises:
        HostError: e2fsck or resize2fs fails.
    """
    run(
        ["resize2fs", "-f", image, f"{size // 1024}k"],
        what="resize the root file system",
        env={"E2FSPROGS_FAKE_TIME": str(epoch)},
    )


def check_root(disk: Path, layout: DiskLayout) -> None:
    """Let e2fsck look at the root file system, without a change.

    Raises:
        HostError: it finds a mistake.
    """
    run(["e2fsck", "-fn", f"{disk}?offset={layout.root_offset}"], what="check the root file system")


def tree_bytes(tree: Path) -> int:
    """How much the files of ``tree`` take on a disk, in bytes.

    Raises:
        HostError: du fails.
    """
    out = run(["du", "--summarize", "--block-size=1", "--one-file-system", tree], what="measure the files")
    return int(out.split()[0])
