"""The cluster's networks: pods, services and nodes separate from each other, and of a size that kubeadm accepts."""

from __future__ import annotations

from typing import Any

from imgbuild.checks import devices, own_address
from imgbuild.checks.context import Context, Networks, node_networks, overlap, parts
from imgbuild.diagnostics.findings import Mark
from imgbuild.facts.derive import networks, read_interface

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
    pods, services = networks(kubernetes.pod_cidr), networks(kubernetes.service_cidr)
    for key, every in (("pod_cidr", pods), ("service_cidr", services)):
        for network in every:
            if network.is_loopback or network.is_multicast or network.is_link_local or network.is_reserved:
                context.report(
                    "IB227", ("kubernetes", key),
                    f"{network} contains loopback, link-local, multicast or reserved addresses",
                    "use a private network, for example 10.244.0.0/16 for pods and 10.96.0.0/12 for Services",
                )  # fmt: skip
    # A default in place of an invalid network conflicts with nothing.
    wrong = context.resolved.loaded.recovered
    given: list[Networks] = [
        () if ("kubernetes", key) in wrong else every for key, every in (("pod_cidr", pods), ("service_cidr", services))
    ]
    if all(given):
        _families(context, *given)
    _sizes(context, *given)
    _overlaps(context, *given)
    own_address.check(context, pods, services)
    devices.check_vip(context)
    _nodes(context)
    if 6 in context.resolved.families and context.profile.cilium.enabled:
        ipv6: Any = context.profile.cilium.values.get("ipv6")
        if not (isinstance(ipv6, dict) and ipv6.get("enabled") is True):
            key = "pod_cidr" if any(network.version == 6 for network in pods) else "service_cidr"
            context.report(
                "IB225", ("kubernetes", key), "an IPv6 network, but Cilium has IPv6 off (cilium.values.ipv6.enabled)",
                "set cilium.values.ipv6.enabled: true, or give an IPv4 network",
            )  # fmt: skip


def _families(context: Context, pods: Networks, services: Networks) -> None:
    of_pods, of_services = [network.version for network in pods], [network.version for network in services]
    written = (context.profile.kubernetes.service_cidr, context.profile.kubernetes.pod_cidr)
    path = ("kubernetes", "service_cidr")
    if set(of_pods) != set(of_services):
        fix = "give both as IPv4, both as IPv6, or a pair for each (dual stack)"
        context.report("IB224", path, f"{written[0]} and the pods' {written[1]} are of different families", fix)
    elif of_pods != of_services:
        context.report(
            "IB224", path,
            f"{written[0]} begins with IPv{of_services[0]}, and the pods' {written[1]} with IPv{of_pods[0]}: "
            "Services and pods would not have the same main family",
            f"write {','.join(map(str, reversed(services)))}, or the other order for kubernetes.pod_cidr",
            lesser=True,
        )  # fmt: skip


def _nodes(context: Context) -> None:
    """The kubelet of a dual-stack node is told one address of each family."""
    if len(context.resolved.families) < 2:
        return
    for number, node in context.nodes:
        carried = [each for _, _, each in parts(node)]
        if not carried:
            continue
        has = {read_interface(address).version for each in carried for address in each.addresses}
        unknown = {4} if any(each.dhcp for each in carried) else set()
        for family in sorted(context.resolved.families - has - unknown):
            context.cluster_finding(
                "IB230", ("nodes", number, "network"),
                f"it has no IPv{family} address, and the cluster's networks are of both families"
                + (": it joins only if a router advertises one" if family == 6 else ""),
                f"add an IPv{family} address to addresses: of the interface with the gateway",
                lesser=family == 6,
            )  # fmt: skip


def _sizes(context: Context, pods: Networks, services: Networks) -> None:
    path = ("kubernetes", "pod_cidr")
    for network in pods:
        mask = _NODE_MASK[network.version]
        if network.prefixlen > mask:
            context.report(
                "IB222", path, f"{network} is too small: kubeadm gives each node a /{mask} of it",
                f"use a network of about /{mask - 8}",
            )  # fmt: skip
        elif mask - network.prefixlen > _MAX_DIFF:
            context.report(
                "IB222", path, f"{network} is too large: kubeadm accepts at most {_MAX_DIFF} bits above a node's "
                f"/{mask}", f"use a network of /{mask - _MAX_DIFF} or smaller",
            )  # fmt: skip
        elif 2 ** (mask - network.prefixlen) < context.cluster.machines:
            context.report(
                "IB222", path, f"{network} has room for {2 ** (mask - network.prefixlen)} nodes (a /{mask} each), "
                f"the cluster has {context.cluster.machines}", "use a larger network",
            )  # fmt: skip
    for network in services:
        bits = network.max_prefixlen - network.prefixlen
        if not _SERVICE_BITS[0] <= bits <= _SERVICE_BITS[1]:
            low, high = (network.max_prefixlen - b for b in reversed(_SERVICE_BITS))
            context.report(
                "IB223", ("kubernetes", "service_cidr"),
                f"kubeadm accepts /{low} to /{high} for services, not {network}",
                "use 10.96.0.0/12" if network.version == 4 else "use a /112",
            )  # fmt: skip


def _overlaps(context: Context, pods: Networks, services: Networks) -> None:
    for service in services:
        for pod in pods:
            if overlap(pod, service):
                context.report(
                    "IB220", ("kubernetes", "service_cidr"),
                    f"the services' {service} and the pods' {pod}{_at(context.mark('kubernetes', 'pod_cidr'))} overlap;"
                    " kubeadm accepts that silently", "use two that share no address: 10.244.0.0/16 and 10.96.0.0/12",
                )  # fmt: skip
    every = [("pod_cidr", network) for network in pods] + [("service_cidr", network) for network in services]
    for path, network in node_networks(context.nodes):
        for key, other in every:
            if overlap(network, other):
                context.cluster_finding(
                    "IB221", path,
                    f"the node's network {network} and kubernetes.{key} {other}"
                    f"{_at(context.mark('kubernetes', key))} overlap: one would hide the other",
                    f"set kubernetes.{key} to a network that no node is in",
                )  # fmt: skip


def _at(mark: Mark | None) -> str:
    return f" ({mark.named})" if mark is not None else ""
