"""Cards without a MAC, several cards, name servers."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING


def _node(network: str) -> str:
    """A cluster of one control plane with this network."""
    return f"nodes:\n  - name: cp1\n    role: control-plane\n    network:\n{network}"


_GOOD = _node("""\
      dns: [1.1.1.1]
      interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
""")


def _servers(servers: str, search: str = "[]") -> str:
    return _GOOD.replace("dns: [1.1.1.1]", f"dns: {servers}\n      search: {search}")


def _bond(options: str) -> str:
    return _node(f"""\
      dns: [1.1.1.1]
      interfaces: [{{name: eth0, mac: '52:54:00:00:00:01'}}, {{name: eth1, mac: '52:54:00:00:00:02'}}]
      bonds: [{{name: bond0, interfaces: [eth0, eth1], {options}, addresses: [192.168.1.10/24], gateway: 192.168.1.1}}]
""")


CODES = (
    Code(
        "IB480",
        ERROR,
        "A card without a MAC on a node with several",
        why="A card is found by its MAC. Without one nothing tells which of several cards gets which addresses.",
        fix="Add its `mac`. Only a node with a single card needs none.",
        bad_cluster=_node("""\
      dns: [1.1.1.1]
      interfaces:
        - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
        - {name: eth1, addresses: [10.9.0.1/24]}
"""),
        good_cluster=_node("""\
      dns: [1.1.1.1]
      interfaces:
        - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
        - {name: eth1, mac: '52:54:00:00:00:02', addresses: [10.9.0.1/24]}
"""),
    ),
    Code(
        "IB481",
        ERROR,
        "A card without a MAC has another name than the kernel gives it",
        why=(
            "Without a MAC a card is not renamed. With `net.ifnames=0`, the default, a node's only card is eth0; with "
            "`kernel.interface_names: predictable` it has the name of its slot, such as ens192."
        ),
        fix="Use that name, or add the card's `mac`.",
        lesser=WARNING,
        when="with predictable names, of which eth0 is hardly ever one",
        bad_cluster=_GOOD.replace("name: eth0, mac: '52:54:00:00:00:01'", "name: ens192"),
        good_cluster=_GOOD.replace("name: eth0, mac: '52:54:00:00:00:01'", "name: eth0"),
    ),
    Code(
        "IB482",
        ERROR,
        "A key of an interface that cannot have an effect",
        why=(
            "`default_route` and `use_dns` are about what DHCP sends, `on_link` is about an IPv4 `gateway`, and DHCP "
            "sends the gateway of an interface that has no address of its own."
        ),
        fix="Remove the key, or add what it needs.",
        bad_cluster=_GOOD.replace("gateway: 192.168.1.1", "gateway: 192.168.1.1, use_dns: false"),
        good_cluster=_GOOD,
    ),
    Code(
        "IB483",
        ERROR,
        "A bond's option that its mode does not take",
        why=(
            "`lacp_rate` is for mode 802.3ad; `xmit_hash_policy` for 802.3ad, balance-xor and balance-tlb; `primary`, "
            "one of the bond's interfaces, for active-backup, balance-tlb and balance-alb. The kernel refuses or "
            "ignores it elsewhere."
        ),
        fix="Remove the option, or set the mode that takes it.",
        bad_cluster=_bond("mode: active-backup, lacp_rate: fast"),
        good_cluster=_bond("mode: 802.3ad, lacp_rate: fast"),
    ),
    Code(
        "IB484",
        ERROR,
        "A DNS server that cannot work on a node",
        why=(
            "Nothing answers in the networks of pods and Services before the cluster runs. CoreDNS reads the node's "
            "resolv.conf: with one of its own addresses or a loopback address there it would forward to itself, "
            "and its plugin loop ends it."
        ),
        fix="Give a server outside the cluster, at an address that pods reach too.",
        lesser=WARNING,
        when="a loopback address",
        bad_cluster=_servers("[10.96.0.10]"),
        good_cluster=_servers("[192.168.1.53]"),
    ),
    Code(
        "IB485",
        WARNING,
        "More DNS servers or search domains than are used",
        why=(
            "glibc and the kubelet use three servers. glibc before 2.26 (CentOS 7) takes 6 search domains with 256 "
            "characters; the kubelet gives a pod 32 with 2048, of which three are the cluster's."
        ),
        fix="Keep the first three servers, and the domains that are needed.",
        bad_cluster=_servers("[192.168.1.1, 192.168.1.2, 192.168.1.3, 192.168.1.4]"),
        good_cluster=_servers("[192.168.1.1, 192.168.1.2, 192.168.1.3]"),
    ),
    Code(
        "IB486",
        ERROR,
        "The node's address in Kubernetes cannot be right",
        why=(
            "`kubernetes.node_ip` is one of the node's own addresses or an interface that has one: the kubelet starts "
            "with no other, and pods and other nodes reach the node there."
        ),
        fix="Name an interface that the node has, or one of its addresses. A node may have its own in `settings`.",
        bad_cluster=_GOOD.replace("    network", "    settings: {kubernetes: {node_ip: eth1}}\n    network"),
        good_cluster=_GOOD.replace("    network", "    settings: {kubernetes: {node_ip: eth0}}\n    network"),
    ),
)
"""The rows of this family."""
