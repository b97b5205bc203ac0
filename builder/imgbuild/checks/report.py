"""`report`: whether a node can reach the server that it reports to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from imgbuild.checks.context import Context


def check(context: Context) -> None:
    """IB870, IB871."""
    report = context.profile.report
    if report.url is None:
        if report.phone_home:
            text = "cloud-init would call nobody: there is no address"
            context.report("IB871", ("report", "phone_home"), text, "set report.url too")
        return
    host = urlsplit(report.url).hostname or ""
    if _is_own(host):
        context.report(
            "IB870", ("report", "url"), f"{host} is the node itself: its reports would reach nobody",
            "write the server's address as the nodes see it",
        )  # fmt: skip


def _is_own(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
