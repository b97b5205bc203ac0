"""What every export starts from: the nodes with their seeds, the image, the options, and where findings go."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.layers import Layered, report
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Findings, Path
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.seed import seed_iso
from imgbuild.outputs.tree import OutFile

PRIVATE = "private"
"""The folder for everything that has a seed in it."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:imgbuild:export")


@dataclass(frozen=True)
class Options:
    """The options of the command line; sizes in MiB and GiB."""

    image_url: str | None = None
    image_sha256: str | None = None
    namespace: str = "default"
    memory_mib: int = 4096
    cpus: int = 2
    disk_gib: int = 40
    networks: Sequence[str] = ()
    storage: str | None = None


@dataclass(frozen=True)
class Built:
    """The disk image that the output folder has: the sha256 of each file, by its name."""

    sums: Mapping[str, str] = field(default_factory=dict)
    current: bool = True
    """Whether it was built from this input."""


@dataclass(frozen=True)
class Card:
    """A network card: the name that the node gives it, and its MAC; None if it is not known."""

    name: str
    mac: str | None


@dataclass(frozen=True)
class Unit:
    """One machine: a node, or one of the group that a node is."""

    name: str
    node: Node
    profile: Profile
    """With the node's own settings."""
    seed: Mapping[str, bytes] = field(repr=False)

    @cached_property
    def cards(self) -> Sequence[Card]:
        """Its cards, in the order of the cluster file; the one that it boots from is first if it has no other use."""
        node = self.node
        if node.network is None:
            return [Card("eth0", node.boot_mac)]
        cards = [Card(interface.name, node.mac_of(interface)) for interface in node.network.interfaces]
        if node.mac is not None and node.mac not in [card.mac for card in cards]:
            cards.insert(0, Card("boot", node.mac))
        return cards


@dataclass(frozen=True)
class Given:
    """The input of one export. ``own``: the profiles of nodes that have settings of their own, by name."""

    resolved: Resolved
    cluster: Cluster
    layered: Layered | None
    """Where the values of the cluster file came from."""
    own: Mapping[str, Resolved]
    seeds: Mapping[str, Mapping[str, bytes]] = field(repr=False)
    epoch: int
    options: Options
    built: Built
    findings: Findings

    @property
    def name(self) -> str:
        """The output folder's name, which the image has too."""
        return self.resolved.name

    @property
    def efi(self) -> bool:
        """Whether the image boots by EFI."""
        return self.resolved.profile.firmware == "efi"

    def units(self, *, groups: bool) -> list[Unit]:
        """Every machine. ``groups``: whether a group may become as many machines, which have no MAC of their own.

        A group that may not, and a name that two machines would have, is a finding.
        """
        out: dict[str, Unit] = {}
        for node in self.cluster.nodes:
            if node.shared and not groups:
                self.tell(
                    "IB887", node, ("count",),
                    "the machines of a group have neither names nor MACs of their own, by which this system knows them",
                    "write each machine as a node with its mac, or leave this group out of the cluster file of the "
                    "export",
                )  # fmt: skip
                continue
            profile = self.own.get(node.name, self.resolved).profile
            names = [f"{node.name}-{at}" for at in range(1, (node.count or 0) + 1)] if node.shared else [node.name]
            for name in names:
                if name in out:
                    hint = f"rename the node {name}, or the group"
                    self.tell("IB887", node, ("name",), f"two machines would be called {name}", hint)
                out[name] = Unit(name, node, profile, self.seeds[node.name])
        return list(out.values())

    def tell(self, code: str, node: Node | None, path: Path, message: str, hint: str, *, lesser: bool = False) -> None:
        """A finding about ``path`` of a node in the cluster file; about the whole export if ``node`` is None."""
        if node is None:
            self.findings.add(code, message, hint=hint, lesser=lesser)
            return
        number = next(at for at, one in enumerate(self.cluster.nodes) if one is node)
        place = ("nodes", number, *path)
        report(self.findings, self.layered, code, place, message, hint, lesser=lesser, who=[node.name])

    def iso(self, unit: Unit) -> OutFile:
        """The seed as an image, for its owner alone."""
        return OutFile(seed_iso(unit.seed, self.epoch), 0o600)

    def uuid(self, what: str) -> str:
        """An identifier that is the same on every run."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.cluster.name} {what} "))

    def mac(self, unit: Unit, card: int) -> str:
        """The MAC of a virtual machine's card: as the cluster file has it, else one that is the same on every run.

        52:54:00 is what QEMU and libvirt give to virtual cards.
        """
        known = unit.cards[card].mac
        digits = hashlib.sha256(f"{self.cluster.name}\n{unit.name}\n{card}".encode()).hexdigest()
        return known or "52:54:00:" + ":".join(digits[at : at + 2] for at in (0, 2, 4))


Files = Mapping[str, OutFile]
"""The files of one system, by their path in its folder."""


def script(lines: Iterator[str] | Sequence[str], mode: int = 0o755) -> OutFile:
    """A bash script."""
    return OutFile("".join(f"{line}\n" for line in ("#!/bin/bash", *lines)).encode(), mode)


def text(content: str, mode: int = 0o644) -> OutFile:
    """A file of text."""
    return OutFile(content.encode(), mode)
