"""Where a node has its time from, and to whom it gives it."""

from __future__ import annotations

from imgbuild.checks.context import Context


def check(context: Context) -> None:
    """All findings about ``time``."""
    time = context.profile.time
    if not time.ntp_servers and time.local_stratum is None:
        context.report(
            "IB541", ("time", "ntp_servers"), "this node has no source of time: clocks drift apart, and certificates "
            "and tokens are refused",
            "name a time server; at a site without one, the node that has time.local_stratum",
        )  # fmt: skip
    if time.local_stratum is not None and len(context.nodes) > 1:
        context.report(
            "IB542", ("time", "local_stratum"),
            f"{len(context.nodes)} nodes would each serve their own clock when no time server answers, and drift apart",
            "set it for one node, below nodes[].settings in the cluster file, and name that node in time.ntp_servers",
        )  # fmt: skip
