"""The interfaces that Cilium's values and kube-vip name: are they on every node, and can they do native XDP?

The agent says nothing of a name that is on no interface: it takes what it finds itself (docs.cilium.io, "NodePort
Devices"). What a machine really has shows on the machine: first boot looks once more (lib/xdp.sh).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.version import Version

from builder.checks.context import Context, parts
from builder.cluster import Addresses, Bond, Node, Vlan
from builder.derive import cilium_devices, device_names, kernel_facts, version
from builder.endpoint import own_address
from builder.findings import Path
from builder.layers import closest

_VALUES: Path = ("cilium", "values")
_KEYS: tuple[Path, ...] = (
    ("devices",), ("nodePort", "directRoutingDevice"), ("egressMasqueradeInterfaces",),
    ("encryption", "ipsec", "interface"),
)  # fmt: skip
_PAGE = 3498
"""Bytes: XDP's buffers are one page, and a driver keeps some of it (docs.cilium.io, "NodePort XDP on AWS")."""
_BOND_KERNEL = "5.15"
_BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "802.3ad")
"""drivers/net/bonding/bond_main.c: bond_xdp_check."""


_BY_DHCP = tuple(f"eth{number}" for number in range(16))
"""What a node by DHCP may have with net.ifnames=0: nobody knows how many."""


def check(context: Context, leaves: Mapping[Path, object]) -> None:
    """All findings about names of interfaces in ``leaves``, the chart's values by path."""
    has = {number: names for number, node in context.nodes if (names := _names(context, number, node))}
    for key in _KEYS:
        value = leaves.get(key)
        wanted = device_names(value)
        for index, name in enumerate(wanted):
            path = (*_VALUES, *key, *((index,) if isinstance(value, list) else ()))
            others = [other for other in wanted if other != name] if key == ("devices",) else []
            _named(context, path, name, others, has)
    if leaves.get(("loadBalancer", "acceleration")) == "native":
        _xdp(context)


def check_vip(context: Context) -> None:
    """kube-vip's interface, on every control plane."""
    name = context.cluster.vip.interface if context.cluster.vip else None
    for number, node in context.nodes:
        names = _names(context, number, node)
        if name is not None and node.role == "control-plane" and names and name not in names:
            context.cluster_finding(
                "IB427", ("vip", "interface"), f"{_where(context, number)} has no interface {name}, but {_said(names)}",
                closest(name, names) or "name one that every control plane has, or null: that of the default route",
            )  # fmt: skip


def _names(context: Context, number: int, node: Node) -> Sequence[str]:
    """The names of a node's interfaces; empty: nobody knows, a node by DHCP may get them from systemd."""
    if ("nodes", number, "network") in context.cluster_mended:
        return ()
    if node.network is not None:
        return [name for _, name, _ in parts(node)]
    return _BY_DHCP if context.profile.kernel.interface_names == "kernel" else ()


def _said(names: Sequence[str]) -> str:
    return "eth0 and so on, by net.ifnames=0" if names is _BY_DHCP else ", ".join(names[:6])


def _matches(pattern: str, names: Sequence[str]) -> bool:
    """eth+ is every name that begins with eth."""
    head = pattern.removesuffix("+")
    return pattern in names or (head != pattern and any(name.startswith(head) for name in names))


def _where(context: Context, number: int, *place: str | int) -> str:
    """A node as messages call it, with its place in the cluster file."""
    node = context.cluster.nodes[number]
    path: Path = ("nodes", number, *(("network", *place) if node.network is not None else ()))
    mark = context.cluster_layered.mark(path) if context.cluster_layered is not None else None
    return f"{node.name} ({mark})" if mark is not None else node.name


def _more(count: int) -> str:
    return f" and {count} more node{'s' if count > 1 else ''}" if count else ""


def _named(context: Context, path: Path, name: str, others: Sequence[str], has: Mapping[int, Sequence[str]]) -> None:
    without = [number for number, names in has.items() if not _matches(name, names)]
    # With another of the names the agent does its work there, on fewer devices.
    bare = [number for number in without if not any(_matches(other, has[number]) for other in others)]
    if not without:
        return
    first, *rest = bare or without
    hint = closest(name, has[first]) or "name one that every node has, or a pattern such as eth+"
    message = f"no interface {name} on {_where(context, first)}{_more(len(rest))}, but {_said(has[first])}"
    if bare:
        context.error("IB642", path, f"{message}: Cilium takes another one there without a word", hint)
    else:
        context.warning("IB643", path, f"{message}: Cilium has fewer devices there", hint)


def _xdp(context: Context) -> None:
    path = (*_VALUES, "loadBalancer", "acceleration")
    fix = "write best-effort or disabled, or name other devices in cilium.values.devices"
    if "gcp" in context.profile.cloud.providers:
        context.error("IB644", path, "neither virtio-net nor gVNIC of Google's cloud does native XDP in Cilium", fix)
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
        context.error("IB644", path, message, fix)
    if large:
        context.warning(
            "IB645", path, f"{large[0]}{_more(len(large) - 1)}: native XDP wants a packet in one page, with most "
            f"drivers an MTU of at most {_PAGE}", f"set mtu: {_PAGE} there, or {fix}",
        )  # fmt: skip


def _taken(context: Context, node: Node) -> list[tuple[Path, str, Addresses]]:
    """The interfaces of the cluster file that Cilium takes on a node."""
    patterns = cilium_devices(context.profile.cilium.values)
    every = list(parts(node))
    chosen = [one for one in every if any(_matches(pattern, [one[1]]) for pattern in patterns)]
    own = own_address(context.profile, node)
    return chosen or [
        one for one in every if one[2].gateway or any(address.partition("/")[0] == own for address in one[2].addresses)
    ]


def _no_xdp(context: Context, carried: Addresses) -> str:
    """Why it has no native XDP; empty: it depends on the card."""
    if isinstance(carried, Vlan):
        return "a VLAN has no native XDP"
    if isinstance(carried, Bond):
        if carried.mode not in _BOND_MODES:
            return f"a bond with mode {carried.mode} has no native XDP"
        facts = kernel_facts(context.profile, context.target)
        if facts is not None and version(context.profile.kernel.version or facts.version) < Version(_BOND_KERNEL):
            return f"a bond has native XDP from kernel {_BOND_KERNEL} on"
    return ""
