"""Codes: Kernel, boot and firmware."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code("IB301", ERROR, "The target has no such kernel", fix="One of those named"),
    Code(
        "IB302",
        WARNING,
        "The pinned kernel is older or newer than the newest known; repositories drop old ones",
        fix="`kernel.version: null`",
    ),
    Code("IB303", ERROR, "cgroup v2 on a systemd that has none (CentOS 7)", fix="`kernel.cgroup: auto`"),
    Code(
        "IB304",
        ERROR,
        "cgroup v1 with a kernel that has no v1 cpuset (kernel-ml from 6.12 on)",
        fix="`kernel.cgroup: v2`, or another kernel",
    ),
    Code(
        "IB305",
        ERROR,
        "Secure Boot with a kernel that nobody signed",
        fix="The distribution's kernel; or sign it and enrol the key with `mokutil --import`",
    ),
    Code("IB306", ERROR, "Secure Boot on BIOS firmware", fix="`firmware: efi`"),
    Code("IB307", ERROR, "One sysctl under two spellings (dots and slashes)", fix="Keep one"),
    Code("IB308", ERROR, "An rp_filter sysctl against `network.rp_filter`", fix="`network.rp_filter` alone"),
    Code(
        "IB309",
        ERROR,
        "A sysctl without the module that makes it exist: `net.bridge`, `net.netfilter.nf_conntrack`, `net.ipv4.vs`",
        fix="That module in `kernel.modules`",
    ),
    Code("IB310", ERROR, "A kernel argument that imgbuild or the boot loader sets", fix="The key that is named"),
    Code("IB311", WARNING, "A kernel argument stands twice", fix="Take one out"),
    Code("IB312", ERROR, "SELinux on a target without it", fix="`selinux.mode: null`"),
    Code("IB313", ERROR, "The disk leaves no room for a node beside the ESP", fix="`image.size_mib: 4096`"),
    Code("IB314", WARNING, "The module overlay is not loaded at boot", fix="Add it to `kernel.modules`"),
)
