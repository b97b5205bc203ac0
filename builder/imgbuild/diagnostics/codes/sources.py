"""Codes: Base image, repositories and keys."""

# ruff: noqa: E501  (a table)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code("IB430", ERROR, "A base image without a checksum, or no path at all", fix="`base.sha256`"),
    Code("IB431", ERROR, "A checksum without a base image of your own", fix="`base.source`"),
    Code("IB432", WARNING, "A base image for a target that is installed from packages", fix="`base.source: null`"),
    Code("IB433", ERROR, "ELRepo or EPEL for a target that does not use it", fix="Null, or false", lesser=WARNING),
    Code("IB434", ERROR, "An empty list of repositories", fix="Null for the target's own"),
    Code("IB435", WARNING, "A repository or a key stands twice", fix="Take one out"),
    Code("IB436", WARNING, "A time zone that this host does not know", fix="A name of the IANA database"),
    Code(
        "IB437",
        ERROR,
        "A repository in use whose key imgbuild does not ship and no base image has",
        fix="`repositories.keys`, with the key from the address named",
    ),
    Code(
        "IB438",
        ERROR,
        "apt only, rpm does not look at the date. A key of yours has expired (error) or will within 60 days; or the key that imgbuild ships has, or will (warning), so that each installation has to find a newer copy of it",
        fix="A newer copy; [the ways out](../how-to/mirrors.md#an-expired-key)",
        lesser=WARNING,
    ),
    Code("IB439", WARNING, "Keys of a repository that is not in use", fix="Null"),
)
