"""Time."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB541",
        ERROR,
        "A node has no source of time",
        why="Without one, clocks drift apart until certificates and tokens are refused.",
        fix="Name a time server in `time.ntp_servers`, or set `time.local_stratum` on the node that is the clock.",
        bad="time: {ntp_servers: []}",
        good="time: {ntp_servers: [], local_stratum: 10}",
    ),
    Code(
        "IB542",
        WARNING,
        "Several nodes serve their own clock",
        why="When no time server answers, each keeps its own time, and they drift apart.",
        fix="Set `time.local_stratum` for one node, and name that node in `time.ntp_servers`.",
        bad="time: {local_stratum: 10}",
        bad_cluster="""
            endpoint: 10.0.0.11:6443
            nodes: [{name: cp1, role: control-plane}, {name: w1, role: worker}]
        """,
        good="time: {ntp_servers: [10.0.0.11]}",
        good_cluster="""
            endpoint: 10.0.0.11:6443
            nodes: [{name: cp1, role: control-plane, settings: {time: {local_stratum: 10}}}, {name: w1, role: worker}]
        """,
    ),
)
"""The rows of this family."""
