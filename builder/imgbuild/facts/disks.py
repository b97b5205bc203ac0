"""What follows from ``disks``: their order, their labels, and which folder is on which of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgbuild.config.profile import Disk, Profile
from imgbuild.facts.kubeadm import ETCD_DATA, etcd

LABEL_LENGTH = {"ext4": 16, "xfs": 12}
"""The longest label (mke2fs(8), mkfs.xfs(8))."""


def has_disks(profile: Profile) -> bool:
    """Whether a node can have further disks: any node of an image can, because its seed may name some."""
    return profile.mode == "baked" or bool(profile.disks)


def below(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or in it."""
    return path == folder or path.startswith(f"{folder}/")


def device(disk: Disk) -> str | None:
    """The path of its device; None if it is named by its size."""
    return f"/dev/disk/by-id/{disk.id}" if disk.id is not None else disk.path


def label(disk: Disk) -> str:
    """The label of its file system: the user's, else the last part of the mount point."""
    return (disk.label or disk.mount.rpartition("/")[2])[: LABEL_LENGTH[disk.filesystem]]


def places(disk: Disk) -> Iterator[str]:
    """Every folder that is on it: the mount point first."""
    yield disk.mount
    yield from disk.folders


def in_order(disks: Sequence[Disk]) -> list[Disk]:
    """The disks in the order in which they are mounted: one is after those in whose folders it is mounted."""
    left, out = list(disks), []
    while left:
        out.append((_free(left) or left)[0])
        left.remove(out[-1])
    return out


def loop(disks: Sequence[Disk]) -> list[Disk]:
    """The disks that each have to be mounted after the other; empty if there is an order."""
    left = list(disks)
    while free := _free(left):
        left = [disk for disk in left if disk not in free]
    return left


def _free(left: Sequence[Disk]) -> list[Disk]:
    """Those that are mounted in a folder of none of the others."""
    return [disk for disk in left if not any(_in(disk, other) for other in left if other is not disk)]


def _in(disk: Disk, other: Disk) -> bool:
    return any(below(place, there) and place != there for place in places(disk) for there in places(other))


def folders_in_use(profile: Profile) -> dict[str, tuple[str | int, ...]]:
    """The folders in which containerd, etcd and the others keep their data, each with the key that sets it."""
    containerd = profile.containerd
    out: dict[str, tuple[str | int, ...]] = {containerd.root: ("containerd", "root")}
    if containerd.buildkit.enabled:
        out[containerd.buildkit.root] = ("containerd", "buildkit", "root")
    if containerd.stargz.enabled:
        out[containerd.stargz.root] = ("containerd", "stargz", "root")
    if profile.kubernetes.enabled:
        own = etcd(profile)
        if not own.external:
            out[own.data] = () if own.data == ETCD_DATA else ("kubernetes", "kubeadm", "etcd", "local", "dataDir")
        out["/var/lib/kubelet"] = ()
    return out
