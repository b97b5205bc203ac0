"""Where the control plane and a node are reached."""

from __future__ import annotations

import ipaddress

from builder.cluster import Cluster, Node
from builder.profile import Profile

NODE_IP = "@NODE_IP@"
"""Stands in the seed's files for an address that only the node knows: first boot puts it in."""


def own_address(profile: Profile, node: Node | None) -> str | None:
    """A control plane's by the profile, else the node's first static address; None: the node finds it itself."""
    if node is None:
        return None
    if profile.kubernetes.advertise_address and node.role == "control-plane":
        return profile.kubernetes.advertise_address
    network = node.network
    if network is None:
        return None
    carriers = [*network.interfaces, *network.bonds, *network.vlans]
    # The interface with the gateway comes first: the others may be storage or management.
    carriers.sort(key=lambda carrier: carrier.gateway is None)
    for carrier in carriers:
        for address in carrier.addresses:
            return str(ipaddress.ip_interface(address).ip)
    return None


def endpoint(profile: Profile, cluster: Cluster) -> str | None:
    """The control plane's host:port: the cluster file's, the virtual address, or the first control plane's own.

    None: nobody knows it before the first control plane has got its address. It is then a cluster of that node alone.
    """
    if cluster.endpoint:
        return cluster.endpoint
    address = cluster.vip.address if cluster.vip else own_address(profile, cluster.first)
    if address is None:
        return None
    return f"{f'[{address}]' if ':' in address else address}:{profile.kubernetes.api_port}"


def api_server(profile: Profile, cluster: Cluster, node: Node | None) -> tuple[str, int]:
    """Host (IPv6 without brackets) and port at which a node reaches the API server."""
    where = endpoint(profile, cluster)
    if where is None:
        return own_address(profile, node) or NODE_IP, profile.kubernetes.api_port
    host, _, port = where.rpartition(":")
    return host.strip("[]"), int(port)
