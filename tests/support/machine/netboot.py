"""A network of a test's own, with dnsmasq and a web server in it, and machines that boot over it.

Real: QEMU, its iPXE and OVMF's own network stack, dnsmasq. Everything is in a network namespace that ends with the
test: a bridge, a tap for each card, no way out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from imgbuild.config.fields import Firmware
from tests.support.deadline import Deadline

SERVER = "10.77.0.1"
FOREIGN = "10.77.0.3"
"""The address of somebody else's DHCP server, where there is one."""
CLIENT = "10.77.0.20"
"""A machine's static address."""
TAPS = 4
_NETWORK = f"""
set -eu
ip link set lo up
ip link add br0 type bridge forward_delay 0
ip addr add {SERVER}/24 dev br0
ip addr add {FOREIGN}/24 dev br0
ip addr add fd00::1/64 dev br0 nodad
ip link set br0 up
for n in $(seq 0 {TAPS - 1}); do
    ip tuntap add "tap$n" mode tap
    ip link set "tap$n" master br0 up
done
echo ready
exec sleep infinity
"""


def missing() -> str:
    """Why no machine can boot over a network here; empty if one can."""
    for tool in ("qemu-system-x86_64", "dnsmasq", "ip", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    return "" if Path("/dev/net/tun").exists() and Path("/usr/lib/ipxe/snponly.efi").exists() else "needs tun and ipxe"


@dataclass
class Network:
    """The namespace: ``holder`` is the process whose it is."""

    holder: subprocess.Popen[bytes]
    folder: Path
    interface: str = "br0"
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def inside(self, argv: Sequence[str | Path]) -> list[str]:
        """The command in this network."""
        return ["nsenter", "--net", f"--target={self.holder.pid}", "--", *map(str, argv)]

    def start(self, name: str, argv: Sequence[str | Path]) -> Path:
        """Start a server; its output is in the file that this gives."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            self.started.append(
                subprocess.Popen(self.inside(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            )
        return log

    def dnsmasq(self, name: str, config: str) -> Path:
        """Start dnsmasq with this configuration, which is one of those in pxe/dhcp."""
        path = self.folder / f"{name}.conf"
        path.write_text(config)
        argv: list[str | Path] = [
            "dnsmasq",
            "--keep-in-foreground",
            "--log-facility=-",
            "--log-dhcp",
            f"--conf-file={path}",
        ]
        argv += [
            f"--interface={self.interface}",
            "--bind-interfaces",
            "--user=root",
            f"--pid-file={self.folder}/{name}.pid",
        ]
        return self.start(name, [*argv, f"--dhcp-leasefile={self.folder}/{name}.leases"])

    def other_host(self, address: str) -> Network:
        """Another host in this network, for servers that cannot be on one with ours."""
        script = "ip link set lo up && echo ready && exec sleep infinity"
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
        self.started.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n", "no network namespace"
        made = Network(holder, self.folder, "eth0", self.started)
        lines = (
            (self, f"ip link add other type veth peer name eth0 netns {holder.pid}"),
            (self, "ip link set other master br0 up"),
            (made, f"ip addr add {address}/24 dev eth0"),
            (made, "ip link set eth0 up"),
        )
        for place, line in lines:
            subprocess.run(place.inside(line.split()), check=True)
        return made

    def serve(self, folder: Path) -> Path:
        """Serve a folder on port 80; gives the log of requests."""
        argv: list[str | Path] = [
            sys.executable,
            "-u",
            "-m",
            "http.server",
            "--bind",
            SERVER,
            "--directory",
            folder,
            "80",
        ]
        return self.start("http", argv)


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """A network whose servers end with the block."""
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", _NETWORK], stdout=subprocess.PIPE)
    made = Network(holder, folder)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n", "no network namespace"
        yield made
    finally:
        for process in [*made.started, holder]:
            process.kill()
            process.wait()


Way = Literal["rom", "firmware", "http"]
"""How a machine starts: QEMU's iPXE in the card's ROM, the firmware's own PXE, its own HTTP boot."""


@dataclass(frozen=True)
class Disk:
    """A raw file as a disk with this serial number; without one as a CD."""

    file: Path
    serial: str | None = None

    @property
    def drive(self) -> str:
        return "media=cdrom,readonly=on" if self.serial is None else "cache=none,discard=unmap"

    @property
    def device(self) -> str:
        return "ide-cd" if self.serial is None else f"virtio-blk-pci,serial={self.serial}"


@dataclass(frozen=True)
class NetMachine:
    """A machine. ``macs``: its cards; it boots from the one numbered ``card``, None: from none.

    It boots from its ``disks`` in their order, after that card. Unless it ``restarts``, it ends with its first boot.
    """

    firmware: Firmware
    macs: Sequence[str]
    way: Way = "rom"
    card: int | None = 0
    disks: Sequence[Disk] = ()
    restarts: bool = False
    memory_mib: int = 2048
    more: Sequence[str] = ()
    code: Path = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
    variables: Path = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

    def command(self, folder: Path) -> list[str]:
        """QEMU's command line; the report of the guest goes into ``folder``/report.jsonl."""
        argv = [
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-user-config",
            "-machine",
            "q35,graphics=off",
            "-cpu",
            "qemu64",
        ]
        argv += ["-accel", "tcg,thread=single,tb-size=512", "-smp", "2", "-m", str(self.memory_mib)]
        argv += [] if self.restarts else ["-no-reboot"]
        argv += ["-display", "none", "-serial", "stdio", "-device", "virtio-serial-pci"]
        argv += ["-chardev", f"file,id=report,path={folder}/report.jsonl"]
        argv += ["-device", "virtserialport,chardev=report,name=org.imgbuild.report.0"]
        argv += ["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"]
        if "secboot" in self.code.name:
            argv += ["-machine", "smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"]
        if self.firmware == "efi":
            variables = folder / "vars.fd"
            shutil.copy(self.variables, variables)
            argv += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={self.code}"]
            argv += ["-drive", f"if=pflash,format=raw,unit=1,file={variables}"]
        if self.way == "http":
            for name in ("IPv4PXESupport", "IPv6PXESupport"):
                argv += ["-fw_cfg", f"name=opt/org.tianocore/{name},string=n"]
        rom = "" if self.way == "rom" else ",romfile="
        for number, mac in enumerate(self.macs):
            first = ",bootindex=0" if number == self.card else ""
            argv += ["-netdev", f"tap,id=n{number},ifname=tap{number},script=no,downscript=no"]
            argv += ["-device", f"virtio-net-pci,netdev=n{number},mac={mac}{first}{rom}"]
        for number, disk in enumerate(self.disks, start=1):
            argv += ["-drive", f"if=none,id=d{number},format=raw,file={disk.file},{disk.drive}"]
            argv += ["-device", f"{disk.device},drive=d{number},bootindex={number}"]
        return [*argv, *self.more]


def boot(
    net: Network,
    machine: NetMachine,
    folder: Path,
    until: Sequence[str],
    seconds: float,
    watch: Callable[[], bool] = lambda: True,
    cut: int | None = None,
) -> str:
    """Run the machine until its console or report has each of ``until``, or it ends, or the limit; gives both.

    ``watch`` is called all the time, and has to be true as well at the end. ``cut``: the power fails once this many
    bytes have been written to the machine's disks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    console, report = folder / "console.log", folder / "report.jsonl"

    def said() -> str:
        return "".join(path.read_bytes().decode(errors="replace") for path in (console, report) if path.exists())

    with console.open("wb") as out:
        run = subprocess.Popen(
            net.inside(machine.command(folder)), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    deadline = Deadline(seconds)
    try:
        while run.poll() is None and not deadline.passed():
            if watch() and all(text in said() for text in until):
                break
            if cut is not None and _written(run.pid) >= cut:
                break
            time.sleep(0.5 if cut is None else 0.05)
    finally:
        run.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(30)
    return said()


def _written(pid: int) -> int:
    """Bytes that a process has written to this host's disks (proc_pid_io(5))."""
    try:
        rows = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    except OSError:  # it has ended
        return 0
    return next(int(row.split()[1]) for row in rows if row.startswith("write_bytes:"))


def ways(mac: str) -> dict[str, NetMachine]:
    """A machine for each way to the first program, by its name in tests."""
    return {
        "bios-rom": NetMachine("bios", [mac]),
        "efi-rom": NetMachine("efi", [mac]),
        "efi-tftp-snponly": NetMachine("efi", [mac], "firmware"),
        "efi-http": NetMachine("efi", [mac], "http"),
    }


MARKS = (
    pytest.mark.boot,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
)
"""Of every test that boots machines over the network."""
