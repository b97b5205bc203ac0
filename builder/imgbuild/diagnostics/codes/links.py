"""Interfaces, bonds and VLANs."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB404",
        ERROR,
        "Two devices of a node have the same name",
        why=(
            "Names of interfaces, bonds and VLANs are unique on a node, VLAN tags on a link, and `lo` is the "
            "loopback interface's."
        ),
        fix="Give each a name of its own.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: lo, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB405",
        ERROR,
        "A bond or a VLAN needs an interface that the node does not have",
        why="The network would not come up.",
        fix="Use one of the node's interfaces. The nearest one is named.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:02'}
                  bonds: [{name: bond0, interfaces: [eth1, eth9], addresses: [10.9.0.1/24]}]
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:02'}
                    - {name: eth2, mac: '52:54:00:00:00:03'}
                  bonds: [{name: bond0, interfaces: [eth1, eth2], addresses: [10.9.0.1/24]}]
        """,
    ),
    Code(
        "IB406",
        ERROR,
        "An interface is in two bonds, or carries a VLAN as a port of a bond",
        why="The kernel adds an interface to one bond only, and a port passes all its frames to the bond.",
        fix="Use one bond, and put the VLAN on the bond.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:02'}
                    - {name: eth2, mac: '52:54:00:00:00:03'}
                  bonds: [{name: bond0, interfaces: [eth1, eth2], addresses: [10.9.0.1/24]}, {name: bond1, interfaces: [eth2], addresses: [10.8.0.1/24]}]
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:02'}
                    - {name: eth2, mac: '52:54:00:00:00:03'}
                  bonds: [{name: bond0, interfaces: [eth1, eth2], addresses: [10.9.0.1/24]}]
        """,
    ),
    Code(
        "IB407",
        ERROR,
        "A port of a bond has addresses of its own",
        why="They have no effect: the bond receives what its ports get.",
        fix="Move them to the bond.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:02'}
                  bonds: [{name: bond0, interfaces: [eth1, eth0], addresses: [10.9.0.1/24]}]
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:02'}
                    - {name: eth2, mac: '52:54:00:00:00:03'}
                  bonds: [{name: bond0, interfaces: [eth1, eth2], addresses: [10.9.0.1/24]}]
        """,
    ),
    Code(
        "IB408",
        ERROR,
        "A VLAN's MTU is larger than its link's",
        why="The kernel refuses it.",
        fix="Raise the link's MTU.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
                  vlans: [{name: eth0.5, id: 5, link: eth0, mtu: 9000, addresses: [10.1.0.1/24]}]
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{mtu: 9000, name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
                  vlans: [{name: eth0.5, id: 5, link: eth0, mtu: 9000, addresses: [10.1.0.1/24]}]
        """,
    ),
    Code(
        "IB409",
        ERROR,
        "Enterprise Linux takes the link and the id of a VLAN from its name",
        why=(
            "cloud-init's sysconfig renderer writes no VLAN_ID, and the network scripts read it from the name; "
            "`vlanID` works from cloud-init 20.4 on."
        ),
        fix="Use the name that is given.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
                  vlans: [{name: vlan5, id: 5, link: eth0, addresses: [10.1.0.1/24]}]
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
                  vlans: [{name: eth0.5, id: 5, link: eth0, addresses: [10.1.0.1/24]}]
        """,
    ),
    Code(
        "IB427",
        ERROR,
        "kube-vip's interface is not on a control plane",
        why="kube-vip does not start there.",
        fix="Use one that every control plane has, or null.",
        bad_cluster="""
            vip: {address: 192.168.1.9, interface: ens3}
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            vip: {address: 192.168.1.9, interface: eth0}
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB230",
        ERROR,
        "A node of a dual-stack cluster without an address of one family",
        why="The kubelet of each node gets one address of each family, and first boot waits until the node has both.",
        fix="Add an address of that family.",
        lesser=WARNING,
        when="it is IPv6, which a router may advertise",
        bad="""
            kubernetes: {pod_cidr: "10.244.0.0/16,fd00:10:244::/48", service_cidr: "10.96.0.0/16,fd00:10:96::/112"}
            cilium: {values: {ipv6: {enabled: true}}}
        """,
        good="""
            kubernetes: {pod_cidr: "10.244.0.0/16,fd00:10:244::/48", service_cidr: "10.96.0.0/16,fd00:10:96::/112"}
            cilium: {values: {ipv6: {enabled: true}}}
        """,
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: ['fd00::11/64'], gateway: 'fd00::1'}]
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.11/24, 'fd00::11/64'], gateway: 192.168.1.1}]
        """,
    ),
)
"""The rows of this family."""
