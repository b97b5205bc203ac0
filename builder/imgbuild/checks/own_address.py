"""The addresses that nodes have in Kubernetes: `kubernetes.advertise_address` and `kubernetes.node_ip`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from imgbuild.checks import devices
from imgbuild.checks.context import Context, Networks, inside, parts
from imgbuild.config.cluster import Node
from imgbuild.config.layers import closest
from imgbuild.diagnostics.findings import Path, few
from imgbuild.facts import endpoint
from imgbuild.facts.derive import as_address, read_interface

_FIX = "give one of the node's own addresses, or null for the source address of its default route"


def check(context: Context, pods: Networks, services: Networks) -> None:
    """All findings about the nodes' own addresses; ``pods`` and ``services`` are the cluster's networks."""
    kubernetes = context.profile.kubernetes
    if kubernetes.advertise_address is not None:
        address = kubernetes.advertise_address
        same = [(n, node) for n, node in context.nodes if endpoint.own_address(context.profile, node) == address]
        _address(context, ("kubernetes", "advertise_address"), "IB226", address, same, (pods, services))
    if kubernetes.node_ip is None:
        return
    path = ("kubernetes", "node_ip")
    if as_address(kubernetes.node_ip) is not None:
        _address(context, path, "IB486", kubernetes.node_ip, context.nodes, (pods, services))
        return
    wrong: dict[tuple[str, str], list[str]] = {}  # once for all nodes, however many
    for number, node in context.nodes:
        found = _interface(context, number, node, kubernetes.node_ip, services[0].version)
        if found is not None:
            wrong.setdefault(found, []).append(node.name)
    for (message, hint), names in wrong.items():
        context.report("IB486", path, message, hint, who=names)


def _address(
    context: Context,
    path: Path,
    code: str,
    address: str,
    same: list[tuple[int, Node]],
    cluster: tuple[Networks, Networks],
) -> None:
    """``same`` are the nodes that this is the address of."""
    found = _unusable(address, cluster)
    if found is not None:
        context.report(code, path, *found)
        return
    if len(same) > 1:
        names = few([node.name for _, node in same], 3)
        fix = "remove it here; a node can have its own in settings:"
        context.report(code, path, f"{names} cannot all be {address}", fix)
        return
    for number, node in same:
        has = _static(node)
        owner = next(
            (each for other, each in enumerate(context.cluster.nodes) if other != number and address in _static(each)),
            None,
        )
        if owner is not None:
            context.report(code, path, f"{address} is an address of {owner.name}, not of {node.name}", _FIX)
        elif has and address not in has:
            context.report(code, path, f"{node.name} does not have {address} (it has {few(has, 3)})", _FIX)


def _unusable(address: str, cluster: tuple[Networks, Networks]) -> tuple[str, str] | None:
    """Why no node can have this address, and the fix; the first reason, because the others follow from it."""
    parsed = ipaddress.ip_address(address)
    if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast or parsed.is_link_local:
        return f"no other node can reach {address}", _FIX
    for name, networks in zip(("pods", "services"), cluster, strict=True):
        network = next((network for network in networks if inside(address, network)), None)
        if network is not None:
            return f"{address} is in the {name}' network {network}", _FIX
    # kube-apiserver: "service IP family must match public address family" (controlplane/apiserver/options).
    first = cluster[1][0]
    if parsed.version == first.version:
        return None
    return (
        f"{address} is IPv{parsed.version}, and the first network of the Services is {first}: the API server refuses "
        "to start", f"give an IPv{first.version} address, or null",
    )  # fmt: skip


def _static(node: Node) -> list[str]:
    """A node's addresses; empty if some come from DHCP and are unknown."""
    carried = [each for _, _, each in parts(node)]
    if any(each.dhcp for each in carried):
        return []
    return [str(read_interface(address).ip) for each in carried for address in each.addresses]


def _nearest(name: str, names: Sequence[str]) -> str:
    """The name that was meant, if only its letters are misspelt: another number is another card."""
    near = [other for other in names if re.sub("[^0-9]", "", other) == re.sub("[^0-9]", "", name)]
    return closest(name, near)


def _interface(context: Context, number: int, node: Node, name: str, family: int) -> tuple[str, str] | None:
    """What is wrong with an interface of a node, and the fix."""
    names = devices.interface_names(context, number, node)
    if names and name not in names:
        hint = "name one that every node has; a node can have its own in settings:"
        return f"no interface {name} (it has {devices.in_words(names)})", _nearest(name, names) or hint
    carried = next((each for _, own, each in parts(node) if own == name), None)
    by_dhcp = carried is None or (carried.dhcp and family == 4)
    if carried is not None and not by_dhcp and endpoint.kubelet_address(context.profile, node) is None:
        return (
            f"{name} has no IPv{family} address",
            "name the interface that has the node's address in the cluster's network",
        )
    advertised = context.profile.kubernetes.advertise_address
    looked_up = endpoint.node_interface(context.profile, node) is not None
    if looked_up and advertised is not None and endpoint.own_address(context.profile, node) == advertised:
        return (
            f"advertise_address is {advertised}, and {name} gets its address by DHCP: first boot knows one address of "
            "a node", "set node_ip to the address itself, or leave advertise_address out",
        )  # fmt: skip
    return None
