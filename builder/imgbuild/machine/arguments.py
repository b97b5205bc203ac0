"""QEMU's command line for one machine: pure, so that it can be inspected without starting anything."""

from __future__ import annotations

import json
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.machine.firmware import Ovmf
from imgbuild.machine.spec import SERVED_HOST, Forward, MachineSpec

REPORT_PORT = "org.imgbuild.report.0"
"""The virtio-serial port's name: /dev/virtio-ports/org.imgbuild.report.0 in the guest."""


def qemu_command(
    spec: MachineSpec,
    *,
    overlay: Path,
    ovmf: Ovmf | None,
    qmp_fd: int,
    console_fd: int,
    report_fd: int,
    program: str = "qemu-system-x86_64",
) -> list[str]:
    """The arguments, program first.

    The three descriptors are connected socket pairs, so that there is no socket file that another user could
    open and none to clean up. The machine starts stopped (-S), so that the guest's first byte already has a reader.
    ``ovmf.variables`` is this machine's own copy and is written.

    Raises:
        HostError: the addresses of a card's network do not fit QEMU.
    """
    args = [program, "-nodefaults", "-no-user-config", "-name", "imgbuild", "-S"]
    args += ["-machine", "q35", "-cpu", spec.cpu, "-smp", str(spec.cpus), "-m", str(spec.memory_mib)]
    # One thread for all processors. With one for each, a guest's kernel once panicked where it patches itself
    # (sched_clock_tick, a static key; QEMU 7.2, two processors), most likely because the other one ran half of it.
    # A larger translation buffer than the default: a whole distribution's boot is then not translated twice.
    args += ["-accel", "tcg,thread=single,tb-size=512" if spec.accel == "tcg" else spec.accel]
    # A display device without a display: screendump reads the device's memory.
    args += ["-display", "none", "-device", "VGA"]
    args += ["-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control"]
    args += ["-chardev", f"socket,id=console,fd={console_fd}", "-serial", "chardev:console"]
    args += ["-device", "virtio-serial-pci", "-chardev", f"socket,id=report,fd={report_fd}"]
    args += ["-device", f"virtserialport,chardev=report,name={REPORT_PORT}"]
    args += ["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"]
    if ovmf is None:
        # SeaBIOS prints "No bootable device" only on the screen. With this it resets after 3 s, which is an event.
        args += ["-boot", "reboot-timeout=3000"]
    else:
        args += _blockdev("ovmf-code", ovmf.code, read_only=True)
        args += _blockdev("ovmf-vars", ovmf.variables, read_only=False)
        args += ["-machine", "pflash0=ovmf-code,pflash1=ovmf-vars"]
    args += _disks(spec, overlay)
    args += _network(spec)
    return args


def _network(spec: MachineSpec) -> list[str]:
    """The network cards. No option ROM: the machine must not try the network if its disk does not boot."""
    args = []
    served = ""
    if spec.served is not None:
        # A command for each connection: by itself guestfwd connects only once for all of them.
        served = f",guestfwd=tcp:{SERVED_HOST}:{spec.served}-cmd:busybox nc 127.0.0.1 {spec.served}"
    for number, mac in enumerate(spec.macs):
        restricted = "off" if spec.online else "on"
        forwarded = _forwarded(spec.ssh) if spec.ssh is not None and spec.ssh.card == number else ""
        args += ["-netdev", f"user,id=net{number},restrict={restricted}{served}{forwarded}"]
        args += ["-device", f"virtio-net-pci,netdev=net{number},mac={mac},romfile="]
    if spec.wire is not None:
        ends = {
            "local": {"type": "unix", "path": str(spec.wire.own)},
            "remote": {"type": "unix", "path": str(spec.wire.other)},
        }
        args += ["-netdev", json.dumps({"type": "dgram", "id": "wire", **ends})]
        args += ["-device", f"virtio-net-pci,netdev=wire,mac={spec.wire.mac},romfile="]
    return args


def _forwarded(ssh: Forward) -> str:
    """The options that let the host reach the guest. QEMU's own addresses must be in its network, and not the guest's.

    Raises:
        HostError: the network has no room for them.
    """
    if ssh.address is None:
        return ",hostfwd=tcp:127.0.0.1:0-:22"
    guest, network = ssh.address.ip, ssh.address.network
    free = (ip for ip in network.hosts() if ip not in (guest, ssh.gateway))
    gateway = ssh.gateway if ssh.gateway is not None and ssh.gateway in network else next(free, None)
    name_server, first = next(free, None), next(free, None)
    if gateway is None or name_server is None or first is None or network.prefixlen > 29:
        raise HostError(
            f"the node's network {network} has no room for QEMU's own addresses",
            "pass another node with --node, or boot without --ssh",
        )
    return f",net={network},host={gateway},dns={name_server},dhcpstart={first},hostfwd=tcp:127.0.0.1:0-{guest}:22"


def _disks(spec: MachineSpec, overlay: Path) -> list[str]:
    """The disks in the order the guest sees them: vda the image, the seed, the extra ones, those for data."""
    args = _blockdev("disk", overlay, read_only=False, driver="qcow2")
    args += ["-device", "virtio-blk-pci,drive=disk,bootindex=1"]
    read_only = [("seed", spec.seed)] if spec.seed is not None else []
    read_only += [(f"extra{number}", path) for number, path in enumerate(spec.extra_disks)]
    for name, path in read_only:
        args += _blockdev(name, path, read_only=True)
        args += ["-device", f"virtio-blk-pci,drive={name},serial=imgbuild-{name}"]
    for number, (serial, path) in enumerate(spec.data_disks):
        args += _blockdev(f"data{number}", path, read_only=False)
        args += ["-device", f"virtio-blk-pci,drive=data{number},serial={serial}"]
    return args


def _blockdev(name: str, path: Path, *, read_only: bool, driver: str = "raw") -> list[str]:
    """JSON and not key=value, in which a comma in a path would have to be doubled.

    The overlay's writes do not have to reach the host's disk: it is discarded with the machine.
    """
    node = {
        "node-name": name,
        "driver": driver,
        "read-only": read_only,
        "cache": {"no-flush": not read_only},
        "file": {
            "driver": "file",
            "filename": str(path.resolve()),
            "read-only": read_only,
            "cache": {"no-flush": not read_only},
        },
    }
    return ["-blockdev", json.dumps(node, sort_keys=True)]
