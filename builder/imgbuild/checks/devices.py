"""Whether every node has the interfaces that Cilium's values and kube-vip name, and whether they support native XDP.

Where ``devices`` is empty, the agent uses every interface that is up and has a global address, that of the node too;
where it names some, it uses only those, and exits on a node that has none of them (pkg/datapath/linux/
devices_controller.go, pkg/datapath/tables/direct_routing_device.go). The real interfaces are known on the machine only:
first boot checks again (lib/xdp.sh).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgbuild.checks.context import Context, parts
from imgbuild.config.cluster import Node
from imgbuild.config.layers import closest
from imgbuild.config.node_network import Addresses, Bond, Vlan
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.cilium_values import VALUES, chart_release
from imgbuild.facts.derive import device_names, since, version

_DEVICES: Path = ("devices",)
_MISSING: Mapping[Path, str] = {
    _DEVICES: "the agent refuses to start there (“unable to determine direct routing device”)",
    ("nodePort", "directRoutingDevice"): "the agent silently uses the interface with the node's address there",
    ("egressMasqueradeInterfaces",): "what leaves that node is not masqueraded",
    ("encryption", "ipsec", "interface"): "IPsec has no interface there",
}
"""The keys that name interfaces, and the effect on a node that has none of those named."""
_EXCLUDED = ("cilium_", "lo", "lxc", "cni", "docker")
"""Interfaces that the agent never selects by itself (pkg/defaults/node.go)."""
_PAGE = 3498
"""Bytes: XDP's buffers are one page, and a driver reserves some of it (docs.cilium.io, "NodePort XDP on AWS")."""
_BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "802.3ad")
"""drivers/net/bonding/bond_main.c: bond_xdp_check."""


_BY_DHCP = tuple(f"eth{number}" for number in range(16))
"""The names that a node with DHCP may have with net.ifnames=0; their number is not known."""


def check(context: Context, leaves: Mapping[Path, object]) -> None:
    """All findings about names of interfaces in ``leaves``, the chart's values by path."""
    has = {number: found for number, node in context.nodes if (found := interface_names(context, number, node))}
    taken = _patterns(leaves.get(_DEVICES))
    for key, end in _MISSING.items():
        value = leaves.get(key)
        # The direct routing device must be one of the devices.
        among = taken if key == ("nodePort", "directRoutingDevice") else []
        there = {number: _among(names, among) for number, names in has.items()}
        for index, name in enumerate(device_names(value)):
            path = (*VALUES, *key, *((index,) if isinstance(value, list) else ()))
            others = [other for other in taken if other != name] if key == _DEVICES else []
            if not name.startswith("!"):
                _named(context, path, name, others, there, end)
    if leaves.get(("loadBalancer", "acceleration")) == "native":
        _xdp(context)


def check_vip(context: Context) -> None:
    """kube-vip's interface, on every control plane."""
    name = context.cluster.vip.interface if context.cluster.vip else None
    planes = [(number, node) for number, node in context.nodes if node.role == "control-plane"]
    has = {number: found for number, node in planes if (found := interface_names(context, number, node))}
    without = [number for number, names in has.items() if name is not None and name not in names]
    if name is None or not without:
        return
    first, *rest = without
    context.cluster_finding(
        "IB427", ("vip", "interface"),
        f"{_where(context, first)}{_more(len(rest))} {'have' if rest else 'has'} no interface {name}"
        f" ({context.cluster.nodes[first].name} has {in_words(has[first])})",
        closest(name, has[first]) or "name one that every control plane has, or null for the default route's",
    )  # fmt: skip


def interface_names(context: Context, number: int, node: Node) -> Sequence[str]:
    """The names of a node's interfaces; empty if unknown, because with DHCP systemd may name them."""
    if context.recovered(("nodes", number, "network")):
        return ()
    if node.network is not None:
        return [name for _, name, _ in parts(node)]
    return _BY_DHCP if context.profile.kernel.interface_names == "kernel" else ()


def _patterns(value: object) -> list[str]:
    """The interfaces that a value names; !eth1 excludes one and is not among them."""
    return [name for name in device_names(value) if not name.startswith("!")]


def _among(names: Sequence[str], patterns: Sequence[str]) -> Sequence[str]:
    """Those of a node's interfaces that are named; all of them if none is named."""
    return [name for name in names if any(_matches(pattern, [name]) for pattern in patterns)] if patterns else names


def in_words(names: Sequence[str]) -> str:
    return (
        "eth0, eth1…, because of net.ifnames=0"
        if names is _BY_DHCP
        else ", ".join(names[:6]) or "none that Cilium would use"
    )


def _matches(pattern: str, names: Sequence[str]) -> bool:
    """``eth+`` matches every name that begins with eth."""
    head = pattern.removesuffix("+")
    return pattern in names or (head != pattern and any(name.startswith(head) for name in names))


def _where(context: Context, number: int, *place: str | int) -> str:
    """A node as messages name it, with its place in the cluster file."""
    node = context.cluster.nodes[number]
    path: Path = ("nodes", number, *(("network", *place) if node.network is not None else ()))
    mark = context.cluster_layered.mark(path) if context.cluster_layered is not None else None
    return f"{node.name} ({mark})" if mark is not None else node.name


def _more(count: int) -> str:
    return f" and {count} more node{'s' if count > 1 else ''}" if count else ""


def _named(
    context: Context, path: Path, name: str, others: Sequence[str], has: Mapping[int, Sequence[str]], end: str
) -> None:
    without = [number for number, names in has.items() if not _matches(name, names)]
    # If another of the names matches, the agent works there, on fewer devices.
    bare = [number for number in without if not any(_matches(other, has[number]) for other in others)]
    if not without:
        return
    first, *rest = bare or without
    hint = closest(name, has[first]) or "name one that every node has, or a pattern such as eth+"
    message = f"no interface {name} on {_where(context, first)}{_more(len(rest))} (it has {in_words(has[first])})"
    if bare:
        context.report("IB642", path, f"{message}: {end}", hint)
    elif chart_release(context.profile) < since("cilium", "device_optional"):
        context.report(
            "IB642", path, f"{message}: the agent refuses to start there (“Cannot retrieve {name} link”)", hint
        )
    else:
        context.report("IB643", path, f"{message}: Cilium has fewer devices there", hint)


def _xdp(context: Context) -> None:
    path = (*VALUES, "loadBalancer", "acceleration")
    fix = "write best-effort or disabled, or name other devices in cilium.values.devices"
    if "gcp" in context.profile.cloud.providers:
        context.report(
            "IB644", path, "neither virtio-net nor gVNIC in Google's cloud supports native XDP in Cilium", fix
        )
    without: dict[str, list[str]] = {}
    large: list[str] = []
    for number, node in context.nodes:
        for place, name, carried in _taken(context, node):
            where = f"{name} of {_where(context, number, *place)}"
            why = _no_xdp(context, carried)
            if why:
                without.setdefault(why, []).append(where)
            elif (carried.mtu or 0) > _PAGE:
                large.append(where)
    for why, places in without.items():
        message = f"{places[0]}{_more(len(places) - 1)}: {why}, and the agent would not start"
        context.report("IB644", path, message, fix)
    if large:
        context.report(
            "IB645", path,
            f"{large[0]}{_more(len(large) - 1)}: native XDP requires a packet to fit in one page: with most "
            f"drivers an MTU of at most {_PAGE}", f"set mtu: {_PAGE} there, or {fix}",
        )  # fmt: skip


def _taken(context: Context, node: Node) -> list[tuple[Path, str, Addresses]]:
    """The interfaces of the cluster file that Cilium uses on a node: those named, else each that has an address."""
    value = context.profile.cilium.values.get("devices")
    every = [
        one
        for one in parts(node)
        if not any(_matches(name[1:], [one[1]]) for name in device_names(value) if name[0] == "!")
    ]
    by_itself = [
        one for one in every if (one[2].dhcp or one[2].addresses) and not one[1].startswith(_EXCLUDED)
    ]  # fmt: skip
    patterns = _patterns(value)
    if not patterns:
        return by_itself
    forced = by_itself if context.profile.cilium.values.get("forceDeviceDetection") is True else []
    return [one for one in every if one in forced or any(_matches(pattern, [one[1]]) for pattern in patterns)]


def _no_xdp(context: Context, carried: Addresses) -> str:
    """Why it has no native XDP; empty if it depends on the card."""
    if isinstance(carried, Vlan):
        return "a VLAN has no native XDP"
    if isinstance(carried, Bond):
        if carried.mode not in _BOND_MODES:
            return f"a bond with mode {carried.mode} has no native XDP"
        facts = context.resolved.kernel
        if facts is not None and version(context.profile.kernel.version or facts.version) < since("kernel", "bond_xdp"):
            return f"a bond has native XDP from kernel {since('kernel', 'bond_xdp')} on"
    return ""
