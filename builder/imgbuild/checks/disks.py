"""Further disks: which disk each entry means, where it is mounted, and what is kept on a disk that comes too late."""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgbuild.checks.context import Context
from imgbuild.config.profile import Disk
from imgbuild.config.profile.storage import size_bytes
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.disks import LABEL_LENGTH, below, device, folders_in_use, loop, places

_LEAST = {"ext4": 16 << 20, "xfs": 300 << 20}
"""The smallest disk: mkfs.xfs 6 refuses less than 300 MB (libxfs, "Filesystem must be larger than 300MB")."""
_KERNEL_NAME = re.compile(r"/dev/((sd|vd|xvd)[a-z]+|nvme[0-9]+n[0-9]+|mmcblk[0-9]+)(p?[0-9]+)?")
_FIRST = ("sda", "vda", "xvda", "nvme0n1", "mmcblk0")
# What is in use before a disk of the seed can be mounted, or holds files of the image itself. Folders below the first
# group are refused too.
_WHOLE = ("/boot", "/dev", "/efi", "/etc", "/proc", "/run", "/sys", "/usr", "/bin", "/sbin", "/lib", "/lib64")
_THEMSELVES = (
    "/home", "/mnt/imgbuild", "/opt", "/opt/cni", "/opt/cni/bin", "/root", "/tmp", "/var", "/var/cache", "/var/lib",  # noqa: S108
    "/var/lib/cloud", "/var/lib/dpkg", "/var/lib/imgbuild", "/var/lib/rpm", "/var/lib/systemd", "/var/log",
    "/var/log/imgbuild", "/var/log/journal", "/var/run", "/var/spool", "/var/tmp",  # noqa: S108
)  # fmt: skip
_INSTEAD = (
    "mount it elsewhere and keep the folders that grow on it: mount: /data, folders: [/var/lib/containerd, "
    "/var/lib/kubelet, /var/log/pods]"
)


def check(context: Context) -> None:
    """All findings about ``disks``, and about data on something that is mounted too late."""
    disks = context.profile.disks
    for index, disk in enumerate(disks):
        _which(context, index, disk)
        _where(context, index, disk)
        _label(context, index, disk)
    _twice(context)
    for disk in loop(disks):
        context.report(
            "IB471", ("disks", disks.index(disk), "folders"),
            f"the disk of {disk.mount} and another one are each mounted in a folder of the other",
            "move one of the folders to the other disk",
        )  # fmt: skip
    _files_below(context)
    _too_late(context)


def _which(context: Context, index: int, disk: Disk) -> None:
    given = [key for key in ("id", "path", "size") if getattr(disk, key) is not None]
    if len(given) != 1:
        context.report(
            "IB470", ("disks", index),
            f"the disk of {disk.mount} is named by {' and '.join(given)}" if given
            else f"nothing tells which disk is mounted at {disk.mount}",
            "write exactly one of id (a name in /dev/disk/by-id), path and size",
        )  # fmt: skip
        return
    if disk.size is not None and disk.wipe:
        context.report(
            "IB473", ("disks", index, "wipe"), "a disk that is chosen by its size must be blank: with wipe any disk of "
            "the machine could be erased", "name the disk by id or by path, or remove wipe",
        )  # fmt: skip
    if disk.size is not None and size_bytes(disk.size) < _LEAST[disk.filesystem]:
        context.report(
            "IB470", ("disks", index, "size"), f"{disk.size} is too small for {disk.filesystem}",
            f"write at least {_LEAST[disk.filesystem] >> 20}MiB",
        )  # fmt: skip
    found = _KERNEL_NAME.fullmatch(disk.path or "")
    if found is None:
        return
    if found[1] in _FIRST:
        context.report(
            "IB475", ("disks", index, "path"), f"{disk.path} usually is the disk that the node starts from",
            "name the disk by id, or by its link in /dev/disk/by-path: ls -l /dev/disk/by-*",
        )  # fmt: skip
    else:
        context.report(
            "IB475", ("disks", index, "path"),
            f"{disk.path} may be another disk at the next boot: the kernel numbers disks in the order in which they "
            "answer" + (", and wipe would erase that one" if disk.wipe else ""),
            "name the disk by id, or by its link in /dev/disk/by-path: ls -l /dev/disk/by-*",
            lesser=not disk.wipe,
        )  # fmt: skip


def _where(context: Context, index: int, disk: Disk) -> None:
    for path, place in _places(index, disk):
        if any(below(place, folder) for folder in _WHOLE) or place in _THEMSELVES:
            context.report("IB472", path, f"{place} is in use before the disks of the seed are mounted", _INSTEAD)
    for number, folder in enumerate(disk.folders):
        if below(folder, disk.mount) or below(disk.mount, folder):
            context.report(
                "IB472", ("disks", index, "folders", number), f"{folder} and the mount point {disk.mount} are in each "
                "other", f"remove it: what is below {disk.mount} is on the disk anyway",
            )  # fmt: skip


def _places(index: int, disk: Disk) -> Iterator[tuple[Path, str]]:
    yield ("disks", index, "mount"), disk.mount
    for number, folder in enumerate(disk.folders):
        yield ("disks", index, "folders", number), folder


def _label(context: Context, index: int, disk: Disk) -> None:
    most = LABEL_LENGTH[disk.filesystem]
    if disk.label is not None and len(disk.label) > most:
        context.report(
            "IB474", ("disks", index, "label"), f"the label {disk.label} is too long: {disk.filesystem} has room for "
            f"{most} letters", "write a shorter one",
        )  # fmt: skip


def _twice(context: Context) -> None:
    seen: dict[tuple[str, str], str] = {}
    for index, disk in enumerate(context.profile.disks):
        path_of = device(disk)
        rows = [(path, "folder", place) for path, place in _places(index, disk)]
        if path_of:
            rows.append((("disks", index, "id" if disk.id else "path"), "disk", path_of))
        if disk.label is not None:
            rows.append((("disks", index, "label"), "label", disk.label))
        for path, kind, value in rows:
            if (kind, value) in seen:
                context.report(
                    "IB471", path, f"duplicate {kind} {value}: the disk of {seen[kind, value]} has it too",
                    "merge the two, or change one of them",
                )  # fmt: skip
            seen.setdefault((kind, value), disk.mount)


def _files_below(context: Context) -> None:
    for index, file in enumerate(context.profile.files):
        for disk in context.profile.disks:
            if any(below(file.path, place) for place in places(disk)):
                context.report(
                    "IB478", ("files", index, "path"),
                    f"{file.path} is written to the root file system before the disk of {disk.mount} is mounted over "
                    "it", "write it with a command in run, which comes later, or use another path",
                )  # fmt: skip


def _too_late(context: Context) -> None:
    """Data in a folder that a unit, fstab or a command of the user's own mounts: after the program has started."""
    profile = context.profile
    for folder, key in folders_in_use(profile).items():
        for path, mount in _own_mounts(context):
            if below(folder, mount):
                what = f"{'.'.join(str(part) for part in key)} ({folder})" if key else folder
                by = f"this {'command' if path[0] == 'run' else 'file'}"
                where = f"{by} mounts {what}" if folder == mount else f"{what} is on {mount}, which {by} mounts"
                context.report(
                    "IB476", path,
                    f"{where}: the program may start before it, and keep its data on the root file system",
                    "remove it, and use disks:, which formats and mounts the disk before the program starts: disks: "
                    f"[{{mount: {mount}, size: 100GB}}]",
                )  # fmt: skip


_WHERE = re.compile(r"(?m)^\s*Where\s*=\s*(/\S+?)/?\s*$")
_FSTAB = re.compile(r"\s(/[A-Za-z0-9_./-]+?)/?\s+(?:ext[234]|xfs|btrfs|auto|none|nfs4?)\s")
_MOUNT = re.compile(r"(?:^|[\s;&|(])mount\s[^;&|\n]*\s(/[A-Za-z0-9_./-]+?)/?(?=[\s;&|)\"']|$)")


def _own_mounts(context: Context) -> Iterator[tuple[Path, str]]:
    for index, file in enumerate(context.profile.files):
        if file.path.endswith(".mount"):
            for found in _WHERE.finditer(file.text):
                yield ("files", index, "path"), found[1]
    for index, command in enumerate(context.profile.run):
        for line in command.splitlines():
            expression = _FSTAB if "fstab" in line else _MOUNT
            for found in expression.finditer(f"{line} "):
                if not found[1].startswith(("/dev/", "/proc", "/sys")):
                    yield ("run", index), found[1]
