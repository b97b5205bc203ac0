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
- What version 1 cannot express, and sysconfig therefore never writes, is added by render/ifcfg.py.
- ``default_route: false`` is ``use-routes: false``: systemd-networkd 252 with ``UseRoutes=true`` and
  ``UseGateway=false`` takes routes of options 33 and 121, and a default route in 121 as well (tried with dnsmasq).
- An interface without a MAC: version 1 has its name only. In version 2 it is matched by its name, in stock mode by e*:
  Debian's cloud image has predictable names until setup has restarted it with net.ifnames=0.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

import yaml

from imgbuild.config.cluster import Node
from imgbuild.config.data import versions
from imgbuild.config.node_network import Addresses, Bond, Interface, NodeNetwork, Route
from imgbuild.facts.derive import read_interface, version
from imgbuild.facts.resolved import Resolved


def network_config(resolved: Resolved, node: Node) -> bytes | None:
    """The seed's network-config, without a top-level ``network:``; None if the node uses DHCP."""
    target = resolved.target
    if node.network is None:
        return None
    release = resolved.cloud_init
    since = {name: version(first) for name, first in versions("cloud-init")["since"].items()}
    if target.family == "el" or release < since["network_v2"]:
        made = _version1(node, node.network, masks=release < since["route_destination"])
    else:
        renamed = resolved.profile.mode == "stock" and resolved.profile.kernel.interface_names == "kernel"
        way = _Version2(node.network, gateways=release < since["route_default"], any_name=renamed)
        made = way.made(node)
    return yaml.dump(made, Dumper=_Dumper, sort_keys=False, width=10_000).encode()


class _Dumper(yaml.CSafeDumper):
    """No anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def name_server_device(network: NodeNetwork) -> Addresses | None:
    """The device that gets the name servers: one with a gateway, else one with an address."""
    every = network.devices
    with_address = [d for d in every if d.addresses]
    by_dhcp = sorted((d for d in every if d.dhcp), key=lambda d: not d.default_route)
    choice = [d for d in with_address if d.gateway] or with_address or by_dhcp
    return choice[0] if choice else None


def _version1(node: Node, network: NodeNetwork, *, masks: bool) -> dict[str, Any]:
    config: list[dict[str, Any]] = []
    for interface in network.interfaces:
        mac = node.mac_of(interface)
        config.append({"type": "physical", "name": interface.name} | ({"mac_address": mac} if mac else {}))
        _finish1(config[-1], interface, network, masks)
    for bond in network.bonds:
        params = {f"bond-{key.replace('_', '-')}": value for key, value in bond_options(bond).items()}
        config.append({"type": "bond", "name": bond.name, "bond_interfaces": list(bond.interfaces), "params": params})
        _finish1(config[-1], bond, network, masks)
    for vlan in network.vlans:
        config.append({"type": "vlan", "name": vlan.name, "vlan_link": vlan.link, "vlan_id": vlan.id})
        _finish1(config[-1], vlan, network, masks)
    return {"version": 1, "config": config}


def bond_options(bond: Bond) -> dict[str, str | int]:
    """The options of a bond that are set, by the kernel's own names."""
    every = {
        "mode": bond.mode,
        "miimon": bond.miimon,
        "lacp_rate": bond.lacp_rate,
        "xmit_hash_policy": bond.xmit_hash_policy,
        "primary": bond.primary,
    }
    return {key: value for key, value in every.items() if value is not None}


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
        # One with an address, if there is one: with a subnet of type dhcp4 the renderer drops them.
        first = next((s for s in subnets if "gateway" in s), subnets[-1])
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


_NETPLAN = {"lacp_rate": "lacp-rate", "xmit_hash_policy": "transmit-hash-policy", "primary": "primary"}
_OVERRIDES = {"default_route": "use-routes", "use_dns": "use-dns"}


@dataclass(frozen=True)
class _Version2:
    """``gateways``: the default route is gateway4 or gateway6; ``any_name``: a card without a MAC has another name at
    its first boot."""

    network: NodeNetwork
    gateways: bool
    any_name: bool

    def made(self, node: Node) -> dict[str, Any]:
        network = self.network
        ethernets = {i.name: self._match(i, node.mac_of(i)) | self._finish(i) for i in network.interfaces}
        out: dict[str, Any] = {"version": 2, "ethernets": ethernets}
        if network.bonds:
            out["bonds"] = {b.name: _bond2(b) | self._finish(b) for b in network.bonds}
        if network.vlans:
            out["vlans"] = {v.name: {"id": v.id, "link": v.link} | self._finish(v) for v in network.vlans}
        return out

    def _match(self, interface: Interface, mac: str | None) -> dict[str, Any]:
        if mac is not None:
            return {"match": {"macaddress": mac}, "set-name": interface.name}
        return {"match": {"name": "e*"}} if self.any_name else {}

    def _finish(self, device: Addresses) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if device.dhcp:
            out["dhcp4"] = True
            overrides = {word: False for key, word in _OVERRIDES.items() if not getattr(device, key)}
            out |= {"dhcp4-overrides": overrides} if overrides else {}
        if device.addresses:
            out["addresses"] = list(device.addresses)
        routes = [_route2(route) for route in device.routes]
        if device.gateway is not None and self.gateways and not device.on_link:
            out[f"gateway{_family(device.gateway)}"] = device.gateway
        elif device.gateway is not None:
            to = "0.0.0.0/0" if self.gateways else "default"
            routes.insert(0, {"to": to, "via": device.gateway} | ({"on-link": True} if device.on_link else {}))
        if routes:
            out["routes"] = routes
        servers = {"addresses": list(self.network.dns)} if self.network.dns else {}
        servers |= {"search": list(self.network.search)} if self.network.search else {}
        if servers and device is name_server_device(self.network):
            out["nameservers"] = servers
        if device.mtu is not None:
            out["mtu"] = device.mtu
        return out


def _bond2(bond: Bond) -> dict[str, Any]:
    # Text for cloud-init's schema (24.1 and later); netplan accepts both.
    parameters: dict[str, Any] = {"mode": bond.mode, "mii-monitor-interval": str(bond.miimon)}
    parameters |= {_NETPLAN[key]: value for key, value in bond_options(bond).items() if key in _NETPLAN}
    return {"interfaces": list(bond.interfaces), "parameters": parameters}


def _route2(route: Route) -> dict[str, Any]:
    return {"to": route.to, "via": route.via} | ({"metric": route.metric} if route.metric is not None else {})


def _family(address: str) -> int:
    return read_interface(address).version
