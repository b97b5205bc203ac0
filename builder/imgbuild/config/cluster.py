"""The cluster file: the nodes, their roles and addresses. It changes seeds only, never the image."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from imgbuild.config.cluster_fields import (
    Destination,
    Endpoint,
    InterfaceAddress,
    InterfaceName,
    LabelName,
    LabelValue,
    Mac,
    Mtu,
    PinnedImage,
)
from imgbuild.config.fields import Address, DnsName, HostName, Model, duration
from imgbuild.config.profile import Profile
from imgbuild.config.setting import Like, Setting, Words

_MAC = "52:54:00:ab:cd:ef"


class Route(Model):
    """A static route; ``to`` is a network (0.0.0.0/0 for all, never the word default: cloud-init < 25.3)."""

    to: Annotated[
        Destination,
        Setting(
            "Network that the route leads to. Not the word `default`: cloud-init before 25.3 makes a broken route of "
            "it.",
            example="10.9.0.0/16",
        ),
    ]
    via: Annotated[Address, Setting("Next hop.", example="10.0.0.254")]
    metric: Annotated[
        Annotated[int, Field(ge=0, le=2**32 - 1)] | None, Setting("Metric of the route.", example=100)
    ] = None


class Addresses(Model):
    """What an interface, a bond or a VLAN carries. Empty and without DHCP: a port of a bond or VLAN."""

    dhcp: Annotated[bool, Setting("Whether it gets its address by DHCP.")] = False
    addresses: Annotated[
        list[InterfaceAddress],
        Setting("Static addresses, each with its prefix length.", example=["10.0.0.11/24"]),
    ] = []
    gateway: Annotated[Address | None, Setting("Gateway of the default route.", example="10.0.0.1")] = None
    routes: Annotated[list[Route], Setting("More routes.", example=[{"to": "10.9.0.0/16", "via": "10.0.0.254"}])] = []
    mtu: Annotated[Mtu | None, Setting("Size of the largest packet.", unit="bytes", example=9000)] = None


class Interface(Addresses):
    """A physical interface, found by its MAC and renamed to ``name``."""

    name: Annotated[
        InterfaceName, Setting("Name that the interface gets; the card is found by its MAC.", example="eth0")
    ]
    mac: Annotated[Mac, Setting("MAC of the card, in quotes.", example=_MAC)]


class Bond(Addresses):
    """A bond of interfaces."""

    name: Annotated[InterfaceName, Setting("Name of the bond.", example="bond0")]
    interfaces: Annotated[
        list[InterfaceName],
        Field(min_length=1),
        Setting("Names of the interfaces that it consists of.", example=["eth0", "eth1"]),
    ]
    mode: Annotated[
        Literal["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"],
        Setting("How the interfaces share the traffic."),
    ] = "active-backup"
    miimon: Annotated[
        int,
        Field(ge=1, le=10_000),
        Setting("How often the links are checked.", unit="milliseconds", example=200),
    ] = 100


class Vlan(Addresses):
    """A VLAN on an interface or a bond."""

    name: Annotated[InterfaceName, Setting("Name of the VLAN's interface.", example="vlan20")]
    id: Annotated[int, Field(ge=1, le=4094), Setting("Number of the VLAN.", example=20)]
    link: Annotated[InterfaceName, Setting("Interface or bond that the VLAN is on.", example="bond0")]


class NodeNetwork(Model):
    """Static network of one node. A node without it uses DHCP."""

    interfaces: Annotated[
        list[Interface],
        Field(min_length=1),
        Setting(
            "Network cards of the node. One without addresses and without DHCP is a port of a bond or a VLAN.",
            example=[{"name": "eth0", "mac": _MAC, "addresses": ["10.0.0.11/24"], "gateway": "10.0.0.1"}],
        ),
    ]
    bonds: Annotated[
        list[Bond], Setting("Bonds of interfaces.", example=[{"name": "bond0", "interfaces": ["eth0", "eth1"]}])
    ] = []
    vlans: Annotated[
        list[Vlan], Setting("VLANs on interfaces or bonds.", example=[{"name": "vlan20", "id": 20, "link": "bond0"}])
    ] = []
    dns: Annotated[list[Address], Setting("Name servers.", example=["10.0.0.1"])] = []
    search: Annotated[list[DnsName], Setting("DNS search domains.", example=["lab.example.com"])] = []


class Taint(Model):
    """What keeps pods off a node."""

    key: Annotated[LabelName, Setting("Key of the taint.", example="example.com/gpu")]
    value: Annotated[LabelValue, Setting("Value of the taint.", example="true")] = ""
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"], Setting("What it does to pods that do not tolerate it.")
    ]


class Node(Model):
    """One machine. ``mac`` is that of the interface it boots from over PXE; by default its first interface's."""

    name: Annotated[
        HostName,
        Setting(
            "Host name of the machine and name of the Kubernetes node: a short name, or a fully qualified one with "
            "dots. At most 63 characters.",
            example="cp1",
        ),
    ]
    role: Annotated[Literal["control-plane", "worker"], Setting("What the node is.")]
    mac: Annotated[
        Mac | None,
        Setting(
            "MAC of the card that the machine boots from over the network. `null`: its first interface's.", example=_MAC
        ),
    ] = None
    network: Annotated[NodeNetwork | None, Setting("Static network of the node. `null`: the node uses DHCP.")] = None
    labels: Annotated[
        dict[LabelName, LabelValue],
        Setting(
            "Labels of the node; a value may be empty. Labels below kubernetes.io that a node may not give itself are "
            "an error.",
            example={"example.com/rack": "r1"},
        ),
    ] = {}
    taints: Annotated[
        list[Taint],
        Setting(
            "Taints that keep pods off the node, in addition to kubeadm's own.",
            example=[{"key": "example.com/gpu", "effect": "NoSchedule"}],
        ),
    ] = []
    settings: Annotated[
        dict[str, object],
        Like(Profile),
        Setting(
            "Keys of a [profile](profile.md), applied on top of the profile for this node alone: "
            "[below](#settings-of-a-nodes-own).",
            example={"kubernetes": {"schedulable_control_plane": False}},
        ),
    ] = {}

    @property
    def boot_mac(self) -> str | None:
        """The MAC that PXE files go by."""
        return self.mac or (self.network.interfaces[0].mac if self.network else None)


class Vip(Model):
    """An address that one control plane has at a time, managed by kube-vip as a static pod."""

    address: Annotated[
        Address,
        Setting(
            "Free address of the nodes' network. kube-vip, a static pod, gives it to one control plane at a time.",
            example="10.0.0.10",
        ),
    ]
    interface: Annotated[
        InterfaceName | None,
        Setting(
            "Interface that gets the address, on every control plane. `null`: on each the one in whose network the "
            "address is; with addresses by DHCP the one of the default route.",
            example="eth0",
        ),
    ] = None
    image: Annotated[
        PinnedImage, Setting("Image of kube-vip.", example="registry.example.com/kube-vip/kube-vip:v0.8.9")
    ] = "ghcr.io/kube-vip/kube-vip:v0.8.9"


class Cluster(Model):
    """The nodes of one cluster. ``endpoint`` is the control plane's host:port, where it is not the node itself."""

    name: Annotated[
        DnsName,
        Setting(
            "Name of the cluster, in kubeadm's configuration and as Cilium's `cluster.name`. Cilium accepts at most 32 "
            "of a-z, 0-9 and - from 1.16 on (IB640); `cilium.values.cluster.name` gives it another name.",
            example="lab",
            scope="cluster",
        ),
    ]
    endpoint: Annotated[
        Endpoint | None,
        Setting(
            "`host:port` of the control plane (`[…]:port` for IPv6) if it is not the node itself: a load balancer or a "
            "virtual address. `null`: the `vip`, or the first control plane's own address "
            "(`kubernetes.advertise_address` in its settings, else its first static address). All nodes join there, "
            "whatever settings they have.",
            example="10.0.0.10:6443",
            scope="cluster",
        ),
    ] = None
    single_endpoint: Annotated[
        bool,
        Setting(
            "Accepts an endpoint that is the address of one of several control planes: without that node "
            "the API cannot be reached. [What happens when it is imaged again]"
            "(../how-to/first-boot.md#a-control-plane-was-re-imaged).",
            scope="cluster",
        ),
    ] = False
    vip: Annotated[
        Vip | None,
        Setting("Virtual address of the control planes. `null`: there is none.", scope="cluster"),
    ] = None
    token_ttl: Annotated[
        str,
        duration("1h", "90d"),
        Words("duration"),
        Setting(
            "How long a new [bootstrap token](#a-new-token) is valid, in hours or days: at least `1h`, at most `90d`.",
            example="48h",
            scope="cluster",
        ),
    ] = "14d"  # noqa: S105 - a time
    settings: Annotated[
        dict[str, object],
        Like(Profile),
        Setting(
            "Keys of a [profile](profile.md), applied on top of the profile for all nodes of this cluster: "
            "[below](#settings-of-all-nodes).",
            example={"time": {"ntp_servers": ["10.0.0.1"]}},
        ),
    ] = {}
    nodes: Annotated[
        list[Node],
        Field(min_length=1),
        Setting(
            "The machines. The first control plane makes the cluster, the others join it. It asks the endpoint and the "
            "other control planes first whether the cluster exists.",
            example=[{"name": "cp1", "role": "control-plane"}],
            scope="seed",
        ),
    ]

    @cached_property
    def first(self) -> Node | None:
        """The control plane that makes the cluster: the first of the file. Cached, because every node needs it."""
        return next((node for node in self.nodes if node.role == "control-plane"), None)


DEFAULT = Cluster(name="imgbuild", nodes=[Node(name="node1", role="control-plane")])
"""Without a cluster file: one control plane that uses DHCP."""
