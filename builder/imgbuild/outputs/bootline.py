"""The kernel's command line of each node that boots over the network, with placeholders for what a server knows.

``{base}`` is the address of pxe/, ``{seeds}`` that of pxe-private/, both with a slash at the end; ``{bootif}`` is the
card that the machine boots from, as pxelinux writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.profile.pxe import NetworkBoot
from imgbuild.facts import live
from imgbuild.facts.disks import device
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.pxenet import data_source, network_config_argument
from imgbuild.render.templates import to_json

ANY = "any"
"""The seed folder for a machine whose MAC no node has."""
INSTALLING = ("systemd.unit=imgbuild-install.target", "cloud-init=disabled")
"""The arguments with which the live root installs, and does not become a node."""


@dataclass(frozen=True)
class BootLine:
    """One node over the network. ``boot``: what its machine does; None without a live root.

    ``folder`` is its seed's, below pxe-private/. ``diskless`` and ``install`` are whole command lines.
    """

    name: str
    role: str
    mac: str | None
    macs: Sequence[str]
    folder: str
    boot: NetworkBoot | None
    machine_id: str | None
    diskless: Sequence[str]
    install: Sequence[str]
    keep: Sequence[str]
    """Its further disks that have a name of their own: the installer does not choose one of them by itself."""

    @property
    def chosen(self) -> Sequence[str]:
        """The command line for what the machine does."""
        return self.arguments(self.boot)

    def arguments(self, boot: NetworkBoot | None) -> Sequence[str]:
        """The command line for this way to boot."""
        return self.install if boot == "install" else self.diskless

    def install_file(self) -> bytes:
        """What the installer must know of its node, beside the seed: one value per line."""
        rows = [("node", self.name), ("boot", self.boot or "")]
        rows += [*(("mac", mac) for mac in self.macs), *(("keep", disk) for disk in self.keep)]
        return "".join(f"{key}={value}\n" for key, value in rows).encode()


def seed_folder(node: Node) -> str | None:
    """The node's folder, as matchbox and iPXE's ``${mac:hexhyp}`` write it; None if it has no MAC."""
    return f"mac-{node.boot_mac.replace(':', '-')}" if node.boot_mac else None


def boot_line(resolved: Resolved, cluster: Cluster, node: Node, network: Sequence[str]) -> BootLine:
    """How ``node`` boots. ``network``: its `network_arguments`; ``resolved``: the profile with its own settings."""
    folder = seed_folder(node) or ANY
    seed = f"{live.SEEDS}{folder}/"
    source = f"ds={data_source(resolved)};s={seed}"
    own = None if node.shared else live.machine_id(resolved, cluster.name, node.name)
    if not live.live_image(resolved.profile):
        known = dict.fromkeys([*resolved.kernel_arguments, *resolved.profile.pxe.console])
        return _line(resolved, node, folder, None, None, [*known, source, *network], [])
    early = [word for word in network if not word.startswith("network-config=")]
    late = [word for word in network if word not in early] or _by_mac(resolved, node)
    root = live.arguments(resolved, early or live.DHCP)
    machine = [f"systemd.machine_id={own}"] if own is not None else []
    install = [
        *INSTALLING,
        f"imgbuild.install={node.install_disk}",
        f"imgbuild.base={live.BASE}",
        f"imgbuild.seed={seed}",
        *(["imgbuild.wipe"] if node.install_wipe else []),
    ]
    boot = resolved.profile.pxe.boot
    # The installer too: by another machine id at each attempt, networkd would take another address from the server.
    return _line(resolved, node, folder, boot, own, [*root, *machine, source, *late], [*root, *machine, *install])


def _by_mac(resolved: Resolved, node: Node) -> list[str]:
    """A network by DHCP under systemd-networkd, which would ask by an id that firmware and initramfs do not have.

    The server would give one machine two addresses, and the second is the one that nobody has seen before.
    """
    if "systemd-networkd" not in resolved.target.network_daemons or node.boot_mac is None:
        return []
    card = {"match": {"macaddress": node.boot_mac}, "dhcp4": True, "dhcp-identifier": "mac"}
    return [network_config_argument(to_json({"version": 2, "ethernets": {"boot": card}}).encode())]


def _line(
    resolved: Resolved,
    node: Node,
    folder: str,
    boot: NetworkBoot | None,
    machine_id: str | None,
    diskless: Sequence[str],
    install: Sequence[str],
) -> BootLine:
    keep = map(device, resolved.profile.disks)
    return BootLine(
        node.name, node.role, node.boot_mac, node.macs, folder, boot, machine_id, tuple(diskless), tuple(install),
        tuple(disk for disk in keep if disk is not None),
    )  # fmt: skip


def filled(words: Sequence[str], base: str, seeds: str, bootif: str | None) -> list[str]:
    """The words with their placeholders replaced; without ``bootif`` what needs it is left out."""
    out = []
    for word in words:
        if live.BOOTIF in word and bootif is None:
            continue
        out.append(
            word.replace(live.BASE, base).replace(live.SEEDS, seeds).replace(live.BOOTIF, bootif or "")
        )  # fmt: skip
    return out
