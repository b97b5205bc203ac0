"""The endpoint: where nodes reach the control plane."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB411",
        ERROR,
        "The address of the control plane is not known",
        why="Other nodes join at this address, and an address from DHCP is not known beforehand.",
        fix="Set `endpoint`, `vip`, or a static address on the first control plane.",
        bad_cluster="""
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
    Code(
        "IB413",
        ERROR,
        "The port of the endpoint is not a port",
        why="Ports are 1 to 65535.",
        fix="Use 6443.",
        bad_cluster="""
            endpoint: vip.lan:99999
            nodes:
              - {name: cp1, role: control-plane}
        """,
        good_cluster="""
            endpoint: vip.lan:443
            nodes:
              - {name: cp1, role: control-plane}
        """,
    ),
    Code(
        "IB414",
        ERROR,
        "Several control planes, and the endpoint is one of them",
        why="Without that node the API cannot be reached, whatever the others do.",
        fix=(
            "Use a `vip`, `balancer: local` or a load balancer: [three ways](../../how-to/ha.md). "
            "`single_endpoint: true` accepts it."
        ),
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - name: cp3
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:13', addresses: [192.168.1.13/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            single_endpoint: true
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - name: cp3
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:13', addresses: [192.168.1.13/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB415",
        ERROR,
        "The virtual address is a node's own",
        why="Two machines would answer for it.",
        fix="Use an address that no machine has.",
        bad_cluster="""
            vip: {address: 192.168.1.10}
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            vip: {address: 192.168.1.9}
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB416",
        ERROR,
        "The virtual address is in the wrong network",
        why=(
            "kube-vip answers ARP for it on a network that every control plane must be in; addresses of pods and "
            "Services are never seen there."
        ),
        fix="Use a free address of a network that all control planes are in.",
        bad_cluster="""
            vip: {address: 192.168.2.9}
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            vip: {address: 192.168.1.9}
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB417",
        ERROR,
        "The endpoint is not the virtual address",
        why="Nodes connect to the endpoint, so the virtual address would not be used.",
        fix="Remove `endpoint`.",
        lesser=WARNING,
        when="the endpoint is a name, which may resolve to the virtual address",
        bad_cluster="""
            vip: {address: 192.168.1.9}
            endpoint: 192.168.1.8:6443
            nodes:
              - {name: cp1, role: control-plane}
        """,
        good_cluster="""
            vip: {address: 192.168.1.9}
            nodes:
              - {name: cp1, role: control-plane}
        """,
    ),
    Code(
        "IB461",
        ERROR,
        "The first control plane, if rebuilt, could not find its cluster",
        why=(
            "The endpoint is its own address, so it has to ask another control plane whether the cluster is "
            "there, or it would make a second one."
        ),
        fix="Give the others static addresses, or `kubernetes.advertise_address` in their settings.",
        bad_cluster="""
            single_endpoint: true
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - {name: cp3, role: control-plane}
        """,
        good_cluster="""
            single_endpoint: true
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - name: cp3
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:13', addresses: [192.168.1.13/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB462",
        WARNING,
        "`single_endpoint` beside a `vip` or a `balancer`",
        why="The endpoint is the virtual address or the balancer then, which is not one node's.",
        fix="Remove `single_endpoint`.",
        bad_cluster="""
            vip: {address: 192.168.1.9}
            single_endpoint: true
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - name: cp3
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:13', addresses: [192.168.1.13/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            vip: {address: 192.168.1.9}
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - name: cp3
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:13', addresses: [192.168.1.13/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB464",
        ERROR,
        "A balancer on each node beside a `vip` or an `endpoint`",
        why="There is one endpoint: nodes would use the one and not the other.",
        fix="Keep one of them.",
        bad_cluster="""
            balancer: local
            endpoint: 192.168.1.9:6443
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - name: cp3
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:13', addresses: [192.168.1.13/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            balancer: local
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - name: cp3
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:13', addresses: [192.168.1.13/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB465",
        ERROR,
        "The balancers do not know a control plane's address",
        why="Each node's balancer has the addresses of all control planes in its configuration.",
        fix="Give it a static address, or `kubernetes.advertise_address` in its settings.",
        bad_cluster="""
            balancer: local
            nodes:
              - {name: cp1, role: control-plane}
        """,
        good_cluster="""
            balancer: local
            nodes:
              - {name: cp1, role: control-plane, settings: {kubernetes: {advertise_address: 192.168.1.11}}}
        """,
    ),
    Code(
        "IB429",
        ERROR,
        "The balancer's port is another program's",
        why="Both are in the host's network, and only one of them would start.",
        fix="Use 7443, the default, or another free port.",
        bad_cluster="""
            balancer: local
            balancer_port: 6443
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - name: cp3
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:13', addresses: [192.168.1.13/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            balancer: local
            balancer_port: 8443
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:11', addresses: [192.168.1.11/24], gateway: 192.168.1.1}]
              - name: cp2
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:12', addresses: [192.168.1.12/24], gateway: 192.168.1.1}]
              - name: cp3
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:13', addresses: [192.168.1.13/24], gateway: 192.168.1.1}]
        """,
    ),
    Code(
        "IB469",
        WARNING,
        "Port or image of a balancer that there is not",
        why="Without `balancer: local` no node has a balancer.",
        fix="Set `balancer: local`, or remove the key.",
        bad_cluster="""
            balancer_port: 8443
            nodes:
              - {name: cp1, role: control-plane}
        """,
        good_cluster="""
            nodes:
              - {name: cp1, role: control-plane}
        """,
    ),
)
"""The rows of this family."""
