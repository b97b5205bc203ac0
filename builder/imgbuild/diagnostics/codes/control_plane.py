"""Control plane, labels and taints."""

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
        "IB499",
        ERROR,
        "No API server can be at this address",
        lesser=WARNING,
        when="a loopback address, and the cluster has one machine",
        why=(
            "Each node joins at the endpoint and finds the API server there: a loopback address is the node itself, a "
            "worker has no API server, and names and addresses of the cluster exist only once nodes have joined."
        ),
        fix="Use the control plane's address, a load balancer's, `vip`, or `balancer: local`.",
        bad_cluster="""
            endpoint: 127.0.0.1:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker}
        """,
        good_cluster="""
            endpoint: 192.168.1.9:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker}
        """,
    ),
)
"""The rows of this family."""
