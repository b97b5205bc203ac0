"""The cluster file's nodes: names, MACs, addresses, how interfaces, bonds and VLANs are connected."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping

from imgbuild.checks.context import Context, inside, parts
from imgbuild.config.cluster import Node
from imgbuild.config.layers import closest
from imgbuild.config.node_network import Addresses, NodeNetwork, Vlan
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import read_interface, since


def check(context: Context) -> None:
    """All findings about the cluster's nodes."""
    _unique(context, "IB401", "host name", _names(context))
    _unique(context, "IB402", "MAC", _macs(context))
    _unique(context, "IB403", "address", _addresses(context))
    for number, node in enumerate(context.cluster.nodes):
        if node.network is not None:
            path: Path = ("nodes", number, "network")
            _links(context, path, node.network)
            _routes(context, path, node, node.network)


def _unique(context: Context, code: str, what: str, found: Iterator[tuple[Path, str]]) -> None:
    seen: dict[str, Path] = {}
    for path, value in found:
        if value in seen:
            first = context.cluster_layered.mark(seen[value]) if context.cluster_layered is not None else None
            context.cluster_finding(
                code,
                path,
                f"duplicate {what} {value}{f' (first used by {first})' if first else ''}",
                "give each its own",
            )
        seen.setdefault(value, path)


def _names(context: Context) -> Iterator[tuple[Path, str]]:
    for number, node in enumerate(context.cluster.nodes):
        yield ("nodes", number, "name"), node.name


def _macs(context: Context) -> Iterator[tuple[Path, str]]:
    for number, node in enumerate(context.cluster.nodes):
        own = [i.mac for i in node.network.interfaces] if node.network else []
        if node.mac is not None and node.mac not in own:
            yield ("nodes", number, "mac"), node.mac
        for index, mac in enumerate(own):
            if mac is None:
                continue
            yield ("nodes", number, "network", "interfaces", index, "mac"), mac


def _addresses(context: Context) -> Iterator[tuple[Path, str]]:
    for number, node in enumerate(context.cluster.nodes):
        for place, _, carried in parts(node):
            for index, address in enumerate(carried.addresses):
                path = ("nodes", number, "network", *place, "addresses", index)
                yield path, str(read_interface(address).ip)


def _links(context: Context, path: Path, network: NodeNetwork) -> None:
    """Names, bonds and VLANs of one node."""
    _interface_names(context, path, network)
    ports = _bonds(context, path, network)
    _vlans(context, path, network, ports)


def _interface_names(context: Context, path: Path, network: NodeNetwork) -> None:
    say = context.cluster_finding
    names: set[str] = set()
    for place, name, _ in parts(Node(name="x", role="worker", network=network)):
        if name in names:
            say("IB404", (*path, *place, "name"), f"duplicate interface name {name}", "give each its own name")
        if name == "lo":
            say("IB404", (*path, *place, "name"), "lo is the loopback interface", "use another name")
        names.add(name)


def _bonds(context: Context, path: Path, network: NodeNetwork) -> Mapping[str, str]:
    """The bond of each interface that is a port of one."""
    say = context.cluster_finding
    interfaces = {i.name: n for n, i in enumerate(network.interfaces)}
    ports: dict[str, str] = {}
    for number, bond in enumerate(network.bonds):
        for index, port in enumerate(bond.interfaces):
            here = (*path, "bonds", number, "interfaces", index)
            if port not in interfaces:
                hint = closest(port, list(interfaces)) or f"this node has {', '.join(interfaces)}"
                say("IB405", here, f"{bond.name} uses {port}, which is not an interface of this node", hint)
                continue
            if port in ports:
                say("IB406", here, f"{port} is already a port of {ports[port]}", "keep it in one bond only")
            ports[port] = bond.name
            carried = network.interfaces[interfaces[port]]
            if carried.addresses or carried.dhcp or carried.gateway or carried.routes:
                say(
                    "IB407", (*path, "interfaces", interfaces[port]),
                    f"{port} is in {bond.name}, but has its own addresses",
                    f"move them to {bond.name}",
                )  # fmt: skip
    return ports


def _vlans(context: Context, path: Path, network: NodeNetwork, ports: Mapping[str, str]) -> None:
    say = context.cluster_finding
    below = {i.name: i.mtu for i in network.interfaces} | {b.name: b.mtu for b in network.bonds}
    tags: dict[tuple[str, int], str] = {}
    for number, vlan in enumerate(network.vlans):
        here = (*path, "vlans", number)
        if vlan.link not in below:
            hint = closest(vlan.link, list(below)) or f"this node has {', '.join(below)}"
            say(
                "IB405",
                (*here, "link"),
                f"{vlan.name} uses {vlan.link}, which is not an interface or bond of this node",
                hint,
            )
            continue
        if vlan.link in ports:
            say("IB406", (*here, "link"), f"{vlan.link} is a port of {ports[vlan.link]}", f"link: {ports[vlan.link]}")
        if (vlan.link, vlan.id) in tags:
            say(
                "IB404",
                (*here, "id"),
                f"duplicate VLAN {vlan.id} on {vlan.link}: {tags[vlan.link, vlan.id]} has it already",
                "keep one of them",
            )
        else:
            _vlan_name(context, (*here, "name"), vlan)
        tags[vlan.link, vlan.id] = vlan.name
        limit = below[vlan.link] or 1500
        if vlan.mtu is not None and vlan.mtu > limit:
            say(
                "IB408",
                (*here, "mtu"),
                f"{vlan.mtu} is more than the MTU of {vlan.link} ({limit})",
                f"raise {vlan.link}'s mtu",
            )


def _vlan_name(context: Context, path: Path, vlan: Vlan) -> None:
    """Enterprise Linux takes a VLAN's id from its name; cloud-init's sysconfig renderer writes no VLAN_ID."""
    if context.target.family != "el":
        return
    good = [f"{vlan.link}.{vlan.id}"]
    release = context.resolved.cloud_init
    if release >= since("cloud-init", "vlan_parent"):
        good.append(f"vlan{vlan.id}")
    if vlan.name not in good:
        context.cluster_finding(
            "IB409", path,
            f"{context.target.name} with cloud-init {release} takes the link and the id of a VLAN from its name, "
            f"and {vlan.name} is not {' or '.join(good)}", f"name it {good[0]}",
        )  # fmt: skip


def _routes(context: Context, path: Path, node: Node, network: NodeNetwork) -> None:
    say = context.cluster_finding
    every = list(parts(node))
    used = {port for bond in network.bonds for port in bond.interfaces} | {vlan.link for vlan in network.vlans}
    dhcp = any(carried.dhcp for _, _, carried in every)
    if not dhcp and not any(carried.addresses for _, _, carried in every):
        say(
            "IB420",
            path,
            "a static network without any address",
            "give one, or remove network: for DHCP",
        )
        return
    gateways: dict[int, list[str]] = {4: [], 6: []}
    for place, name, carried in every:
        here = (*path, *place)
        if not carried.dhcp and not carried.addresses and name not in used:
            say(
                "IB421", here, f"{name} has no address, no DHCP, and nothing uses it", "give it one, or remove it",
            )  # fmt: skip
        networks = [read_interface(a).network for a in carried.addresses]
        ways = [((*here, "gateway"), carried.gateway)] if carried.gateway else []
        ways += [((*here, "routes", n, "via"), route.via) for n, route in enumerate(carried.routes)]
        for where, address in ways:
            assert address is not None  # noqa: S101  (a gateway is set)
            direct = where[-1] == "gateway" and (carried.on_link or ipaddress.ip_address(address).is_link_local)
            if not any(inside(address, n) for n in networks) and not carried.dhcp and not direct:
                said = ", ".join(map(str, networks)) or "none"
                also = "; on_link: true if the router is reached without one" if where[-1] == "gateway" else ""
                say(
                    "IB422",
                    where,
                    f"{address} is not in a network of {name} ({said})",
                    f"give an address in the same network as the node's own{also}",
                )
            elif any(str(read_interface(a).ip) == address for a in carried.addresses):
                say("IB422", where, f"{address} is the node's own address", "give the router's")
        for index, written in enumerate(carried.addresses):
            _host_part(context, (*here, "addresses", index), written)
        for way in _defaults(carried):
            gateways[ipaddress.ip_address(way).version].append(name)
        if carried.dhcp and carried.default_route:
            gateways[4].append(f"{name} by DHCP")
    if not any(gateways.values()):
        say("IB423", path, "no default gateway", "set gateway: on one interface")
    for family, out in gateways.items():
        if len(out) > 1:
            by_dhcp = any(way.endswith(" by DHCP") for way in out)
            say(
                "IB424", path,
                f"{len(out)} default gateways (IPv{family}: {', '.join(out)}): which one is used is left to chance",
                "set default_route: false on the interfaces with DHCP whose gateway is not the node's" if by_dhcp
                else "keep one of them; reach other networks by routes:",
            )  # fmt: skip
    if not network.dns and not any(carried.dhcp and carried.use_dns for _, _, carried in every):
        say(
            "IB425", path, "no DNS server; CoreDNS, where it runs there, does not start without one",
            _no_server(context),
        )  # fmt: skip


def _no_server(context: Context) -> str:
    endpoint = context.cluster.endpoint or ""
    host = endpoint.rpartition(":")[0]
    if re.search("[a-z]", host) and ":" not in host and host not in context.profile.hosts:
        return f"set dns: to a server that knows {host}"
    return "set dns: on it; any address will do where there is no server: hosts: has the names then"


def _defaults(carried: Addresses) -> list[str]:
    """Where the default routes of an interface go."""
    ways = [carried.gateway] if carried.gateway else []
    return ways + [r.via for r in carried.routes if ipaddress.ip_network(r.to).prefixlen == 0]


def _host_part(context: Context, path: Path, written: str) -> None:
    interface = read_interface(written)
    network = interface.network
    narrow = network.prefixlen >= network.max_prefixlen - 1
    ip = interface.ip
    if ip.is_loopback or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        context.cluster_finding(
            "IB426", path, f"{written} is not a valid address for an interface", "give the node's own address"
        )
    elif not narrow and ip == network.network_address:
        context.cluster_finding("IB426", path, f"{written} is the network itself", "give an address in it")
    elif not narrow and interface.version == 4 and ip == network.broadcast_address:
        context.cluster_finding("IB426", path, f"{written} is the network's broadcast address", "give another one")
