"""A node's network as OpenStack's network_data.json, which is what Metal3 puts on a config drive.

Bonds and VLANs have no names of their own there: cloud-init calls them bond0, bond1 … and LINK.ID, whatever they are
called (cloudinit/sources/helpers/openstack.py, convert_net_json). It takes over every key of a bond that begins with
``bond``, the ``name`` of a card, ``gateway``, ``dns_nameservers`` and ``dns_search`` of a network, and ``metric`` of a
route, which OpenStack does not have. A default route is ``gateway``: a route of 0.0.0.0 needs net-tools in ifupdown.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from imgbuild.config.node_network import Addresses, Bond, Interface, NodeNetwork, Route, Vlan
from imgbuild.export.given import Given, Unit
from imgbuild.export.yamldoc import Value
from imgbuild.render.network import bond_options, name_server_device


def network_data(given: Given, unit: Unit) -> dict[str, Value] | None:
    """The document; None for a node that uses DHCP. What it cannot express is a finding."""
    network = unit.node.network
    if network is None:
        return None
    _cannot_say(given, unit, network)
    macs = {interface.name: unit.node.mac_of(interface) or "" for interface in network.interfaces}
    for number, interface in enumerate(network.interfaces):
        if not macs[interface.name]:
            given.tell(
                "IB884", unit.node, ("network", "interfaces", number), f"the MAC of {interface.name} is not known",
                "set mac of the interface: a config drive names cards by their MACs",
            )  # fmt: skip
    links = [
        *(_card(interface, macs[interface.name]) for interface in network.interfaces),
        *(_bond(bond) for bond in network.bonds),
        *(_vlan(vlan, _mac_below(network, vlan.link, macs)) for vlan in network.vlans),
    ]
    networks = [one for device in network.devices for one in _networks(network, device)]
    return {"links": links, "networks": networks, "services": []}


def _cannot_say(given: Given, unit: Unit, network: NodeNetwork) -> None:
    for number, bond in enumerate(network.bonds):
        if bond.name != f"bond{number}":
            given.tell(
                "IB885", unit.node, ("network", "bonds", number, "name"),
                f"on a config drive this bond is called bond{number}, not {bond.name}",
                f"call it bond{number}",
            )  # fmt: skip
    for number, vlan in enumerate(network.vlans):
        name = f"{vlan.link}.{vlan.id}"
        if vlan.name != name:
            given.tell(
                "IB885", unit.node, ("network", "vlans", number, "name"),
                f"on a config drive this VLAN is called {name}, not {vlan.name}", f"call it {name}",
            )  # fmt: skip
    kinds: Mapping[str, Sequence[Interface | Bond | Vlan]] = {
        "interfaces": network.interfaces, "bonds": network.bonds, "vlans": network.vlans,
    }  # fmt: skip
    for kind, devices in kinds.items():
        for number, device in enumerate(devices):
            for key, unusual in (("on_link", True), ("default_route", False), ("use_dns", False)):
                if getattr(device, key) is unusual:
                    given.tell(
                        "IB885", unit.node, ("network", kind, number, key),
                        f"a config drive cannot express {key} of {device.name}",
                        "remove it, or export to a system that passes network-config on: libvirt, proxmox, kubevirt, "
                        "ironic, tinkerbell",
                    )  # fmt: skip


def _finished(link: dict[str, Value], device: Addresses) -> dict[str, Value]:
    return link | ({"mtu": device.mtu} if device.mtu is not None else {})


def _card(interface: Interface, mac: str) -> dict[str, Value]:
    link: dict[str, Value] = {"id": interface.name, "name": interface.name, "type": "phy", "ethernet_mac_address": mac}
    return _finished(link, interface)


def _bond(bond: Bond) -> dict[str, Value]:
    options: dict[str, Value] = {f"bond_{key}": value for key, value in bond_options(bond).items()}
    return _finished({"id": bond.name, "type": "bond", "bond_links": list(bond.interfaces), **options}, bond)


def _vlan(vlan: Vlan, mac: str) -> dict[str, Value]:
    link: dict[str, Value] = {"id": vlan.name, "type": "vlan", "vlan_link": vlan.link, "vlan_id": vlan.id}
    return _finished({**link, "vlan_mac_address": mac}, vlan)


def _mac_below(network: NodeNetwork, link: str, macs: dict[str, str]) -> str:
    """The MAC that a VLAN has: that of its card, or of the first card of its bond."""
    bond = next((bond for bond in network.bonds if bond.name == link), None)
    return macs.get(bond.interfaces[0] if bond is not None else link, "")


def _networks(network: NodeNetwork, device: Interface | Bond | Vlan) -> list[dict[str, Value]]:
    out: list[dict[str, Value]] = []
    if device.dhcp:
        out.append({"id": f"{device.name}-dhcp", "type": "ipv4_dhcp", "link": device.name})
    gateway = device.gateway
    for number, text in enumerate(device.addresses):
        address = ipaddress.ip_interface(text)
        out.append(
            {
                "id": f"{device.name}-{number}",
                "type": f"ipv{address.version}",
                "link": device.name,
                "ip_address": str(address.ip),
                "netmask": str(address.netmask),
            }
        )
        if gateway is not None and ipaddress.ip_address(gateway).version == address.version:
            out[-1]["gateway"], gateway = gateway, None
    if out and device.routes:
        out[0]["routes"] = [_route(route) for route in device.routes]
    if out and device is name_server_device(network):
        # Of the network, as in render/network.py: with services for all, cloud-init takes resolv.conf from
        # NetworkManager, and forgets the servers if a network has search domains of its own.
        first = next((one for one in out if "gateway" in one), out[-1])
        if network.dns:
            first["dns_nameservers"] = list(network.dns)
        if network.search:
            first["dns_search"] = list(network.search)
    return out


def _route(route: Route) -> dict[str, Value]:
    where = ipaddress.ip_network(route.to)
    out: dict[str, Value] = {
        "network": str(where.network_address),
        "netmask": str(where.netmask),
        "gateway": route.via,
    }
    return out | ({"metric": route.metric} if route.metric is not None else {})
