"""What a node's interfaces, bonds and name servers can and cannot do on the target."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from imgbuild.checks.context import Context, cluster_networks, inside, parts
from imgbuild.config.cluster import Node
from imgbuild.config.layers import closest
from imgbuild.config.node_network import Addresses, NodeNetwork
from imgbuild.diagnostics.findings import Path, few
from imgbuild.facts.derive import version

_BOND_MODES = {
    "lacp_rate": ("802.3ad",),
    "xmit_hash_policy": ("802.3ad", "balance-xor", "balance-tlb"),
    "primary": ("active-backup", "balance-tlb", "balance-alb"),
}
"""The modes that take an option: drivers/net/bonding/bond_options.c, and Documentation/networking/bonding.rst."""
_SERVERS = 3
"""glibc's MAXNS (resolv.conf(5)), which the kubelet applies to pods too (pkg/apis/core/validation, MaxDNSNameservers).
"""
_OLD_SEARCH = (6, 256)
"""Search domains and their characters that glibc before 2.26 takes (resolv.conf(5))."""
_PODS_SEARCH = (29, 2048)
"""The kubelet gives a pod at most 32 (MaxDNSSearchPaths), of which three are the cluster's."""


def check(context: Context) -> None:
    """All findings about the interfaces of the cluster's nodes and their name servers."""
    for number, node in enumerate(context.cluster.nodes):
        if node.network is None:
            continue
        path: Path = ("nodes", number, "network")
        _cards(context, path, node, node.network)
        _bonds(context, path, node.network)
        for place, name, carried in parts(node):
            for key, why, fix in _idle(name, carried):
                context.cluster_finding("IB482", (*path, *place, key), why, fix)
        _servers(context, path, node.network)
        _search(context, path, node.network)


def _cards(context: Context, path: Path, node: Node, network: NodeNetwork) -> None:
    several = len(network.interfaces) > 1
    for index, interface in enumerate(network.interfaces):
        here = (*path, "interfaces", index)
        if node.mac_of(interface) is not None:
            continue
        kernel = context.profile.kernel.interface_names == "kernel"
        numbered = re.fullmatch(r"eth[0-9]+", interface.name) is not None
        if several:
            context.cluster_finding(
                "IB480", here,
                f"{interface.name} has no MAC, but the node has {len(network.interfaces)} interfaces: nothing tells "
                "which card it is", "add mac: with the card's MAC",
            )  # fmt: skip
        elif kernel and interface.name != "eth0":
            context.cluster_finding(
                "IB481", (*here, "name"),
                f"{interface.name} has no MAC, so it is not renamed: because of net.ifnames=0 the node's only card is "
                "eth0", "name it eth0, or add mac: with the card's MAC",
            )  # fmt: skip
        elif not kernel and numbered:
            context.cluster_finding(
                "IB481", (*here, "name"),
                f"{interface.name} has no MAC, so it is not renamed: with kernel.interface_names: predictable few "
                f"cards are called {interface.name}",
                "give the name that the card has there, such as ens192, or add mac: with the card's MAC",
                lesser=True,
            )  # fmt: skip


def _bonds(context: Context, path: Path, network: NodeNetwork) -> None:
    for number, bond in enumerate(network.bonds):
        here = (*path, "bonds", number)
        for key, modes in _BOND_MODES.items():
            if getattr(bond, key) is not None and bond.mode not in modes:
                context.cluster_finding(
                    "IB483", (*here, key), f"a bond with mode {bond.mode} does not take {key}",
                    f"remove {key}, or set mode: {modes[0]}",
                )  # fmt: skip
        if bond.primary is not None and bond.primary not in bond.interfaces:
            context.cluster_finding(
                "IB483", (*here, "primary"), f"{bond.primary} is not an interface of {bond.name}",
                closest(bond.primary, bond.interfaces) or f"name one of {', '.join(bond.interfaces)}",
            )  # fmt: skip


def _idle(name: str, carried: Addresses) -> Iterator[tuple[str, str, str]]:
    """Keys of an interface that do nothing there: key, message and fix."""
    if carried.gateway is not None and carried.dhcp and not carried.addresses:
        fix = "remove gateway:, or set dhcp: false and addresses:"
        yield "gateway", f"{name} has DHCP, which sends the gateway: this one would not be used", fix
    if carried.on_link and carried.gateway is None:
        yield "on_link", f"{name} has no gateway: on_link has no effect", "add gateway:, or remove on_link"
    elif carried.on_link and ":" in str(carried.gateway):
        yield "on_link", "on_link is for IPv4 gateways", "give the router's link-local address (fe80::…) as gateway"
    if not carried.default_route and carried.gateway is not None:
        fix = "remove gateway:, or default_route: false"
        yield "default_route", f"{name} has a gateway, and default_route: false", fix
    elif not carried.default_route and not carried.dhcp:
        yield "default_route", f"{name} has no DHCP: default_route has no effect", "remove default_route"
    if not carried.use_dns and not carried.dhcp:
        yield "use_dns", f"{name} has no DHCP: use_dns has no effect", "remove use_dns"


def _servers(context: Context, path: Path, network: NodeNetwork) -> None:
    kubernetes = context.profile.kubernetes
    for index, server in enumerate(network.dns):
        here = (*path, "dns", index)
        for name, cidr in cluster_networks(context.profile):
            if inside(server, cidr):
                context.cluster_finding(
                    "IB484", here,
                    f"{server} is in the {name} network {cidr}: there is nothing before the cluster runs, and CoreDNS "
                    "would forward to itself", "give a server outside the cluster",
                )  # fmt: skip
        address = ipaddress.ip_address(server)
        if address.is_loopback and kubernetes.enabled:
            context.cluster_finding(
                "IB484", here,
                f"{server} is the loopback address: CoreDNS reads the node's resolv.conf and would forward to itself",
                "give an address that pods reach too", lesser=True,
            )  # fmt: skip
        elif address.is_unspecified or address.is_multicast:
            context.cluster_finding("IB484", here, f"{server} is not the address of a server", "give a server's own")
    if len(network.dns) > _SERVERS:
        context.cluster_finding(
            "IB485", (*path, "dns", _SERVERS),
            f"{len(network.dns)} name servers, but glibc and the kubelet use the first {_SERVERS} only: "
            f"{few(network.dns[_SERVERS:], 3)} would never be asked", f"keep {_SERVERS} of them",
        )  # fmt: skip


def _search(context: Context, path: Path, network: NodeNetwork) -> None:
    target = context.target
    limits = [("the kubelet gives pods (beside the cluster's own three)", _PODS_SEARCH)]
    if version(target.glibc) < version("2.26"):
        limits.insert(0, (f"glibc {target.glibc} of {target.name} takes", _OLD_SEARCH))
    count, length = len(network.search), len(" ".join(network.search))
    for who, (most, longest) in limits:
        if count > most or length > longest:
            context.cluster_finding(
                "IB485", (*path, "search"),
                f"{count} search domains with {length} characters, but {who} at most {most} with {longest}",
                "remove those that are needed least",
            )  # fmt: skip
            return
