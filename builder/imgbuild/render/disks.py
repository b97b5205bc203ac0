"""/etc/imgbuild/disks.conf: a node's further disks, in the order in which they are mounted."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import PurePosixPath

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.profile import Disk, Profile
from imgbuild.config.profile.storage import size_bytes
from imgbuild.facts.disks import in_order, label
from imgbuild.render.nodefile import NodeFile
from imgbuild.render.templates import render

CONF = "/etc/imgbuild/disks.conf"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:imgbuild:data-disk")


def conf(profile: Profile, cluster: Cluster, node: Node) -> NodeFile:
    """The file for /usr/libexec/imgbuild/disks. Only for a node that has further disks."""
    ordered = in_order(profile.disks)
    sizes = [number for number, disk in enumerate(ordered) if disk.size is not None]
    sizes.sort(key=lambda number: -size_bytes(ordered[number].size or ""))
    content = render(
        "node",
        "etc/imgbuild/disks.conf.j2",
        rows=[_row(disk, cluster, node) for disk in ordered],
        folders=[(disk.mount, folder) for disk in ordered for folder in _parents_first(disk.folders)],
        sizes=sizes,
    )
    return NodeFile(CONF, content)


def file_system_uuid(disk: Disk, cluster: Cluster, node: Node) -> str:
    """The UUID by which a re-imaged node recognises its own disk, and no other node does."""
    name = "\n".join((cluster.name, node.name, disk.mount, disk.label or ""))
    return str(uuid.uuid5(_NAMESPACE, name))


def _row(disk: Disk, cluster: Cluster, node: Node) -> list[str | int]:
    how = "id" if disk.id is not None else "path" if disk.path is not None else "size"
    what = disk.id or disk.path or size_bytes(disk.size or "")
    own = "yes" if disk.label is not None else "no"
    wipe = "yes" if disk.wipe else "no"
    uuid_ = file_system_uuid(disk, cluster, node)
    return [
        disk.mount, how, what, disk.filesystem, uuid_, label(disk), own, ",".join(disk.options), disk.wait, wipe,
    ]  # fmt: skip


def _parents_first(folders: Sequence[str]) -> list[str]:
    return sorted(folders, key=lambda folder: len(PurePosixPath(folder).parts))
