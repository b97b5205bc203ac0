"""Workers that share a seed."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB231",
        ERROR,
        "Control planes cannot share a seed",
        why="Each is a member of etcd, with its own name and address.",
        fix="Write each control plane as a node.",
        bad_cluster="""
            endpoint: api.lan:6443
            token_ttl: 30d
            nodes:
              - {name: cp, role: control-plane, count: 3}
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
        "IB232",
        ERROR,
        "What only one machine can have, in a seed that several share",
        why="Two machines with one MAC or one address do not reach anybody.",
        fix="Remove it: the machines use DHCP.",
        bad_cluster="""
            endpoint: api.lan:6443
            token_ttl: 30d
            nodes:
              - {name: cp1, role: control-plane}
              - {name: pool, role: worker, count: 10, mac: '52:54:00:00:00:21'}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            token_ttl: 30d
            nodes:
              - {name: cp1, role: control-plane}
              - {name: pool, role: worker, count: 10}
        """,
    ),
    Code(
        "IB233",
        WARNING,
        "A group of workers whose token ends soon",
        why="A machine joins with the token in its seed. After `token_ttl`, 14 days by default, a new one cannot join.",
        fix="Set `token_ttl`, and [renew the seed](../../how-to/clouds.md#renew-the-token) before it ends.",
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: pool, role: worker, count: 10}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            token_ttl: 30d
            nodes:
              - {name: cp1, role: control-plane}
              - {name: pool, role: worker, count: 10}
        """,
    ),
    Code(
        "IB234",
        ERROR,
        "Unknown machines become workers of one group, and nothing else",
        why="A machine that nobody listed must not get the keys of a control plane.",
        fix="Set `unknown_machines` on one group of workers (`count`).",
        bad_cluster="""
            nodes:
              - {name: cp1, role: control-plane, unknown_machines: true}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            token_ttl: 30d
            nodes:
              - {name: cp1, role: control-plane}
              - {name: pool, role: worker, count: 10, unknown_machines: true}
        """,
    ),
    Code(
        "IB235",
        ERROR,
        "A group of machines without Kubernetes",
        why="First boot gives each machine of a group its name, and it runs for Kubernetes only.",
        fix="Write each machine as a node.",
        bad="""
            extends: debian12-efi
            kubernetes: {enabled: false}
            cilium: {enabled: false}
            helm: {enabled: false}
        """,
        good="""
            extends: debian12-efi
            kubernetes: {enabled: false}
            cilium: {enabled: false}
            helm: {enabled: false}
        """,
        bad_cluster="""
            token_ttl: 30d
            nodes:
              - {name: pool, role: worker, count: 10}
        """,
        good_cluster="""
            nodes:
              - {name: w1, role: worker}
              - {name: w2, role: worker}
        """,
    ),
)
"""The rows of this family."""
