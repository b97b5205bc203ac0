"""The disk that a node is installed on: may it be erased, and is it a further disk of the node too."""

from __future__ import annotations

from imgbuild.checks.context import Context
from imgbuild.facts.disks import device


def check(context: Context) -> None:
    """All findings about ``install_disk`` and ``install_wipe``."""
    say = context.cluster_finding
    for number, node in context.nodes:
        if node.install_wipe and node.install_disk == "auto":
            say(
                "IB860", ("nodes", number, "install_wipe"), "install_wipe without a disk: auto takes a blank disk only",
                "name the disk that may be erased: install_disk: /dev/disk/by-id/NAME, or remove install_wipe",
            )  # fmt: skip
        for disk in context.profile.disks:
            path = device(disk)
            if path == node.install_disk:
                say(
                    "IB861", ("nodes", number, "install_disk"),
                    f"{path} is the further disk of {disk.mount}, too: the image would be installed on it",
                    f"set install_disk to another disk, or remove {disk.mount} from disks",
                )  # fmt: skip
