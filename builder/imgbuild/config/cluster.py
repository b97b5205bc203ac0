"""The cluster file: the nodes, their roles and addresses. It changes seeds only, never the image."""

from __future__ import annotations

import ipaddress
import re
from functools import cached_property
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from imgbuild.config.fields import Address, Cidr, DnsName, HostName, Model, dns_name, duration, pattern
from imgbuild.config.profile import Profile
from imgbuild.config.setting import Like

M = TypeVar("M", bound=Model)


def _interface_address(value: str) -> str:
    if "/" not in value:
        raise ValueError(f"the prefix length is missing: {value}/24")
    try:
        if "%" in value:
            raise ValueError(value)
        return str(ipaddress.ip_interface(value))
    except ValueError as error:
        raise ValueError("an address with its prefix length is wanted, such as 192.168.1.10/24") from error


def _mac(value: str) -> str:
    digits = re.sub("[-:.]", "", value).lower()
    if not re.fullmatch("[0-9a-f]{12}", digits):
        raise ValueError("a MAC is six pairs of hexadecimal digits: 52:54:00:12:34:56")
    mac = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    if mac != value.lower():
        raise ValueError(f"write it {mac}")
    if int(digits[:2], 16) & 1 or digits == "0" * 12:
        raise ValueError("give the card's own: no card has this MAC (the first pair is odd, or all are zero)")
    return mac


def _endpoint(value: str) -> str:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([a-z0-9.-]+)):[0-9]{1,5}", value)
    try:
        if found is None:
            raise ValueError(value)
        if found[1]:
            ipaddress.IPv6Address(found[1])
        else:
            dns_name(found[2])
    except ValueError as error:
        raise ValueError("host:port is wanted: 10.0.0.10:6443, k8s.example.org:6443 or [2001:db8::10]:6443") from error
    return value


# A qualified name and a label's value: k8s.io/apimachinery, pkg/util/validation.
_NAME = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_QUALIFIED = rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}"
_QUALIFIED_HINT = "write NAME or DOMAIN/NAME: letters, digits, - _ . and at most 63 of them"
LabelValue = Annotated[
    str, pattern(f"({_NAME})?", "at most 63 letters, digits, - _ . with a letter or digit at each end")
]
PinnedImage = Annotated[
    str,
    pattern(
        r"[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|@sha256:[0-9a-f]{64})",
        "registry, path and tag (or digest) of an image: ghcr.io/kube-vip/kube-vip:v0.8.9",
    ),
]
Mac = Annotated[str, AfterValidator(_mac)]
InterfaceName = Annotated[
    str, pattern(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", "an interface name has at most 15 letters, digits, . _ -")
]
InterfaceAddress = Annotated[str, AfterValidator(_interface_address)]
Mtu = Annotated[int, Field(ge=576, le=9216)]


def _no_default(value: str) -> str:
    if value == "default":
        raise ValueError("write gateway: for the default route, or to: 0.0.0.0/0 (cloud-init < 25.3 drops default)")
    return value


class Route(Model):
    """A static route; ``to`` is a network (0.0.0.0/0 for all: never the word default, cloud-init < 25.3)."""

    to: Annotated[Cidr, BeforeValidator(_no_default)]
    via: Address
    metric: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None


class Addresses(Model):
    """What an interface, a bond or a VLAN carries. Empty and without DHCP: a port of a bond or VLAN."""

    dhcp: bool = False
    addresses: list[InterfaceAddress] = []
    gateway: Address | None = None
    routes: list[Route] = []
    mtu: Mtu | None = None


class Interface(Addresses):
    """A physical interface, found by its MAC and given ``name``."""

    name: InterfaceName
    mac: Mac


class Bond(Addresses):
    """A bond of interfaces."""

    name: InterfaceName
    interfaces: Annotated[list[InterfaceName], Field(min_length=1)]
    mode: Literal[
        "balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"
    ] = "active-backup"
    miimon: Annotated[int, Field(ge=1, le=10_000, description="milliseconds")] = 100


class Vlan(Addresses):
    """A VLAN on an interface or a bond."""

    name: InterfaceName
    id: Annotated[int, Field(ge=1, le=4094)]
    link: InterfaceName


class NodeNetwork(Model):
    """Static network of one node. A node without it uses DHCP."""

    interfaces: Annotated[list[Interface], Field(min_length=1)]
    bonds: list[Bond] = []
    vlans: list[Vlan] = []
    dns: list[Address] = []
    search: list[DnsName] = []


class Taint(Model):
    """What keeps pods off a node."""

    key: Annotated[str, pattern(_QUALIFIED, _QUALIFIED_HINT)]
    value: LabelValue = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Node(Model):
    """One machine. ``mac`` is that of the interface it boots from over PXE; by default its first interface's."""

    name: HostName
    role: Literal["control-plane", "worker"]
    mac: Mac | None = None
    network: NodeNetwork | None = None
    labels: dict[Annotated[str, pattern(_QUALIFIED, _QUALIFIED_HINT)], LabelValue] = {}
    taints: list[Taint] = []
    settings: Annotated[dict[str, object], Like(Profile)] = Field(
        default={}, description="laid over the profile for this node alone"
    )

    @property
    def boot_mac(self) -> str | None:
        """The MAC that PXE files go by."""
        return self.mac or (self.network.interfaces[0].mac if self.network else None)


class Vip(Model):
    """An address that one of the control planes holds at a time, by kube-vip as a static pod."""

    address: Address
    interface: InterfaceName | None = Field(
        default=None, description="null: the one in whose network the address is, else that of the default route"
    )
    image: PinnedImage = "ghcr.io/kube-vip/kube-vip:v0.8.9"


class Cluster(Model):
    """The nodes of one cluster. ``endpoint`` is the control plane's host:port, where it is not the node itself."""

    name: DnsName
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    single_endpoint: bool = False
    vip: Vip | None = None
    token_ttl: Annotated[str, duration("1h", "90d")] = Field(
        default="14d", description="how long a new bootstrap token is valid: 14d, 48h"
    )
    nodes: Annotated[list[Node], Field(min_length=1)]

    @cached_property
    def first(self) -> Node | None:
        """The control plane that makes the cluster: the first of the file. Found once: every node asks."""
        return next((node for node in self.nodes if node.role == "control-plane"), None)


DEFAULT = Cluster(name="imgbuild", nodes=[Node(name="node1", role="control-plane")])
"""Without a cluster file: one control plane by DHCP."""
