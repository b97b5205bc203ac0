"""Settings in a cluster file."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR

CODES = (
    Code(
        "IB440",
        ERROR,
        "A node's settings hold what cannot differ between nodes",
        why="One run makes one cluster: its version, networks and chart are the same for all nodes.",
        fix=(
            "Set it in the profile; or build these nodes from another profile, with the same cluster file and "
            "`--secrets`."
        ),
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker, settings: {kubernetes: {version: 1.35.7}}}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker, settings: {kubernetes: {schedulable_control_plane: true}}}
        """,
    ),
    Code(
        "IB441",
        ERROR,
        "A node's settings change what is in the image",
        why="In baked mode one image serves all nodes.",
        fix="Set it in the profile, use `--mode stock`, or build these nodes from another profile.",
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker, settings: {kernel: {sysctl: {vm.swappiness: 10}}}}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker, settings: {run: [echo hello]}}
        """,
    ),
    Code(
        "IB442",
        ERROR,
        "Nodes with other files fetch them from the same address",
        why="With `cloud.include_url` a node fetches its files from there, and checks their sha256.",
        fix="Give these nodes an address of their own in their settings.",
        bad="""
            extends: debian12-efi
            mode: stock
            cloud: {include_url: 'http://10.0.0.1/files.tar.gz'}
        """,
        good="""
            extends: debian12-efi
            mode: stock
            cloud: {include_url: 'http://10.0.0.1/files.tar.gz'}
        """,
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker, settings: {time: {zone: Asia/Tokyo}}}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker, settings: {time: {zone: Asia/Tokyo}, cloud: {include_url: 'http://10.0.0.1/w1.tar.gz'}}}
        """,
        rendered=True,
    ),
    Code(
        "IB449",
        ERROR,
        "A kubelet of its own needs Kubernetes 1.25",
        why=(
            "kubeadm gives every kubelet the configuration of the cluster. What differs on a node travels as a patch, "
            "and kubeadm patches that configuration from 1.25 on."
        ),
        fix="Set it in the profile, or use a later version.",
        bad="""
            extends: centos8-efi
            kubernetes: {version: 1.24.17}
        """,
        good="""
            extends: centos8-efi
            kubernetes: {version: 1.25.16}
        """,
        bad_cluster="""
            nodes:
              - {name: cp1, role: control-plane, settings: {kubernetes: {kubelet: {maxPods: 200}}}}
        """,
        good_cluster="""
            nodes:
              - {name: cp1, role: control-plane, settings: {kubernetes: {kubelet: {maxPods: 200}}}}
        """,
    ),
    Code(
        "IB428",
        ERROR,
        "The cluster file's settings change the image",
        why=(
            "One image serves every cluster: it is made from the profile and its layers alone. In stock mode there is "
            "no image, and only what decides which system the nodes boot from is refused."
        ),
        fix="Set it in the profile, or use `--mode stock`.",
        bad_cluster="""
            settings: {kernel: {sysctl: {vm.swappiness: 10}}}
            nodes: [{name: cp1, role: control-plane}]
        """,
        good_cluster="""
            settings: {run: [echo hello]}
            nodes: [{name: cp1, role: control-plane}]
        """,
    ),
)
"""The rows of this family."""
