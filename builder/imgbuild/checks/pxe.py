"""What a user should know of pxe/ before serving it: who gets no files, and what becomes of a static network."""

from __future__ import annotations

from imgbuild.checks.context import Context
from imgbuild.config.cluster import Node
from imgbuild.diagnostics.findings import Path, few
from imgbuild.outputs.pxe import fallback
from imgbuild.outputs.pxenet import command_line, network_arguments, uplink
from imgbuild.render.network import network_config

_LONGEST = 2047


def check_url(context: Context) -> None:
    """The address of pxe/ alone, which can be judged whatever else is wrong."""
    url = context.profile.pxe.url
    if url is not None and not url.startswith(("http://", "https://")):
        context.report(
            "IB805", ("pxe", "url"), f"pxe.url is {url}: a node that boots over the network has no such file",
            "give the http:// address where pxe/ will be served",
        )  # fmt: skip


def check(context: Context, *, keys: bool) -> None:
    """All findings about booting over the network; for nodes that hold together.

    ``keys``: the seeds hold the cluster's keys.
    """
    nodes = context.cluster.nodes
    without = [n for n, node in enumerate(nodes) if node.boot_mac is None]
    if without and fallback(context.cluster, keys=keys) is None:
        names = few([nodes[n].name for n in without], 5)
        why = (
            "several nodes have no MAC, and nothing tells them apart"
            if len(without) > 1
            else "it has no MAC, and a machine that nobody listed must not get the cluster's keys or its token"
        )
        context.cluster_finding(
            "IB801", ("nodes", without[0]), f"no PXE files for {names}: {why}",
            "give each node that boots over the network a mac: in the cluster file",
        )  # fmt: skip
    static = [n for n, node in enumerate(nodes) if node.boot_mac and node.network]
    if static:
        names = few([nodes[n].name for n in static], 5)
        context.cluster_finding(
            "IB802", ("nodes", static[0], "network"), f"{names}: over PXE a static network is on the "
            "kernel's command line (network-config= and ip=): cloud-init "
            f"{context.resolved.cloud_init} needs it before it can fetch a seed",
            "nothing to do; the seed ISO carries network-config as a file",
        )  # fmt: skip
    for number in static:
        _static(context, ("nodes", number, "network"), nodes[number])


def _static(context: Context, path: Path, node: Node) -> None:
    target = context.target
    said = network_arguments(target, node, network_config(context.resolved, node))
    if len(said) == 1 and node.network is not None:
        device = uplink(node.network)
        why = (
            "it has no IPv4 address"
            if device is None
            else f"{target.name}'s initramfs makes no bond and no VLAN ({getattr(device, 'name', '')})"
        )
        context.cluster_finding(
            "IB803", path,
            f"{node.name}: no ip= for the initramfs over PXE: {why}; the network comes up later, by cloud-init",
            "let it boot over an interface with an address of its own, or from a disk image with a seed ISO",
        )  # fmt: skip
    length = len(command_line(context.resolved, said))
    if length > _LONGEST:
        context.cluster_finding(
            "IB804", path,
            f"{node.name}: its PXE kernel command line has {length} characters; x86 kernels cut it at {_LONGEST} and "
            f"cloud-init then reads a broken network configuration",
            "give the node fewer addresses, routes and name servers for its first boot, or a seed ISO",
        )  # fmt: skip
