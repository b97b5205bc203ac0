"""Control plane, endpoint and roles."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB410",
        ERROR,
        "No node is a control plane",
        why="No node would create the cluster.",
        fix="Set `role: control-plane` on one node.",
        bad_cluster="""
            nodes:
              - {name: w1, role: worker}
        """,
        good_cluster="""
            nodes:
              - {name: cp1, role: control-plane}
        """,
    ),
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
        "IB412",
        WARNING,
        "An even number of control planes",
        why="etcd needs a majority: 2 members tolerate no more failures than 1, and 4 no more than 3 (etcd.io, FAQ).",
        fix="Use an odd number.",
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: cp2, role: control-plane}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: cp2, role: control-plane}
              - {name: cp3, role: control-plane}
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
        fix="Use a `vip` or a load balancer. `single_endpoint: true` accepts it.",
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
        "IB418",
        ERROR,
        "A label that the kubelet may not give itself",
        why=(
            "NodeRestriction reserves kubernetes.io and k8s.io, and the kubelet refuses to start "
            "(k8s.io/kubelet, well_known_labels.go)."
        ),
        fix="Use a domain of your own; set node-role… with kubectl when the node is there.",
        bad_cluster="""
            nodes:
              - {name: cp1, role: control-plane, labels: {node-role.kubernetes.io/edge: ''}}
        """,
        good_cluster="""
            nodes:
              - {name: cp1, role: control-plane, labels: {example.org/edge: ''}}
        """,
    ),
    Code(
        "IB419",
        ERROR,
        "A taint is given twice",
        why="The kubelet refuses two taints of one key and effect.",
        fix="Keep one of them.",
        bad_cluster="""
            nodes:
              - {name: cp1, role: control-plane, taints: [{key: x, effect: NoSchedule}, {key: x, value: y, effect: NoSchedule}]}
        """,
        good_cluster="""
            nodes:
              - {name: cp1, role: control-plane, taints: [{key: x, effect: NoSchedule}, {key: x, effect: NoExecute}]}
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
        "`single_endpoint` beside a `vip`",
        why="The endpoint is the virtual address then, which is not one node's.",
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
)
"""The rows of this family."""
