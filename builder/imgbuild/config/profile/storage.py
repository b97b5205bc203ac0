"""Further disks of a node: which disk, which file system, where it is mounted."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from imgbuild.config.fields import AbsolutePath, Model, pattern
from imgbuild.config.setting import Setting, Words

_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
SIZE = re.compile(rf"([1-9][0-9]{{0,5}})({'|'.join(_UNITS)})")
"""A size as it is written."""
DEFAULT_WAIT = 90
"""Seconds: as long as systemd waits for a device (DefaultTimeoutStartSec)."""


def size_bytes(size: str) -> int:
    """A size as it is written, in bytes: 500GB, 2TiB."""
    found = SIZE.fullmatch(size)
    assert found is not None  # noqa: S101 - the field's pattern is the same
    return int(found[1]) * _UNITS[found[2]]


def _not_the_root(value: object) -> object:
    if value == "/":
        raise ValueError("remove this disk: / is on the image's own, and grows to the size of that disk")
    return value


MountPoint = Annotated[AbsolutePath, BeforeValidator(_not_the_root)]


class Disk(Model):
    """One more disk: exactly one of ``id``, ``path`` and ``size`` names it."""

    mount: Annotated[
        MountPoint,
        Setting(
            "Where it is mounted. Folders that the system itself uses while it starts are refused: use `folders`.",
            example="/var/lib/containerd",
        ),
    ]
    id: Annotated[
        Annotated[
            str,
            pattern(
                r"[A-Za-z0-9][A-Za-z0-9#+.:=@_,-]{0,250}",
                "write the name of a link in /dev/disk/by-id, without the folder",
            ),
            Words("name in /dev/disk/by-id"),
        ]
        | None,
        Setting(
            "The disk with this name in /dev/disk/by-id: it has model and serial number, and is the same at every "
            "boot. `ls -l /dev/disk/by-id` shows the names.",
            example="nvme-SAMSUNG_MZVL21T0HCLR-00B00_S676NX0R123456",
        ),
    ] = None
    path: Annotated[
        Annotated[
            str,
            pattern(
                r"/dev(/[A-Za-z0-9#+.:=@_,-]*[A-Za-z0-9#+:=@_,-])+",
                "write the path of a device, such as /dev/disk/by-path/pci-0000:00:1f.2-ata-2",
            ),
            Words("path of a device"),
        ]
        | None,
        Setting(
            "The disk, or the partition, at this path: its slot (/dev/disk/by-path), or what an installer made "
            "(/dev/disk/by-partlabel, /dev/mapper). A name such as /dev/sdb may be another disk at the next boot.",
            example="/dev/disk/by-path/pci-0000:00:1f.2-ata-2",
        ),
    ] = None
    size: Annotated[
        Annotated[str, pattern(SIZE.pattern, "write a number and a unit: 500GB, 2TiB, 102400MiB"), Words("size")]
        | None,
        Setting(
            "The smallest blank disk of at least this size that nothing uses; of several, the first by name. "
            "Afterwards it is found by its file system.",
            example="500GB",
        ),
    ] = None
    filesystem: Annotated[Literal["ext4", "xfs"], Setting("Its file system.", example="xfs")] = "ext4"
    label: Annotated[
        Annotated[
            str,
            pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,15}", "a label has at most 16 letters, digits, _ . and -"),
            Words("label"),
        ]
        | None,
        Setting(
            "Label of the file system, at most 12 letters for xfs. A disk that `id` or `path` names and whose file "
            "system has this label is used as it is, whoever made it. `null`: the last part of `mount`.",
            example="data",
        ),
    ] = None
    options: Annotated[
        list[
            Annotated[
                str,
                pattern(
                    r"[A-Za-z0-9_.:=/@+-]+", "a mount option has no spaces and no commas: write one option per item"
                ),
                Words("mount option"),
            ]
        ],
        Setting("Mount options.", example=["noatime"]),
    ] = []
    wait: Annotated[
        int,
        Field(ge=0, le=3600),
        Setting(
            "How long each boot waits for the disk. Then what uses it does not start.", unit="seconds", example=300
        ),
    ] = DEFAULT_WAIT
    wipe: Annotated[
        bool,
        Setting(
            "Whether a disk that is not blank may be erased. A file system that imgbuild made for the same cluster, "
            "node, mount point and label is never erased.",
        ),
    ] = False
    folders: Annotated[
        list[AbsolutePath],
        Setting(
            "Folders of the system that are kept on this disk too, below its mount point, and mounted in their places "
            "(bind mounts).",
            example=["/var/lib/containerd", "/var/lib/kubelet"],
        ),
    ] = []
