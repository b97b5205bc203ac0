"""Codes: Booting over the network."""

# ruff: noqa: E501  (a table)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code(
        "IB801",
        WARNING,
        "No PXE files for a node without a MAC: a machine that nobody listed must not get the cluster's keys; or several nodes have none",
        fix="`mac:` in the cluster file",
    ),
    Code(
        "IB802",
        INFO,
        "A static network goes over the kernel's command line: this cloud-init cannot fetch it",
        fix="Nothing to do",
    ),
    Code(
        "IB803",
        WARNING,
        "The initramfs cannot set this static network up",
        fix="An interface with an address of its own, or a seed ISO",
    ),
    Code(
        "IB804", WARNING, "A kernel command line over 2047 characters", fix="Fewer addresses and routes, or a seed ISO"
    ),
    Code("IB805", ERROR, "`pxe.url` is not http", fix="The address where pxe/ will be served"),
)
