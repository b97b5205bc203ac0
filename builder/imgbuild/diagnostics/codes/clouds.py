"""Clouds."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING
INFO = Severity.INFO

CODES = (
    Code(
        "IB670",
        WARNING,
        "Direct server return in a cloud",
        why="A node answers with another node's address, which the cloud's network drops; no check on a node sees it.",
        fix="Use `snat`; or turn off the check of source addresses and [try it from outside](../node.md#dsr).",
        bad="""
            extends: debian12-efi
            cloud: {providers: [openstack]}
        """,
        good="""
            extends: debian12-efi
            cloud: {providers: [openstack]}
            cilium: {values: {loadBalancer: {mode: snat}}}
        """,
        also=("IB652",),
    ),
    Code(
        "IB671",
        ERROR,
        "A virtual address in a cloud",
        why=(
            "kube-vip announces the address by ARP. A public cloud answers ARP itself and delivers only to addresses "
            "that it assigned: the API would never answer at this one."
        ),
        fix="Use `balancer: local`, or the cloud's load balancer as `endpoint`: [three ways](../../how-to/ha.md).",
        lesser=WARNING,
        when="the cloud is OpenStack, which delivers it once each port has it in its allowed address pairs",
        bad="""
            extends: debian12-efi
            cloud: {providers: [gcp]}
            cilium: {values: {loadBalancer: {mode: snat}, autoDirectNodeRoutes: false}}
        """,
        good="""
            extends: debian12-efi
            cloud: {providers: [gcp]}
            cilium: {values: {loadBalancer: {mode: snat}, autoDirectNodeRoutes: false}}
        """,
        bad_cluster="""
            vip: {address: 10.0.0.10}
            nodes:
              - {name: cp1, role: control-plane}
        """,
        good_cluster="""
            endpoint: 10.0.0.10:6443
            nodes:
              - {name: cp1, role: control-plane}
        """,
    ),
    Code(
        "IB701",
        ERROR,
        "User-data is over a cloud's limit",
        why="A cloud refuses larger user-data, or cuts it. The limits and their sources are in cloud/NAME/SIZES.txt.",
        fix="Use `cloud.include_url`, shorter `files` and `run`, or an image.",
        lesser=INFO,
        when="the profile names no cloud",
        bad="""
            mode: stock
            cloud: {providers: [ec2]}
            cilium: {values: {loadBalancer: {mode: snat}, autoDirectNodeRoutes: false}}
        """,
        good="""
            mode: baked
            cloud: {providers: [gcp]}
            cilium: {values: {loadBalancer: {mode: snat}, autoDirectNodeRoutes: false}}
        """,
        rendered=True,
    ),
    Code(
        "IB911",
        WARNING,
        "A cloud hands the keys in user-data to pods",
        why=(
            "Whatever runs on the machine may ask the instance metadata for user-data: the keys of the cluster's "
            "authorities on a control plane, the bootstrap token on a worker."
        ),
        fix="[Keep pods from the keys](../../how-to/clouds.md#keep-pods-from-the-keys).",
        bad="""
            extends: debian12-efi
            cloud: {providers: [ec2]}
            cilium: {values: {loadBalancer: {mode: snat}}}
        """,
        good="extends: debian12-efi",
        bad_cluster="""
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
