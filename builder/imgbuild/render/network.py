"""network-config of a node with static addresses.

Version 1 for cloud-init before 22.1, and for Enterprise Linux always: sysconfig renders it fully from 19.4 to 26.2, but
22.1 fails with a KeyError at an IPv6 route of version 2, and 22.4 loses its metrics. Version 2 for the others: netplan
gets it unchanged. What was tried with `cloud-init devel net-convert` of a dozen releases from 19.4 to 26.2:

- Version 1: an IPv6 address is of type ``static`` too; 19.4's sysconfig does not know ``static6``. A route is
  ``network`` and ``netmask`` (up to 22.1 an IPv6 ``destination`` with its prefix length is a KeyError), both text for
  the schema, which 23.3 and later require as ``destination``.
- Version 2: the default route is ``gateway4``/``gateway6``. As ``routes: [{to: 0.0.0.0/0}]`` it reaches ifupdown as
  `route add … || true`, which does nothing where net-tools is not installed; ``to: default`` works from 25.3 only.
  netplan reports gateway4 as deprecated and accepts it.
- Name servers are set on the interface with the gateway: NetworkManager overwrites a global resolv.conf.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import yaml

from imgbuild.config.cluster import Addresses, Bond, Node, NodeNetwork, Route
from imgbuild.config.data import versions
from imgbuild.facts.derive import version
from imgbuild.facts.resolved import Resolved


def network_config(resolved: Resolved, node: Node) -> bytes | None:
    """The seed's network-config, without a top-level ``network:``; None if the node uses DHCP."""
    target = resolved.target
    if node.network is None:
        return None
    release = resolved.cloud_init
    since = {name: version(first) for name, first in versions("cloud-init")["since"].items()}
    if target.family == "el" or release < since["network_v2"]:
        made = _version1(node.network, masks=release < since["route_destination"])
    else:
        made = _version2(node.network, gateways=release < since["route_default"])
    return yaml.dump(made, Dumper=_Dumper, sort_keys=False, width=10_000).encode()


class _Dumper(yaml.CSafeDumper):
    """No anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def devices(network: NodeNetwork) -> list[Addresses]:
    """Interfaces, bonds and VLANs in that order."""
    return [*network.interfaces, *network.bonds, *network.vlans]


def name_server_device(network: NodeNetwork) -> Addresses | None:
    """The device that gets the name servers: one with a gateway, else one with an address."""
    every = devices(network)
    with_address = [d for d in every if d.addresses]
    choice = [d for d in with_address if d.gateway] or with_address or [d for d in every if d.dhcp]
    return choice[0] if choice else None


def _version1(network: NodeNetwork, *, masks: bool) -> dict[str, Any]:
    config: list[dict[str, Any]] = []
    for interface in network.interfaces:
        config.append({"type": "physical", "name": interface.name, "mac_address": interface.mac})
        _finish1(config[-1], interface, network, masks)
    for bond in network.bonds:
        params = {"bond-mode": bond.mode, "bond-miimon": bond.miimon}
        config.append({"type": "bond", "name": bond.name, "bond_interfaces": list(bond.interfaces), "params": params})
        _finish1(config[-1], bond, network, masks)
    for vlan in network.vlans:
        config.append({"type": "vlan", "name": vlan.name, "vlan_link": vlan.link, "vlan_id": vlan.id})
        _finish1(config[-1], vlan, network, masks)
    return {"version": 1, "config": config}


def _finish1(item: dict[str, Any], device: Addresses, network: NodeNetwork, masks: bool) -> None:
    if device.mtu is not None:
        item["mtu"] = device.mtu
    subnets: list[dict[str, Any]] = [{"type": "dhcp4"}] if device.dhcp else []
    gateway = device.gateway
    for address in device.addresses:
        subnet: dict[str, Any] = {"type": "static", "address": address}
        if gateway is not None and _family(address) == _family(gateway):
            subnet["gateway"], gateway = gateway, None
        subnets.append(subnet)
    if subnets and device is name_server_device(network):
        first = next((s for s in subnets if "gateway" in s), subnets[0])
        if network.dns:
            first["dns_nameservers"] = list(network.dns)
        if network.search:
            first["dns_search"] = list(network.search)
    if subnets and device.routes:
        subnets[0]["routes"] = [_route1(route, masks) for route in device.routes]
    if subnets:
        item["subnets"] = subnets


def _route1(route: Route, masks: bool) -> dict[str, Any]:
    to = ipaddress.ip_network(route.to)
    out: dict[str, Any] = {"destination": str(to), "gateway": route.via}
    if masks:
        mask = str(to.netmask) if to.version == 4 else str(to.prefixlen)
        out = {"network": str(to.network_address), "netmask": mask, "gateway": route.via}
    return out | ({"metric": route.metric} if route.metric is not None else {})


def _version2(network: NodeNetwork, *, gateways: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"version": 2, "ethernets": {}}
    for interface in network.interfaces:
        match = {"match": {"macaddress": interface.mac}, "set-name": interface.name}
        out["ethernets"][interface.name] = match | _finish2(interface, network, gateways)
    if network.bonds:
        out["bonds"] = {b.name: _bond2(b) | _finish2(b, network, gateways) for b in network.bonds}
    if network.vlans:
        out["vlans"] = {v.name: {"id": v.id, "link": v.link} | _finish2(v, network, gateways) for v in network.vlans}
    return out


def _bond2(bond: Bond) -> dict[str, Any]:
    # Text for cloud-init's schema (24.1 and later); netplan accepts both.
    parameters = {"mode": bond.mode, "mii-monitor-interval": str(bond.miimon)}
    return {"interfaces": list(bond.interfaces), "parameters": parameters}


def _finish2(device: Addresses, network: NodeNetwork, gateways: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if device.dhcp:
        out["dhcp4"] = True
    if device.addresses:
        out["addresses"] = list(device.addresses)
    if device.gateway is not None and gateways:
        out[f"gateway{_family(device.gateway)}"] = device.gateway
    first = [{"to": "default", "via": device.gateway}] if device.gateway is not None and not gateways else []
    routes = [*first, *(_route2(route) for route in device.routes)]
    if routes:
        out["routes"] = routes
    servers = {"addresses": list(network.dns)} if network.dns else {}
    servers |= {"search": list(network.search)} if network.search else {}
    if servers and device is name_server_device(network):
        out["nameservers"] = servers
    if device.mtu is not None:
        out["mtu"] = device.mtu
    return out


def _route2(route: Route) -> dict[str, Any]:
    return {"to": route.to, "via": route.via} | ({"metric": route.metric} if route.metric is not None else {})


def _family(address: str) -> int:
    return ipaddress.ip_interface(address).version
