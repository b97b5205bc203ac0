"""The network of one node in a cluster file: interfaces, bonds, VLANs, routes, name servers."""

from typing import Annotated, Literal

from pydantic import Field

from imgbuild.config.cluster_fields import Destination, InterfaceAddress, InterfaceName, Mac, Mtu
from imgbuild.config.fields import Address, DnsName, Model
from imgbuild.config.setting import Setting

MAC = "52:54:00:ab:cd:ef"
"""The example."""


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

    dhcp: Annotated[bool, Setting("Whether it gets its IPv4 address by DHCP.")] = False
    addresses: Annotated[
        list[InterfaceAddress],
        Setting("Static addresses, each with its prefix length.", example=["10.0.0.11/24"]),
    ] = []
    gateway: Annotated[Address | None, Setting("Gateway of the default route.", example="10.0.0.1")] = None
    on_link: Annotated[
        bool,
        Setting(
            "Whether the `gateway` is reached directly although it is in none of the networks of `addresses`, as some "
            "hosting providers do it.",
            example=True,
        ),
    ] = False
    default_route: Annotated[
        bool,
        Setting(
            "Whether the node uses the gateway that DHCP sends here. With several interfaces on DHCP set it to "
            "`false` on all but one. On Debian it leaves out all routes that DHCP sends, on Enterprise Linux the "
            "default route alone.",
            example=False,
        ),
    ] = True
    use_dns: Annotated[
        bool,
        Setting("Whether the node uses the name servers and search domains that DHCP sends here.", example=False),
    ] = True
    routes: Annotated[list[Route], Setting("More routes.", example=[{"to": "10.9.0.0/16", "via": "10.0.0.254"}])] = []
    mtu: Annotated[Mtu | None, Setting("Size of the largest packet.", unit="bytes", example=9000)] = None


class Interface(Addresses):
    """A physical interface, found by its MAC and renamed to ``name``, or the node's only one."""

    name: Annotated[
        InterfaceName,
        Setting(
            "Name that the interface gets; the card is found by its MAC. Without a MAC it keeps the kernel's name, "
            "which must be this one.",
            example="eth0",
        ),
    ]
    mac: Annotated[
        Mac | None,
        Setting(
            "MAC of the card, in quotes. `null`: it is the node's only card; of several each needs its MAC.",
            example=MAC,
        ),
    ] = None


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
    lacp_rate: Annotated[
        Literal["slow", "fast"] | None,
        Setting(
            "How often the switch is asked for LACP packets, every 30 seconds or every second; with mode 802.3ad. "
            "`null`: the kernel's default, slow.",
            example="fast",
        ),
    ] = None
    xmit_hash_policy: Annotated[
        Literal["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4"] | None,
        Setting(
            "What decides which interface a packet leaves by; with modes 802.3ad, balance-xor and balance-tlb. "
            "`null`: the kernel's default, layer2.",
            example="layer3+4",
        ),
    ] = None
    primary: Annotated[
        InterfaceName | None,
        Setting(
            "Interface of the bond that is used as long as it is up; with modes active-backup, balance-tlb and "
            "balance-alb. `null`: none is preferred.",
            example="eth0",
        ),
    ] = None


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
            example=[{"name": "eth0", "mac": MAC, "addresses": ["10.0.0.11/24"], "gateway": "10.0.0.1"}],
        ),
    ]
    bonds: Annotated[
        list[Bond], Setting("Bonds of interfaces.", example=[{"name": "bond0", "interfaces": ["eth0", "eth1"]}])
    ] = []
    vlans: Annotated[
        list[Vlan], Setting("VLANs on interfaces or bonds.", example=[{"name": "vlan20", "id": 20, "link": "bond0"}])
    ] = []
    dns: Annotated[
        list[Address],
        Setting("Name servers, used before those that DHCP sends.", example=["10.0.0.1"]),
    ] = []
    search: Annotated[list[DnsName], Setting("DNS search domains.", example=["lab.example.com"])] = []

    @property
    def devices(self) -> list[Interface | Bond | Vlan]:
        """Interfaces, bonds and VLANs in that order."""
        return [*self.interfaces, *self.bonds, *self.vlans]
