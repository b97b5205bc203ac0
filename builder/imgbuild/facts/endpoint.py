"""The addresses of the control plane and of nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from imgbuild.config.cluster import Cluster, Node, Vip
from imgbuild.config.profile import Profile
from imgbuild.facts.derive import as_address, networks, read_interface

NODE_IP = "@NODE_IP@"
"""Placeholder in the seed's files for an address that only the node knows: first boot replaces it."""
SECOND_IP = "@SECOND_IP@"
"""The same for the node's address of the cluster's second family."""
NODE_NAME = "@NODE_NAME@"
"""The same for the name of one of several machines with the same seed."""

LOOPBACK = "127.0.0.1"
"""Where each node's own balancer listens. kubeadm puts the endpoint's host into the API servers' certificates
(app/util/pkiutil, GetAPIServerAltNames). A node of an IPv6 cluster has this address too."""


@dataclass(frozen=True)
class Reach:
    """How the nodes of a cluster reach each other. One for all: a node's own settings do not change it for others.

    A host is an address or a name, IPv6 without brackets.
    """

    endpoint: str | None
    """The control plane's host:port; None if it is not known before the first control plane has its address. The
    cluster then has that node only."""
    control_planes: Mapping[str, str | None]
    """Each control plane's address by its name; None if it comes from DHCP."""
    api_port: int

    def others(self, node: Node) -> tuple[list[str], list[str]]:
        """The other control planes: host:port of those whose address is known, and the names of the rest."""
        rest = {name: address for name, address in self.control_planes.items() if name != node.name}
        known = [host_port(address, self.api_port) for address in rest.values() if address is not None]
        return known, [name for name, address in rest.items() if address is None]


def reach(profile: Profile, cluster: Cluster) -> Reach:
    """How the nodes of ``cluster`` reach each other. ``profile`` is that of all nodes, without any node's settings."""
    masters = [node for node in cluster.nodes if node.role == "control-plane"]
    addresses = {node.name: own_address(profile, node) for node in masters}
    return Reach(endpoint(profile, cluster), addresses, profile.kubernetes.api_port)


def own_address(profile: Profile, node: Node | None) -> str | None:
    """The address that others reach a node at; None if the node determines it.

    ``advertise_address`` in the node's own settings comes first, of a control plane also that of the profile; then
    ``node_ip``, then the node's first static address. ``profile`` is that of all nodes or the node's own: both give
    the same.
    """
    return None if node is None else _advertised(profile, node) or _main_address(profile, node)


def kubelet_address(profile: Profile, node: Node) -> str | None:
    """The node's address in Kubernetes, of the main family; None if the node determines it."""
    chosen = _chosen(profile, node)
    return own_address(profile, node) if chosen is None else _main_address(profile, node)


def node_ip(profile: Profile, node: Node) -> str:
    """The kubelet's --node-ip: the node's address, with dual stack one of each family, the main one first."""
    own = kubelet_address(profile, node) or NODE_IP
    return ",".join([own, *(address or SECOND_IP for address in _second_addresses(profile, node))])


def node_interface(profile: Profile, node: Node) -> str | None:
    """The interface of ``node_ip`` if first boot has to look up an address of it, which comes by DHCP."""
    chosen = _chosen(profile, node)
    if chosen is None or as_address(chosen) is not None:
        return None
    return chosen if None in (_main_address(profile, node), *_second_addresses(profile, node)) else None


def _second_addresses(profile: Profile, node: Node) -> list[str | None]:
    """The static address of the second family, of a dual-stack cluster."""
    _, *second = families(profile)
    chosen = _chosen(profile, node)
    interface = chosen if chosen is not None and as_address(chosen) is None else None
    return [_static_address(node, family, interface) for family in second]


def _main_address(profile: Profile, node: Node) -> str | None:
    """The address that ``node_ip`` names, or without it the node's first static address."""
    family, *_ = families(profile)
    chosen = _chosen(profile, node)
    if chosen is None:
        return _static_address(node, family) or _static_address(node, None)
    return as_address(chosen) or _static_address(node, family, chosen)


def _advertised(profile: Profile, node: Node) -> str | None:
    if "advertise_address" in _settings(node):
        return as_address(_settings(node)["advertise_address"])
    return profile.kubernetes.advertise_address if node.role == "control-plane" else None


def _chosen(profile: Profile, node: Node) -> str | None:
    """The interface or address in ``node_ip``, the node's own or the profile's."""
    found = _settings(node).get("node_ip", profile.kubernetes.node_ip)
    return found if isinstance(found, str) else None


def _settings(node: Node) -> Mapping[str, object]:
    """The node's own settings of ``kubernetes``."""
    found = node.settings.get("kubernetes")
    return found if isinstance(found, dict) else {}


def families(profile: Profile) -> list[int]:
    """4 or 6, or both: the families of the Services and so of the nodes' addresses. The first is the API server's."""
    return [network.version for network in networks(profile.kubernetes.service_cidr)]


def _static_address(node: Node, family: int | None, interface: str | None = None) -> str | None:
    """The first static address, of a family, of an interface."""
    network = node.network
    if network is None:
        return None
    carriers = [carrier for carrier in network.devices if interface in (None, carrier.name)]
    # The interface with the gateway comes first: the others may be storage or management.
    carriers.sort(key=lambda carrier: carrier.gateway is None)
    for carrier in carriers:
        for address in carrier.addresses:
            own = read_interface(address).ip
            if own.version == (family or own.version):
                return str(own)
    return None


def endpoint(profile: Profile, cluster: Cluster) -> str | None:
    """The control plane's host:port: the cluster file's, the balancer's, the virtual address, or the first's own.

    ``profile`` is that of all nodes. None: see ``Reach``.
    """
    if cluster.endpoint:
        return cluster.endpoint
    if cluster.balancer:
        return host_port(LOOPBACK, cluster.balancer_port)
    address = cluster.vip.address if cluster.vip else own_address(profile, cluster.first)
    return None if address is None else host_port(address, profile.kubernetes.api_port)


def host_port(host: str, port: int) -> str:
    """``host`` with its port; an IPv6 address in brackets."""
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def vip_interface(profile: Profile, vip: Vip, node: Node) -> str | None:
    """The interface of a control plane that gets the virtual address: the one in whose network it is.

    The narrowest of several networks; if the node's addresses come from DHCP, the one that ``node_ip`` names. None:
    kube-vip uses the interface of the default route.
    """
    if vip.interface is not None:
        return vip.interface
    address = ipaddress.ip_address(vip.address)
    fitting = [
        (own.network.prefixlen, device.name)
        for device in (node.network.devices if node.network is not None else [])
        for own in map(read_interface, device.addresses)
        if own.version == address.version and address in own.network
    ]
    return max(fitting, key=lambda found: found[0])[1] if fitting else node_interface(profile, node)


def api_server(profile: Profile, where: Reach, node: Node | None) -> tuple[str, int]:
    """Host (IPv6 without brackets) and port at which a node reaches the API server."""
    if where.endpoint is None:
        return own_address(profile, node) or NODE_IP, where.api_port
    host, _, port = where.endpoint.rpartition(":")
    return host.strip("[]"), int(port)
