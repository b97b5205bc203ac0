"""Nodes and their addresses."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB401",
        ERROR,
        "Two nodes have the same host name",
        why="Kubernetes knows a node by its name: the second one would take the place of the first.",
        fix="Give each its own.",
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: cp1, role: worker}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker}
        """,
    ),
    Code(
        "IB402",
        ERROR,
        "Two interfaces have the same MAC",
        why="An interface is found by its MAC, and a switch sends a frame to one of them only.",
        fix="Give each its own.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:01', dhcp: true, default_route: false}
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:0a', dhcp: true, default_route: false}
        """,
    ),
    Code(
        "IB403",
        ERROR,
        "Two interfaces have the same address",
        why="Which of them gets a packet is left to chance.",
        fix="Give each its own.",
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: w1
                role: worker
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:19', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            endpoint: api.lan:6443
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: w1
                role: worker
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB420",
        ERROR,
        "A static network without any address",
        why="The node would have no network at all: a static network turns DHCP off.",
        fix="Give an address, or remove `network` for DHCP.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth1, mac: '52:54:00:00:00:02'}]
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
        "IB421",
        WARNING,
        "An interface that nothing uses",
        why="It has no address, no DHCP, and no bond or VLAN is on it.",
        fix="Give it an address, or remove it.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:02'}
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
        "IB422",
        ERROR,
        "A gateway that the node cannot reach",
        why="A gateway must be in a network of the interface, and not the node itself.",
        fix="Use the router's address. If it is reached without being in a network of the node's, set `on_link: true`.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.2.1}]
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
        "IB423",
        WARNING,
        "A node without a default gateway",
        why="It reaches its own networks only, so it cannot download anything.",
        fix="Set `gateway` on one interface.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24]}]
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
        "IB424",
        WARNING,
        "A node with several default gateways of one family",
        why="Which one is used is left to chance. A DHCP server usually sends one, too.",
        fix="Keep one of them, and reach other networks by `routes`; with DHCP set `default_route: false`.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:02', addresses: [10.0.0.2/24], gateway: 10.0.0.1}
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}
                    - {name: eth1, mac: '52:54:00:00:00:02', addresses: [10.0.0.2/24]}
        """,
    ),
    Code(
        "IB425",
        WARNING,
        "A static node without a DNS server",
        why="CoreDNS forwards to the node's servers and does not start without one.",
        fix="Set `dns`; any address will do where there is no server.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: []
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
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
        "IB426",
        ERROR,
        "An address that no interface can have",
        why="Loopback, multicast, reserved, network and broadcast addresses are not a host's.",
        fix="Use an address of a host.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.255/24], gateway: 192.168.1.1}]
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
        "IB651",
        ERROR,
        "Two nodes reach each other only through a gateway, and Cilium sets direct routes",
        why=(
            "With `autoDirectNodeRoutes` the agent installs no route to the other's pods, and reports Ok "
            "(pkg/datapath/linux/node.go). The network of a node that uses DHCP is not known."
        ),
        fix=(
            "Use the layer `tunnel`, or `directRoutingSkipUnreachable: true` (charts from 1.16 on) with routes "
            "of your own."
        ),
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: w1
                role: worker
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.2.12/24], gateway: 192.168.2.1}]
        """,
        good_cluster="""
            endpoint: api.lan:6443
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: w1
                role: worker
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB652",
        WARNING,
        "Direct routes between nodes in a cloud",
        why="Nodes of different zones, and every node in Google's cloud, are behind a gateway.",
        fix="Use the layer `tunnel`, or `directRoutingSkipUnreachable: true` with routes of your own.",
        bad="""
            extends: debian12-efi
            cloud: {providers: [gcp]}
            cilium: {values: {loadBalancer: {mode: snat}}}
        """,
        good="extends: debian12-efi",
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker}
        """,
    ),
)
"""The rows of this family."""
