"""What one machine is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Literal

from imgbuild.config.fields import Firmware
from imgbuild.diagnostics.errors import HostError

Accelerator = Literal["tcg", "kvm"]

SERVED_HOST = "10.0.2.100"
"""An address of QEMU's own network that is otherwise unused."""
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)


@dataclass(frozen=True)
class Wire:
    """A cable between two machines: a network card whose frames go only to the other's socket.

    ``own`` and ``other`` are paths of Unix datagram sockets, at most 107 bytes (unix(7)); QEMU makes ``own``. Frames
    to a machine that is off are lost, as on a real cable (QEMU 7.2 and later: -netdev dgram).
    """

    mac: str
    own: Path
    other: Path


@dataclass(frozen=True)
class Forward:
    """A TCP port of the host's 127.0.0.1, which the kernel chooses, that leads to the guest's port 22.

    ``card`` is the number of the network card. QEMU's network there becomes the one of the guest's static ``address``,
    with QEMU as its ``gateway``; None: QEMU's own network, with DHCP.
    """

    card: int = 0
    address: IPv4Interface | None = None
    gateway: IPv4Address | None = None


@dataclass(frozen=True)
class MachineSpec:
    """One virtual machine.

    ``disk`` is an image that QEMU reads with the block driver ``driver``. It is never written: the guest writes to an
    overlay that is discarded or, if ``overlay`` names a file, kept there: the next machine with it continues from that
    disk, as after a power failure. The firmware's variables are always fresh ones.
    ``disk_size_gib`` is what the guest sees, larger than the image so that its growth can be checked.
    ``extra_disks`` are raw files, read-only to the guest. ``data_disks`` are raw files that the guest writes to, each
    with its serial number. Each of ``macs`` is one network card; the network
    is QEMU's own (``restrict=on``): DHCP answers, nothing leaves, nothing on the host listens. ``wire`` comes after
    them, for another machine. ``served`` is a port of the host's loopback interface that guests reach as SERVED_HOST,
    the same port. ``ssh`` is the only thing on the host that listens. ``online``: the guest reaches the host's network.

    ``accel`` is emulation by default: there are hosts whose ``/dev/kvm`` opens and then hangs the
    guest's kernel before its first line, and QEMU would choose it there. ``cpu`` qemu64 is the cheapest to
    emulate; EL 9 and later need x86-64-v2 ("Nehalem").
    """

    firmware: Firmware
    disk: Path
    seed: Path | None = None
    extra_disks: tuple[Path, ...] = ()
    data_disks: tuple[tuple[str, Path], ...] = ()
    disk_size_gib: int = 10
    memory_mib: int = 2048
    cpus: int = 2
    cpu: str = "qemu64"
    macs: tuple[str, ...] = ("52:54:00:00:00:01",)
    wire: Wire | None = None
    served: int | None = None
    accel: Accelerator = "tcg"
    overlay: Path | None = None
    driver: str = "qcow2"
    ssh: Forward | None = None
    online: bool = False

    def __post_init__(self) -> None:
        for mac in (*self.macs, *([self.wire.mac] if self.wire else [])):
            if not _MAC.fullmatch(mac):
                raise ValueError(f"{mac!r} is not a MAC address")
        if self.memory_mib < 64 or self.cpus < 1 or self.disk_size_gib < 1:
            raise ValueError("a machine needs 64 MiB of memory, one processor and 1 GiB of disk at least")

    def files(self) -> Iterator[tuple[str, Path]]:
        """Each of the host's files that the machine reads, with its purpose."""
        yield "disk image", self.disk
        if self.seed is not None:
            yield "seed", self.seed
        for path in self.extra_disks:
            yield "extra disk", path
        for _, path in self.data_disks:
            yield "data disk", path

    def require_files(self) -> None:
        """Check that all files can be read.

        Raises:
            HostError: one is missing or cannot be read.
        """
        for what, path in self.files():
            try:
                with path.open("rb"):
                    pass
            except OSError as error:
                raise HostError(
                    f"cannot read the {what} {path}: {error.strerror}", "build the image first, or use another one"
                ) from None
