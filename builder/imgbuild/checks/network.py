"""The cluster's networks: pods, services and nodes separate from each other, and of a size that kubeadm accepts."""

from __future__ import annotations

import ipaddress
from typing import Any

from imgbuild.checks import devices
from imgbuild.checks.context import Context, Network, inside, node_networks, overlap, parts
from imgbuild.config.cluster import Node
from imgbuild.diagnostics.findings import Mark, few
from imgbuild.facts.endpoint import own_address

# kubeadm: node masks of the controller manager, PodSubnetNodeMaskMaxDiff = 16, MaximumBitsForServiceSubnet = 20,
# MinimumAddressesInServiceSubnet = 10 (cmd/kubeadm/app/constants).
_NODE_MASK = {4: 24, 6: 64}
_MAX_DIFF = 16
_SERVICE_BITS = (4, 20)


def check(context: Context) -> None:
    """All findings about networks."""
    if not context.profile.kubernetes.enabled:
        return
    kubernetes = context.profile.kubernetes
    pods, services = ipaddress.ip_network(kubernetes.pod_cidr), ipaddress.ip_network(kubernetes.service_cidr)
    for key, network in (("pod_cidr", pods), ("service_cidr", services)):
        if network.is_loopback or network.is_multicast or network.is_link_local or network.is_reserved:
            context.report(
                "IB227", ("kubernetes", key),
                f"{network} contains loopback, link-local, multicast or reserved addresses",
                "use a private network, for example 10.244.0.0/16 for pods and 10.96.0.0/12 for Services",
            )  # fmt: skip
    _sizes(context, pods, services)
    _overlaps(context, pods, services)
    _advertise(context, pods, services)
    devices.check_vip(context)
    if 6 in (pods.version, services.version) and context.profile.cilium.enabled:
        ipv6: Any = context.profile.cilium.values.get("ipv6")
        if not (isinstance(ipv6, dict) and ipv6.get("enabled") is True):
            key = "pod_cidr" if pods.version == 6 else "service_cidr"
            context.report(
                "IB225", ("kubernetes", key), "an IPv6 network, but Cilium has IPv6 off (cilium.values.ipv6.enabled)",
                "set cilium.values.ipv6.enabled: true, or give an IPv4 network",
            )  # fmt: skip


def _sizes(context: Context, pods: Network, services: Network) -> None:
    mask = _NODE_MASK[pods.version]
    path = ("kubernetes", "pod_cidr")
    if pods.version != services.version:
        context.report(
            "IB224", ("kubernetes", "service_cidr"), f"{services} and the pods' {pods} are of different families",
            "give both as IPv4, or both as IPv6",
        )  # fmt: skip
    if pods.prefixlen > mask:
        context.report(
            "IB222", path, f"{pods} is too small: kubeadm gives each node a /{mask} of it",
            f"use a network of about /{mask - 8}",
        )  # fmt: skip
    elif mask - pods.prefixlen > _MAX_DIFF:
        context.report(
            "IB222", path, f"{pods} is too large: kubeadm accepts at most {_MAX_DIFF} bits above a node's /{mask}",
            f"use a network of /{mask - _MAX_DIFF} or smaller",
        )  # fmt: skip
    elif 2 ** (mask - pods.prefixlen) < len(context.cluster.nodes):
        context.report(
            "IB222", path, f"{pods} has room for {2 ** (mask - pods.prefixlen)} nodes (a /{mask} each), "
            f"the cluster has {len(context.cluster.nodes)}", "use a larger network",
        )  # fmt: skip
    bits = services.max_prefixlen - services.prefixlen
    if not _SERVICE_BITS[0] <= bits <= _SERVICE_BITS[1]:
        low, high = (services.max_prefixlen - b for b in reversed(_SERVICE_BITS))
        context.report(
            "IB223", ("kubernetes", "service_cidr"), f"kubeadm accepts /{low} to /{high} for services, not {services}",
            "use 10.96.0.0/12" if services.version == 4 else "use a /112",
        )  # fmt: skip


def _overlaps(context: Context, pods: Network, services: Network) -> None:
    if overlap(pods, services):
        context.report(
            "IB220", ("kubernetes", "service_cidr"),
            f"the services' {services} and the pods' {pods}{_at(context.mark('kubernetes', 'pod_cidr'))} overlap; "
            "kubeadm accepts that silently", "use two that share no address: 10.244.0.0/16 and 10.96.0.0/12",
        )  # fmt: skip
    for path, network in node_networks(context.nodes):
        for key, other in (("pod_cidr", pods), ("service_cidr", services)):
            if overlap(network, other):
                context.cluster_finding(
                    "IB221", path,
                    f"the node's network {network} and kubernetes.{key} {other}"
                    f"{_at(context.mark('kubernetes', key))} overlap: one would hide the other",
                    f"set kubernetes.{key} to a network that no node is in",
                )  # fmt: skip


def _at(mark: Mark | None) -> str:
    return f" ({mark})" if mark is not None else ""


def _advertise(context: Context, pods: Network, services: Network) -> None:
    address = context.profile.kubernetes.advertise_address
    if address is None:
        return
    path = ("kubernetes", "advertise_address")
    fix = "give one of the node's own addresses, or null for the source address of its default route"
    parsed = ipaddress.ip_address(address)
    if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast or parsed.is_link_local:
        context.report("IB226", path, f"no other node can reach {address}", fix)
    for name, network in (("pods", pods), ("services", services)):
        if inside(address, network):
            context.report("IB226", path, f"{address} is in the {name}' network {network}", fix)
    same = [(number, node) for number, node in context.nodes if own_address(context.profile, node) == address]
    if len(same) > 1:
        names = few([node.name for _, node in same], 3)
        context.report("IB226", path, f"{names} cannot all be {address}", fix)
    for number, node in same:
        has = _static(node)
        if has and address not in has:
            context.report("IB226", path, f"{node.name} does not have {address} (it has {few(has, 3)})", fix)
        for other, neighbour in enumerate(context.cluster.nodes):
            if other != number and address in _static(neighbour):
                context.report("IB226", path, f"{address} is an address of {neighbour.name}, not of {node.name}", fix)


def _static(node: Node) -> list[str]:
    """A node's addresses; empty if some come from DHCP and are unknown."""
    carried = [each for _, _, each in parts(node)]
    if any(each.dhcp for each in carried):
        return []
    return [str(ipaddress.ip_interface(address).ip) for each in carried for address in each.addresses]
