"""Installing on a machine's disk."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

CODES = (
    Code(
        "IB860",
        Severity.ERROR,
        "`install_wipe` without a disk",
        why="`install_disk: auto` takes a blank disk only, so no disk is named that may lose its data.",
        fix="Name the disk in `install_disk`, or remove `install_wipe`.",
        bad_cluster="""
            nodes:
              - {name: cp1, role: control-plane, install_wipe: true}
        """,
        good_cluster="""
            nodes:
              - {name: cp1, role: control-plane, install_disk: 'serial:S1', install_wipe: true}
        """,
    ),
    Code(
        "IB861",
        Severity.ERROR,
        "The disk to install on is a further disk too",
        why="One disk cannot have the image and the file system of `disks`.",
        fix="Choose another disk for one of them.",
        bad="disks: [{mount: /data, path: /dev/disk/by-path/pci-1}]",
        bad_cluster="""
            nodes:
              - {name: cp1, role: control-plane, install_disk: /dev/disk/by-path/pci-1}
        """,
        good="disks: [{mount: /data, path: /dev/disk/by-path/pci-1}]",
        good_cluster="""
            nodes:
              - {name: cp1, role: control-plane, install_disk: /dev/disk/by-path/pci-2}
        """,
    ),
)
"""The rows of this family."""
