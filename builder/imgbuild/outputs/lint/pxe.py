"""What a user should know about pxe/ before serving it: nodes without files, and the effect of a static network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.layers import Layered, report
from imgbuild.diagnostics.findings import Findings, Path
from imgbuild.facts.live import live_image
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.pxe import fallback
from imgbuild.outputs.pxenet import command_line, uplink

_LONGEST = 2047


def lint(
    resolved: Resolved,
    cluster: Cluster,
    layered: Layered | None,
    findings: Findings,
    arguments: Mapping[str, Sequence[str]],
    *,
    keys: bool,
) -> None:
    """Add all findings about booting these nodes over the network.

    ``layered``: where the values of the cluster file came from. ``arguments``: the nodes' `boot_arguments`.
    ``keys``: the seeds hold the cluster's keys.
    """
    nodes = cluster.nodes
    without = [n for n, node in enumerate(nodes) if node.boot_mac is None and not node.shared]
    if without and fallback(cluster, keys=keys) not in [nodes[n] for n in without]:
        names = [nodes[n].name for n in without]
        why = (
            "several nodes have no MAC, so they cannot be distinguished"
            if len(without) > 1
            else "it has no MAC, and a machine that is not listed must not get the cluster's keys or its token"
        )
        report(
            findings, layered, "IB801", ("nodes", without[0]), f"no PXE files: {why}",
            "set mac: in the cluster file for each node that boots over the network", who=names,
        )  # fmt: skip
    static = [n for n, node in enumerate(nodes) if node.boot_mac and node.network]
    if static:
        names = [nodes[n].name for n in static]
        report(
            findings, layered, "IB802", ("nodes", static[0], "network"), "over PXE a static network is on the "
            "kernel's command line (network-config= and ip=): cloud-init "
            f"{resolved.cloud_init} needs it before it can fetch a seed",
            "nothing to do; the seed ISO carries network-config as a file", who=names,
        )  # fmt: skip
    for number in static:
        node = nodes[number]
        _static(resolved, layered, findings, ("nodes", number, "network"), node, arguments[node.name])


def _static(
    resolved: Resolved, layered: Layered | None, findings: Findings, path: Path, node: Node, said: Sequence[str]
) -> None:
    target = resolved.target
    device = uplink(node.network) if node.network is not None else None
    by_dhcp = device is None and node.network is not None and any(each.dhcp for each in node.network.devices)
    if len(said) == 1 and not by_dhcp:  # DHCP needs no argument
        why = (
            "it has no IPv4 address"
            if device is None
            else f"its gateway is outside the network of {device.name}"
            if device.on_link
            else f"{target.name}'s initramfs sets up no bond and no VLAN ({device.name})"
        )
        live = live_image(resolved.profile)
        later = "the live root comes by DHCP, on the card that it boots from, and " if live else ""
        hint = "have a DHCP server answer on that card, or " if live else ""
        report(
            findings, layered, "IB803", path,
            f"no ip= for the initramfs over PXE: {why}; {later}the network comes up later, by cloud-init",
            f"{hint}boot it over an interface with its own address, or from a disk image with a seed ISO",
            who=[node.name],
        )  # fmt: skip
    length = len(command_line(resolved, said))
    if length > _LONGEST:
        report(
            findings, layered, "IB804", path,
            f"its PXE kernel command line has {length} characters; x86 kernels cut it at {_LONGEST} and "
            f"cloud-init then reads a broken network configuration",
            "give the node fewer addresses, routes and name servers for its first boot, or a seed ISO", who=[node.name],
        )  # fmt: skip
