"""Further disks."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

_XFS = """
    nodes:
      - {name: cp1, role: control-plane, settings: {disks: [{mount: /data, size: 100GB, filesystem: xfs}]}}
"""
CODES = (
    Code(
        "IB470",
        ERROR,
        "A disk that nothing names, or that is named twice or too small",
        why="The node must know exactly one disk for a mount point.",
        fix="Write exactly one of `id`, `path` and `size`.",
        bad="disks: [{mount: /data}]",
        good="disks: [{mount: /data, size: 100GB}]",
    ),
    Code(
        "IB471",
        ERROR,
        "Two disks with one mount point, folder, label or device",
        why="One would hide the other, or a file system would be mounted twice.",
        fix="Merge the two, or change one of them.",
        bad="disks: [{mount: /data, size: 100GB}, {mount: /data, size: 200GB}]",
        good="disks: [{mount: /data, size: 100GB}, {mount: /more, size: 200GB}]",
    ),
    Code(
        "IB472",
        ERROR,
        "A mount point that the system uses while it starts",
        why=(
            "The disks of a seed are mounted when cloud-init has read the seed, before containerd and the kubelet "
            "start. Programs that started earlier have files open there, and imgbuild's own files are in some of these "
            "folders."
        ),
        fix="Mount the disk elsewhere, and keep folders that grow on it (`folders`).",
        bad="disks: [{mount: /var, size: 100GB}]",
        good="disks: [{mount: /data, size: 100GB, folders: [/var/lib/containerd, /var/lib/kubelet]}]",
    ),
    Code(
        "IB473",
        ERROR,
        "A disk that is chosen by its size and may be erased",
        why="Any disk of the machine that is large enough could be erased.",
        fix="Name the disk by `id` or `path`, or remove `wipe`.",
        bad="disks: [{mount: /data, size: 100GB, wipe: true}]",
        good="disks: [{mount: /data, id: ata-EXAMPLE_SSD_1TB_S1234567, wipe: true}]",
    ),
    Code(
        "IB474",
        ERROR,
        "A label that is too long",
        why="A label has at most 16 letters on ext4, and 12 on xfs.",
        fix="Write a shorter one.",
        bad="disks: [{mount: /data, size: 100GB, filesystem: xfs, label: container-images}]",
        good="disks: [{mount: /data, size: 100GB, filesystem: xfs, label: images}]",
    ),
    Code(
        "IB475",
        ERROR,
        "A disk by a name that may mean another disk",
        why=(
            "The kernel numbers disks in the order in which they answer, so /dev/sdb may be another disk at the next "
            "boot; the first one usually is the disk that the node starts from."
        ),
        fix="Name the disk by `id`, or by its link in /dev/disk/by-path.",
        lesser=WARNING,
        when="it is not the first disk, and without `wipe`, so that only a blank disk can be formatted",
        bad="disks: [{mount: /data, path: /dev/sda}]",
        good="disks: [{mount: /data, path: '/dev/disk/by-path/pci-0000:00:1f.2-ata-2'}]",
    ),
    Code(
        "IB476",
        ERROR,
        "Data of containerd, etcd or the kubelet on something that is mounted too late",
        why=(
            "Your own unit or command mounts it without an order: the program starts first, keeps its data on the root "
            "file system, and finds nothing at the next boot."
        ),
        fix="Use `disks`.",
        bad="""
            containerd: {root: /data/containerd}
            run: ["mount /dev/disk/by-label/data /data"]
        """,
        good="""
            containerd: {root: /data/containerd}
            disks: [{mount: /data, size: 100GB}]
        """,
    ),
    Code(
        "IB477",
        ERROR,
        "A file system whose tools are not in the image",
        why="The image is made from the profile, and only these nodes' own settings use this file system.",
        fix="Add the package to `packages.install` of the profile, or use ext4.",
        bad="extends: debian12-efi",
        good="extends: debian12-efi\npackages: {install: [xfsprogs]}",
        bad_cluster=_XFS,
        good_cluster=_XFS,
    ),
    Code(
        "IB478",
        ERROR,
        "A file below the mount point of a disk",
        why="Files are written before the disk is mounted, which then hides them.",
        fix="Write it with a command in `run`, or use another path.",
        bad="""
            disks: [{mount: /data, size: 100GB}]
            files: [{path: /data/a, content: x}]
        """,
        good="""
            disks: [{mount: /data, size: 100GB}]
            run: ["echo x > /data/a"]
        """,
    ),
)
"""The rows of this family."""
