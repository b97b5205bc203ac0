"""Booting over the network."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING
INFO = Severity.INFO

CODES = (
    Code(
        "IB801",
        WARNING,
        "A node without a MAC has no PXE files",
        why=(
            "A machine that is not listed must not get the cluster's keys, and several nodes "
            "without a MAC cannot be distinguished."
        ),
        fix="Set `mac` in the cluster file.",
        bad_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane}
              - {name: w1, role: worker}
        """,
        good_cluster="""
            endpoint: api.lan:6443
            nodes:
              - {name: cp1, role: control-plane, mac: '52:54:00:00:00:01'}
              - {name: w1, role: worker, mac: '52:54:00:00:00:02'}
        """,
        rendered=True,
    ),
    Code(
        "IB802",
        INFO,
        "A static network is on the kernel's command line",
        why="cloud-init needs it before it can fetch a seed over the network.",
        fix="Nothing to do: the seed ISO carries it as a file.",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
        good_cluster="""
            nodes:
              - {name: cp1, role: control-plane, mac: '52:54:00:00:00:01'}
        """,
        rendered=True,
    ),
    Code(
        "IB803",
        WARNING,
        "The initramfs cannot set this static network up",
        why="It makes no bond and no VLAN, so the network comes up later, by cloud-init.",
        fix="Boot over an interface with an address of its own, or from a disk image with a seed ISO.",
        bad="extends: debian12-efi",
        good="extends: debian12-efi",
        bad_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces:
                    - {name: eth1, mac: '52:54:00:00:00:02'}
                    - {name: eth2, mac: '52:54:00:00:00:03'}
                  bonds: [{name: bond0, interfaces: [eth1, eth2], addresses: [10.9.0.1/24], gateway: 10.9.0.254}]
        """,
        good_cluster="""
            nodes:
              - name: cp1
                role: control-plane
                network:
                  dns: [1.1.1.1]
                  interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]
        """,
        rendered=True,
    ),
    Code(
        "IB804",
        WARNING,
        "A kernel command line of over 2047 characters",
        why="x86 kernels cut it there (COMMAND_LINE_SIZE), and cloud-init reads a broken network configuration.",
        fix="Use fewer addresses and routes for the first boot, or a seed ISO.",
        setup="A node with 250 routes.",
    ),
    Code(
        "IB805",
        ERROR,
        "`pxe.url` is not http",
        why="iPXE and the initramfs fetch over http; a file on this machine is not on the node.",
        fix="Use the address where pxe/ will be served.",
        bad="pxe: {url: 'file:///srv/pxe'}",
        good="""
            extends: debian12-efi
            pxe: {url: 'http://10.0.0.1/pxe', live: true}
        """,
    ),
    Code(
        "IB850",
        ERROR,
        "A live root in stock mode",
        why="A live root is made of the disk image's root file system, and stock mode builds none.",
        fix="Use `mode: baked`, or `pxe.live: false`.",
        bad="""
            extends: debian12-efi
            mode: stock
            pxe: {live: true}
        """,
        good="""
            extends: debian12-efi
            pxe: {live: true}
        """,
    ),
    Code(
        "IB851",
        WARNING,
        "A diskless node whose root takes 512 MiB",
        why=(
            "dracut 033 of CentOS 7 writes to a snapshot of 512 MiB, whatever the memory; when it is full, every write to "
            "the root file system fails. containerd, kubelet, etcd and the logs of pods are elsewhere."
        ),
        fix="Install to disk (`pxe.boot: install`), or keep what else writes to `/` and `/var/log` small.",
        bad="""
            extends: centos7-efi
            pxe: {live: true}
        """,
        good="""
            extends: centos8-efi
            pxe: {live: true}
        """,
        also=("IB855",),
    ),
    Code(
        "IB852",
        WARNING,
        "PXE files without a root file system",
        why="Kernel and initramfs alone find none over the network, so no machine becomes a node.",
        fix="Set `pxe.live: true`, and build the image.",
        bad="""
            extends: debian12-efi
            pxe: {url: 'http://10.0.0.1/pxe'}
        """,
        good="""
            extends: debian12-efi
            pxe: {url: 'http://10.0.0.1/pxe', live: true}
        """,
    ),
    Code(
        "IB853",
        ERROR,
        "A live root over https, which this initramfs cannot fetch",
        why="live-boot fetches with busybox, which checks no certificate; a server that asks for https gets no such request.",
        fix="Use an http address.",
        bad="""
            extends: debian12-efi
            pxe: {url: 'https://pxe.example.com/', live: true}
        """,
        good="""
            extends: debian12-efi
            pxe: {url: 'http://pxe.example.com/', live: true}
        """,
    ),
    Code(
        "IB854",
        WARNING,
        "Secure Boot over the network, for which pxe/ has no boot loader",
        why=(
            "Firmware with Secure Boot starts neither iPXE nor a GRUB of your own. The distribution's shim and its "
            "signed GRUB for networks start the distribution's kernel."
        ),
        fix=(
            "Serve shim and the signed GRUB beside pxe/grub/: docs/how-to/pxe.md has the files. Or boot from a disk "
            "image with a seed ISO."
        ),
        bad="""
            extends: debian12-efi
            kernel: {secure_boot: true}
            pxe: {live: true}
        """,
        good="""
            extends: debian12-efi
            kernel: {secure_boot: false}
            pxe: {live: true}
        """,
    ),
    Code(
        "IB855",
        INFO,
        "A diskless node with another machine id at each boot",
        why="systemd before 229 takes no systemd.machine_id= from the kernel's command line. DHCP and logs see a new machine.",
        fix="Nothing to do for Kubernetes; have the DHCP server go by the MAC.",
        bad="""
            extends: centos7-efi
            pxe: {live: true}
        """,
        good="""
            extends: centos8-efi
            pxe: {live: true}
        """,
        also=("IB851",),
    ),
)
"""The rows of this family."""
