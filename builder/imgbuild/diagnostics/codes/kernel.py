"""Kernel, boot and firmware."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB240",
        ERROR,
        "This kernel does not have this module",
        why=(
            "Modules are renamed and merged; loading one that is not there fails at each boot. The names are in "
            "profiles/versions/kernel.yaml."
        ),
        fix="Use the name that is given.",
        bad="kernel: {modules: [overlay, br_netfilter, nf_conntrack_ipv4]}",
        good="kernel: {modules: [overlay, br_netfilter, nf_conntrack]}",
    ),
    Code(
        "IB241",
        ERROR,
        "This kernel does not have this sysctl",
        why="A removed sysctl fails at each boot. The names are in profiles/versions/kernel.yaml.",
        fix="Use the name that is given, or remove it.",
        bad="kernel: {sysctl: {net.ipv4.tcp_tw_recycle: 1}}",
        good="kernel: {sysctl: {net.ipv4.tcp_tw_recycle: null}}",
    ),
    Code(
        "IB301",
        ERROR,
        "The target has no such kernel",
        why="Each target lists the kernels that its repositories have.",
        fix="Use one of those that are named.",
        bad="kernel: {flavour: kernel-mll}",
        good="kernel: {flavour: kernel-ml}",
    ),
    Code(
        "IB302",
        WARNING,
        "The pinned kernel is not the newest known one",
        why="Repositories drop old kernels, and a newer one was not tried.",
        fix="Set `kernel.version: null`.",
        bad="kernel: {version: 6.9.6}",
        good="kernel: {version: 6.9.7}",
    ),
    Code(
        "IB303",
        ERROR,
        "cgroup v2 on a systemd without it",
        why="systemd knows the unified hierarchy from 226 on; CentOS 7 has 219.",
        fix="Set `kernel.cgroup: auto`.",
        bad="kernel: {cgroup: v2}",
        good="""
            extends: centos8-efi
            kernel: {cgroup: v2}
        """,
    ),
    Code(
        "IB304",
        ERROR,
        "cgroup v1 with a kernel without its cpuset controller",
        why="kernel-ml is built without CONFIG_CPUSETS_V1 from 6.12 on (elrepo/kernel).",
        fix="Set `kernel.cgroup: v2`, or use another kernel.",
        bad="""
            extends: centos8-efi
            kernel: {cgroup: v1}
            kubernetes: {cgroup_v1: accept}
        """,
        good="""
            extends: centos8-efi
            kernel: {cgroup: v2}
        """,
    ),
    Code(
        "IB305",
        ERROR,
        "Secure Boot with an unsigned kernel",
        why="ELRepo does not sign its kernels for shim, and the firmware refuses them.",
        fix="Use the distribution's kernel, or sign it and enrol the key with `mokutil --import`.",
        bad="kernel: {secure_boot: true}",
        good="""
            extends: debian12-efi
            kernel: {secure_boot: true}
        """,
    ),
    Code(
        "IB306",
        ERROR,
        "Secure Boot on BIOS firmware",
        why="Secure Boot is a feature of UEFI.",
        fix="Set `firmware: efi`.",
        bad="""
            extends: debian12-bios
            kernel: {secure_boot: true}
        """,
        good="""
            extends: debian12-efi
            kernel: {secure_boot: true}
        """,
    ),
    Code(
        "IB307",
        ERROR,
        "One sysctl under two spellings",
        why="`net/ipv4/ip_forward` and `net.ipv4.ip_forward` are one, and which value wins depends on the order.",
        fix="Keep one of them.",
        bad="kernel: {sysctl: {net/ipv4/ip_forward: 1}}",
        good="kernel: {sysctl: {net.ipv4.ip_forward: 1}}",
    ),
    Code(
        "IB308",
        ERROR,
        "An rp_filter sysctl conflicts with `network.rp_filter`",
        why="The kernel uses the larger of `all` and the interface's own value, so both must agree (ip-sysctl.rst).",
        fix="Set `network.rp_filter` alone.",
        bad="kernel: {sysctl: {net.ipv4.conf.all.rp_filter: 1}}",
        good="network: {rp_filter: 1}",
    ),
    Code(
        "IB309",
        ERROR,
        "A sysctl without the module that makes it exist",
        why="`net.bridge`, `net.netfilter.nf_conntrack` and `net.ipv4.vs` exist only once their module is loaded.",
        fix="Add that module to `kernel.modules`.",
        bad="kernel: {modules: [overlay]}",
        good="kernel: {modules: [overlay, br_netfilter]}",
    ),
    Code(
        "IB310",
        ERROR,
        "A kernel argument that imgbuild or the boot loader sets",
        why="The kernel would get it twice, and may use another value than the rest of the node.",
        fix="Use the key that is named.",
        bad="kernel: {arguments: [net.ifnames=1]}",
        good="kernel: {arguments: [quiet]}",
    ),
    Code(
        "IB311",
        WARNING,
        "A kernel argument is given twice",
        why="For most arguments the last one wins; for consoles both count.",
        fix="Remove one of them.",
        bad="kernel: {arguments: [quiet, quiet]}",
        good="kernel: {arguments: [quiet]}",
    ),
    Code(
        "IB312",
        ERROR,
        "SELinux on a target without it",
        why="Debian's images have no SELinux policy.",
        fix="Set `selinux.mode: null`.",
        bad="""
            extends: debian12-efi
            selinux: {mode: permissive}
        """,
        good="selinux: {mode: permissive}",
    ),
    Code(
        "IB313",
        ERROR,
        "The disk leaves no room for a node",
        why="Packages, kernel, containerd and images need about 1.5 GiB beside the EFI system partition.",
        fix="Set `image.size_mib: 4096`.",
        bad="image: {size_mib: 1024}",
        good="image: {size_mib: 4096}",
    ),
    Code(
        "IB314",
        WARNING,
        "The module overlay is not loaded at boot",
        why="containerd's overlayfs snapshotter needs it, and checks for it when it starts.",
        fix="Add it to `kernel.modules`.",
        bad="kernel: {modules: [br_netfilter]}",
        good="kernel: {modules: [br_netfilter, overlay]}",
    ),
    Code(
        "IB315",
        ERROR,
        "A duplicate format of the disk image",
        why="There is one file for each format.",
        fix="Remove one of them.",
        bad="image: {formats: [qcow2, ova, qcow2]}",
        good="image: {formats: [qcow2, ova]}",
    ),
    Code(
        "IB316",
        WARNING,
        "A setting of the disk image, but no disk image",
        why="In mode stock, nodes boot the distribution's own cloud image.",
        fix="Remove it, or set `mode: baked`.",
        bad="""
            extends: debian12-efi
            mode: stock
            image: {formats: [ova]}
        """,
        good="""
            extends: debian12-efi
            mode: baked
            image: {formats: [ova]}
        """,
    ),
    Code(
        "IB317",
        ERROR,
        "A sysctl is a number, not a word",
        why="The kernel refuses the word at each boot, and the setting keeps its default.",
        fix="Write 1 or 0.",
        bad="kernel: {sysctl: {net.ipv4.tcp_timestamps: on}}",
        good="kernel: {sysctl: {net.ipv4.tcp_timestamps: 1}}",
    ),
)
"""The rows of this family."""
