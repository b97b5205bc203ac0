"""Reports of nodes."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR

CODES = (
    Code(
        "IB870",
        ERROR,
        "A node would report to itself",
        why="localhost is the node, not the host that serves.",
        fix="Write the server's address as the nodes see it.",
        bad="report: {url: 'http://127.0.0.1:8080/report'}",
        good="report: {url: 'http://10.0.0.2:8080/report'}",
    ),
    Code(
        "IB871",
        ERROR,
        "cloud-init's phone_home has no address",
        why="`report.phone_home` calls the address of `report.url`.",
        fix="Set `report.url` too.",
        bad="report: {phone_home: true}",
        good="report: {url: 'http://10.0.0.2:8080/report', phone_home: true}",
    ),
)
"""The rows of this family."""
