"""What the systems for virtual machines share: size, further disks, networks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imgbuild.config.profile import Disk
from imgbuild.config.profile.storage import size_bytes
from imgbuild.export.given import Given, Unit

_GIB = 1 << 30
SERIAL = 20
"""Characters of a virtio disk's serial number (linux/virtio_blk.h, VIRTIO_BLK_ID_BYTES)."""


@dataclass(frozen=True)
class DataDisk:
    """A further disk: ``serial`` makes it /dev/disk/by-id/virtio-SERIAL."""

    name: str
    gib: int
    serial: str = ""


def size(given: Given, unit: Unit) -> tuple[int, int, int]:
    """Memory in MiB, processors, and the size of the disk in GiB. A disk smaller than the image is a finding."""
    machine, options = unit.node.machine, given.options
    disk = machine.disk_gib or options.disk_gib
    least = given.resolved.profile.image.size_mib
    if disk << 10 < least:
        given.tell(
            "IB885", unit.node, ("machine", "disk_gib"),
            f"a disk of {disk} GiB cannot hold the image of {least} MiB",
            f"give it at least {-(-least // 1024)} GiB, with machine.disk_gib or --disk",
        )  # fmt: skip
    return machine.memory_mib or options.memory_mib, machine.cpus or options.cpus, disk


def data_disks(given: Given, unit: Unit, system: str) -> list[DataDisk]:
    """The disks that the profile's ``disks`` mean, in an order in which each of them finds its own.

    A disk that the profile names in a way that no virtual disk has is a finding.
    """
    out = []
    for number, disk in enumerate(unit.profile.disks):
        serial = _serial(given, unit, disk, number, system)
        gib = max(1, -(-size_bytes(disk.size) // _GIB)) if disk.size is not None else given.options.disk_gib
        out.append(DataDisk(f"data{number + 1}", gib, serial))
    return out


def _serial(given: Given, unit: Unit, disk: Disk, number: int, system: str) -> str:
    if disk.size is not None:
        return ""
    found = re.fullmatch(r"virtio-([A-Za-z0-9_-]+)", disk.id or "")
    if found is not None and len(found[1]) <= SERIAL:
        return found[1]
    if disk.path == f"/dev/vd{chr(ord('b') + number)}":
        return ""
    given.tell(
        "IB885", unit.node, (), f"{system} makes no disk with the name {disk.id or disk.path}, which is to be "
        f"mounted on {disk.mount}",
        "name it by size, or by id: virtio-NAME with at most 20 letters, digits, - and _, in the settings of these "
        "nodes", lesser=True,
    )  # fmt: skip
    return ""


def network_of(given: Given, unit: Unit, card: int) -> str | None:
    """The network of a card: one is for all, several are for one card each. None without any."""
    networks = given.options.networks
    if len(networks) > 1 and len(networks) < len(unit.cards):
        given.tell(
            "IB885", unit.node, (), f"it has {len(unit.cards)} cards, and --network names {len(networks)} networks",
            "pass --network once for all cards, or once for each",
        )  # fmt: skip
    return networks[min(card, len(networks) - 1)] if networks else None


def named(given: Given, system: str, regex: str, what: str) -> None:
    """A finding for each of --network that cannot be a network of ``system``: ``what`` it would have to be."""
    for network in given.options.networks:
        if not re.fullmatch(regex, network):
            given.tell("IB885", None, (), f"{system} has no network called {network}", f"pass --network with {what}")


def lacp(given: Given, unit: Unit) -> None:
    """A finding for a bond that needs a switch which speaks LACP: a virtual one does not."""
    for number, bond in enumerate(unit.node.network.bonds if unit.node.network is not None else []):
        if bond.mode == "802.3ad":
            given.tell(
                "IB885", unit.node, ("network", "bonds", number, "mode"),
                f"{bond.name} needs LACP, which a bridge of virtual machines does not answer",
                "give it mode: active-backup for virtual machines", lesser=True,
            )  # fmt: skip
