"""The network of a node that boots by PXE with static addresses, on the kernel's command line.

Two readers need it before any seed can be fetched: the initramfs (``ip=``) and cloud-init. cloud-init up to 24.2 never
reads network-config from an HTTP seed, and any cloud-init needs the network up to fetch one, so the same
network-config travels as ``network-config=`` (base64 of gzip; cloudinit/net/cmdline.py, read_kernel_cmdline_config in
19.4 to 24.4), which has precedence over every other source.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping, Sequence

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.node_network import Bond, Interface, NodeNetwork, Vlan
from imgbuild.config.target import Target
from imgbuild.facts.derive import read_interface, since
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.cloud import gzipped
from imgbuild.render.network import bond_options

Device = Interface | Bond | Vlan


def network_arguments(target: Target, node: Node, config: bytes | None) -> list[str]:
    """Kernel arguments that bring up the node's network; none for DHCP. ``config`` is its `network_config`."""
    if config is None or node.network is None:
        return []
    early = _dracut(node, node.network) if target.family == "el" else _initramfs_tools(node, node.network)
    return [*early, network_config_argument(config)]


def network_config_argument(config: bytes) -> str:
    """The argument in which cloud-init finds a network-config; YAML, or JSON, which is YAML too."""
    return f"network-config={base64.b64encode(gzipped(config)).decode()}"


def boot_arguments(target: Target, cluster: Cluster, networks: Mapping[str, bytes | None]) -> dict[str, list[str]]:
    """The `network_arguments` of every node by its name; ``networks`` are their network-configs."""
    return {node.name: network_arguments(target, node, networks.get(node.name)) for node in cluster.nodes}


def data_source(resolved: Resolved) -> str:
    """This cloud-init's name for a NoCloud seed at a URL."""
    new = resolved.cloud_init >= since("cloud-init", "nocloud_net_old")
    return "nocloud" if new else "nocloud-net"


def command_line(resolved: Resolved, network: Sequence[str]) -> str:
    """The approximate command line for a node with these `network_arguments`, to check its length."""
    profile = resolved.profile
    url = profile.pxe.url or "http://255.255.255.255:65535/pxe/"
    seed = f"ds={data_source(resolved)};s={url}mac-00-00-00-00-00-00/"
    console = [argument for argument in profile.pxe.console if argument not in resolved.kernel_arguments]
    return " ".join([*resolved.kernel_arguments, *console, seed, *network])


def uplink(network: NodeNetwork) -> Device | None:
    """The device with the first IPv4 address, one with a gateway before others."""
    with_v4 = [d for d in network.devices if _v4(d)]
    return next((d for d in with_v4 if d.gateway and ":" not in d.gateway), with_v4[0] if with_v4 else None)


def _v4(device: Device) -> list[ipaddress.IPv4Interface]:
    found = [read_interface(address) for address in device.addresses]
    return [address for address in found if isinstance(address, ipaddress.IPv4Interface)]


def _ip(device: Device, host: str) -> str:
    """``ip=`` of kernel and dracut: client, peer, gateway, netmask, host name, interface, how."""
    address = _v4(device)[0]
    gateway = device.gateway if device.gateway and ":" not in device.gateway else ""
    return f"ip={address.ip}::{gateway}:{address.netmask}:{host}:{device.name}:none"


def _dracut(node: Node, network: NodeNetwork) -> list[str]:
    """dracut.cmdline(7), as of dracut 033 (CentOS 7): name servers are separate arguments."""
    device = uplink(network)
    if device is None or device.on_link:
        return []
    name = device.name
    out = []
    parent = next((vlan.link for vlan in network.vlans if vlan.name == name), name)
    bond = next((b for b in network.bonds if b.name == parent), None)
    ports = bond.interfaces if bond else [parent]
    # Never with the kernel's own names: according to dracut.cmdline(7) they then collide.
    named = [i for i in network.interfaces if i.name in ports and not re.fullmatch(r"eth[0-9]+", i.name)]
    out += [f"ifname={i.name}:{mac}" for i in named if (mac := node.mac_of(i))]
    if bond is not None:
        options = ",".join(f"{key}={value}" for key, value in bond_options(bond).items())
        out.append(f"bond={bond.name}:{','.join(bond.interfaces)}:{options}")
    if parent != name:
        out.append(f"vlan={name}:{parent}")
    out.append(_ip(device, node.name))
    return out + [f"nameserver={server}" for server in network.dns]


def _initramfs_tools(node: Node, network: NodeNetwork) -> list[str]:
    """initramfs-tools(7) and ipconfig of klibc: an interface only, two IPv4 name servers at the end."""
    device = uplink(network)
    if device is None or device.on_link or not any(device is interface for interface in network.interfaces):
        return []
    servers = [server for server in network.dns if ":" not in server][:2]
    ip = _ip(device, node.name)
    return ["".join([ip, *(f":{server}" for server in servers)])]
