"""The endpoint and the virtual address: that the nodes can reach the control plane there at all."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from imgbuild.checks.balancer import WAYS
from imgbuild.checks.context import Context, cluster_networks, inside, parts
from imgbuild.config.cluster import Node
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import as_address, read_interface
from imgbuild.facts.endpoint import own_address

_FIX = f"write the address or the name of the control plane; for several control planes, set {WAYS}"


def check(context: Context) -> None:
    """All findings about hosts of ``endpoint`` and ``vip`` that no API server can be at."""
    if not context.profile.kubernetes.enabled:
        return
    cluster = context.cluster
    if cluster.endpoint is not None:
        host = cluster.endpoint.rpartition(":")[0].strip("[]")
        _endpoint(context, host, as_address(host) or context.profile.hosts.get(host))
    if cluster.vip is not None:
        what = _nowhere(context, cluster.vip.address)
        if what:
            hint = "give a free address of a network that all control planes are in"
            context.cluster_finding("IB499", ("vip", "address"), f"{cluster.vip.address} is {what}", hint)


def _endpoint(context: Context, host: str, address: str | None) -> None:
    path: Path = ("endpoint",)
    said = host if address in (None, host) else f"{host} ({address})"
    if address is None:
        domain = context.profile.kubernetes.dns_domain
        if host == "localhost" or host.endswith(".localhost"):
            _itself(context, host)
        elif host in ("kubernetes", "kubernetes.default") or host.endswith((".svc", f".{domain}")):
            context.cluster_finding(
                "IB499", path,
                f"{host} is a name of the cluster's own DNS: nodes do not ask it, and it answers only once they have "
                "joined", _FIX,
            )  # fmt: skip
    elif ipaddress.ip_address(address).is_loopback:
        _itself(context, said)
    else:
        what = _nowhere(context, address)
        inner = next((f"in the {n} network {net}" for n, net in cluster_networks(context.profile)
                      if inside(address, net)), "")  # fmt: skip
        if what or inner:
            beside = ", which is there only once the nodes have joined" if inner and not what else ""
            context.cluster_finding("IB499", path, f"{said} is {what or inner}{beside}", _FIX)
            return
    worker = next((node for node in context.cluster.nodes if _is_worker(context, node, host, address)), None)
    if worker is not None:
        kind = "name" if host == worker.name else "address"
        context.cluster_finding(
            "IB499", path, f"{said} is {worker.name}'s own {kind}: a worker has no API server", _FIX,
        )  # fmt: skip


def _itself(context: Context, host: str) -> None:
    """A single machine reaches itself, and nothing else does."""
    several = context.cluster.machines > 1
    context.cluster_finding(
        "IB499", ("endpoint",),
        f"{host} is each node itself: " + ("a worker has no API server" if several else "no other machine reaches it"),
        "set balancer: local in place of endpoint:, or write the address or the name of the control plane",
        lesser=not several,
    )  # fmt: skip


def _nowhere(context: Context, address: str) -> str:
    """Why no machine can have this address; empty if one can."""
    parsed = ipaddress.ip_address(address)
    for kind in ("loopback", "unspecified", "multicast", "link_local"):
        if getattr(parsed, f"is_{kind}"):
            return f"a{'n' if kind[0] in 'aeiou' else ''} {kind.replace('_', '-')} address"
    if address == "255.255.255.255":
        return "the broadcast address"
    for network in _networks(context):
        if network.version == 4 and network.prefixlen < 31 and parsed in (
            network.network_address, network.broadcast_address
        ):  # fmt: skip
            kind = "network" if parsed == network.network_address else "broadcast"
            return f"the {kind} address of {network}"
    return ""


def _networks(context: Context) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for node in context.cluster.nodes:
        for _, _, carried in parts(node):
            yield from (read_interface(each).network for each in carried.addresses)


def _is_worker(context: Context, node: Node, host: str, address: str | None) -> bool:
    if node.role == "control-plane":
        return False
    static = [str(read_interface(each).ip) for _, _, carried in parts(node) for each in carried.addresses]
    return host == node.name or (
        address is not None and address in (*static, own_address(context.profile, node))
    )  # fmt: skip
