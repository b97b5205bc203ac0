"""What cloud-init's sysconfig renderer cannot write on Enterprise Linux, for cloudinit/ifcfg.sh to add.

Read in net/sysconfig.py of 19.4 and 21.1, and run (tests/integration/cloudinit/test_sysconfig.py): the name servers of
a subnet with DHCP are dropped, and no key of network-config, version 1 or 2, becomes DEFROUTE=no or PEERDNS=no.
Both daemons of Enterprise Linux read these keys: NetworkManager (nms-ifcfg-rh-reader.c, 1.18 and 1.32) and
network-scripts (ifup-post and ifup-eth of initscripts 9.49, dhclient-script of its DHCP client). METRIC, which
cloud-init does write, NetworkManager ignores.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgbuild.config.cluster import Node
from imgbuild.facts.resolved import Resolved
from imgbuild.render.network import name_server_device


def ifcfg(resolved: Resolved, node: Node) -> list[tuple[str, str, str]]:
    """Interface, key and value of each addition to a node's ifcfg files; none where cloud-init writes all of it."""
    return list(_additions(node)) if resolved.target.family == "el" else []


def _additions(node: Node) -> Iterator[tuple[str, str, str]]:
    network = node.network
    for device in network.devices if network is not None else []:
        if device.dhcp and not device.default_route:
            yield device.name, "DEFROUTE", "no"
        if device.dhcp and not device.use_dns:
            yield device.name, "PEERDNS", "no"
        if network is not None and not device.addresses and device is name_server_device(network):
            if not device.use_dns and (network.dns or network.search):
                # With PEERDNS=no network-scripts read neither DNS1 nor DOMAIN.
                yield device.name, "RESOLV_MODS", "yes"
            for number, server in enumerate(network.dns[:3], 1):
                yield device.name, f"DNS{number}", server
            if network.search:
                yield device.name, "DOMAIN", " ".join(network.search)
        if device.on_link and device.gateway is not None:
            yield device.name, "route", device.gateway
