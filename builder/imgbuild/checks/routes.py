"""Direct routes between nodes: Cilium's autoDirectNodeRoutes requires all nodes to be in one network.

The agent looks up the route to another node's address in its kernel. If it leads through a gateway, the agent does not
install the route to that node's pods, and the endpoints never become ready while the agent reports Ok
(pkg/datapath/linux/node.go, "must be directly reachable").
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgbuild.checks.agent import configured
from imgbuild.checks.context import Context, Network, parts
from imgbuild.config.cluster import Node
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.conditions import Condition
from imgbuild.facts.derive import read_interface
from imgbuild.facts.endpoint import kubelet_address
from imgbuild.facts.node_settings import Own

_KEY: Path = ("cilium", "values", "autoDirectNodeRoutes")
_OUT = (
    "add the layer tunnel (routingMode: tunnel and related values), or set "
    "cilium.values.directRoutingSkipUnreachable: true (charts from 1.16 on) and route the pods' networks yourself; "
    "if the nodes have other cards in one network, name them in kubernetes.node_ip"
)
_WANTED: Condition = [{"autoDirectNodeRoutes": True}, "native", {"not": {"directRoutingSkipUnreachable": True}}]


def check(context: Context, own: Sequence[Own]) -> None:
    """All findings about nodes that do not reach each other without a gateway.

    A node whose address or networks are not known (DHCP) gives none.
    """
    profile, nodes = context.profile, context.cluster.nodes
    if not (
        profile.kubernetes.enabled and profile.cilium.enabled and configured(profile, context.cluster).holds(_WANTED)
    ):
        return
    profiles = {number: each.resolved.profile for each in own for number in each.numbers}
    addresses = {
        number: address
        for number, node in enumerate(nodes)
        if (address := kubelet_address(profiles.get(number, profile), node)) and _place(context, number, address)
    }
    apart = _far_apart(nodes, addresses)
    if apart:
        _apart(context, apart, addresses)
    elif profile.cloud.providers and (context.cluster_layered is None or len(nodes) > 1):
        cloud = "every node is" if "gcp" in profile.cloud.providers else "nodes of different zones are"
        context.report(
            "IB652", _KEY, f"in this cloud {cloud} behind a gateway, and autoDirectNodeRoutes needs all nodes in one "
            "network: pods on different nodes would not reach each other", _OUT,
        )  # fmt: skip


@dataclass(frozen=True)
class _Routes:
    """What a node's kernel knows. Nodes of one network share it, so that 5,000 of them need no 25 million lookups."""

    connected: frozenset[Network]
    routes: tuple[tuple[Network, str], ...]
    """Network and gateway, as the cluster file has them."""
    dhcp: bool

    def lead_through_a_gateway(self, address: str) -> bool:
        """Whether the route to ``address`` leads through a gateway, or there is none."""
        there = ipaddress.ip_address(address)
        # The network of an address of its own wins over a route to the same one.
        known = {net: via != address for net, via in self.routes} | dict.fromkeys(self.connected, False)
        best = max((net for net in known if there in net), key=lambda net: net.prefixlen, default=None)
        if best is not None and best.prefixlen:
            return known[best]
        return not self.dhcp  # which may provide that network


def _routes(node: Node) -> _Routes:
    carried = [one for _, _, one in parts(node)]
    return _Routes(
        frozenset(_network(text) for one in carried for text in one.addresses),
        tuple((_network(route.to), route.via) for one in carried for route in one.routes),
        any(one.dhcp for one in carried),
    )


@dataclass(frozen=True)
class _Apart:
    """Two nodes of which the first reaches the second only through a gateway, and how many more there are."""

    one: int
    other: int
    more: int


def _far_apart(nodes: Sequence[Node], addresses: Mapping[int, str]) -> _Apart | None:
    alike: dict[_Routes, list[int]] = {}
    for number in addresses:
        alike.setdefault(_routes(nodes[number]), []).append(number)
    first: tuple[int, int] | None = None
    involved: set[int] = set()
    for routes, numbers in alike.items():
        far = [number for number, address in addresses.items() if routes.lead_through_a_gateway(address)]
        pairs = [(number, other) for number in numbers for other in far[:2] if other != number]
        if pairs:
            first = min(pairs[0], first or pairs[0])
            involved.update(far, (number for number, _ in pairs))
    return _Apart(*first, len(involved - {*first})) if first else None


def _network(text: str) -> Network:
    return read_interface(text).network


def _apart(context: Context, apart: _Apart, addresses: Mapping[int, str]) -> None:
    """One finding that names two nodes; the others are counted."""
    one, other, more = apart.one, apart.other, apart.more
    names = [context.cluster.nodes[number].name for number in (one, other)]
    and_more = f" (and {more} more node{'s' if more > 1 else ''})" if more else ""
    context.cluster_finding(
        "IB651", _place(context, other, addresses[other]) or ("nodes", other),
        f"{names[0]} ({addresses[one]}) reaches {names[1]} ({addresses[other]}) only through a gateway{and_more}, and "
        "cilium.values.autoDirectNodeRoutes needs all nodes in one network: pods on them would not reach each other",
        _OUT,
    )  # fmt: skip


def _place(context: Context, number: int, address: str) -> Path | None:
    """Where the cluster file gives a node this address; None if it does not, or if its value is invalid."""
    if context.recovered(("nodes", number, "network")):
        return None
    for place, _, carried in parts(context.cluster.nodes[number]):
        for index, text in enumerate(carried.addresses):
            if text.partition("/")[0] == address:
                return ("nodes", number, "network", *place, "addresses", index)
    return None
