"""dnsmasq for DHCP and TFTP: its configuration, and the process, which never outlives serve.

What the options do was tried with iPXE, OVMF and SeaBIOS: docs/how-to/serve.md. DNS is off (port=0).
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError

LOADERS = ("undionly.kpxe", "snponly.efi", "ipxe.efi")
"""iPXE for BIOS and for EFI, as the Debian package ipxe names them."""
HINT = "end that server, run it as root, or serve HTTP only: without --dhcp and --proxy-dhcp"
_IPXE = Path("/usr/lib/ipxe")
_EFI = (7, 9)
"""Client architectures of x86-64 EFI (RFC 4578, and what firmwares send); 16 is its HTTP boot, 0 is BIOS."""

# dnsmasq drops its rights and with them a parent-death signal (prctl(2)). So a shell waits for the end of its standard
# input, which the kernel closes however serve ends, and ends dnsmasq then.
_SUPERVISOR = """\
exec 3<&0
"$@" </dev/null &
server=$!
( cat <&3 >/dev/null; kill "$server" 2>/dev/null ) &
code=0
wait "$server" || code=$?
exit "$code"
"""


@dataclass(frozen=True)
class Network:
    """What DHCP is asked for. ``range``: first and last address for our own DHCP; None beside another server."""

    interface: str
    address: str
    prefix: int
    range: tuple[str, str] | None


def configuration(network: Network, url: str, loaders: Path, leases: Path) -> str:
    """dnsmasq.conf. ``url`` is where pxe/ is, with a slash at the end."""
    lines = [
        "port=0",
        f"interface={network.interface}",
        "except-interface=lo",
        "bind-interfaces",
        "enable-tftp",
        f"tftp-root={loaders}",
        f"dhcp-leasefile={leases}",
        "log-dhcp",
        "dhcp-match=set:ipxe,175",
        *(f"dhcp-match=set:efi,option:client-arch,{number}" for number in _EFI),
        "dhcp-vendorclass=set:http,HTTPClient:Arch:00016",
    ]
    script = f"{url}boot.ipxe"
    if network.range is not None:
        first, last = network.range
        mask = ipaddress.ip_network(f"0.0.0.0/{network.prefix}").netmask
        lines += [
            f"dhcp-range={first},{last},{mask},12h",
            # Without a router advertisement iPXE waits 13 s for IPv6. This one announces no router.
            "enable-ra",
            f"ra-param={network.interface},10,0",
            "dhcp-range=fd00::,ra-stateless",
            "dhcp-option-force=tag:http,60,HTTPClient",
            f"dhcp-boot=tag:http,tag:!ipxe,{url}snponly.efi",
            "dhcp-boot=tag:efi,tag:!ipxe,snponly.efi",
            "dhcp-boot=tag:!efi,tag:!http,tag:!ipxe,undionly.kpxe",
            f"dhcp-boot=tag:ipxe,{script}",
        ]
    else:
        lines.append(f"dhcp-range={network.address},proxy")
        for name, loader in (("x86PC", "undionly.kpxe"), ("X86-64_EFI", "snponly.efi"), ("BC_EFI", "snponly.efi")):
            lines.append(f'pxe-service=tag:!ipxe,{name},"iPXE",{loader}')
            lines.append(f'pxe-service=tag:ipxe,{name},"imgbuild",{script}')
    return "\n".join(lines) + "\n"


def in_use(network: Network) -> str | None:
    """Which of dnsmasq's ports another server has; None if they are free.

    dnsmasq itself would share them (SO_REUSEADDR), and machines would get answers from both.
    """
    for port, name in ((67, "DHCP"), (69, "TFTP")):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trying:
            try:
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, network.interface.encode())
                trying.bind(("", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    return f"cannot use port {port} ({name}): {error.strerror}"
                return f"another server uses port {port} ({name}) on {network.interface}"
    return None


def find() -> str | None:
    """dnsmasq on this host, also where a plain user's PATH does not look."""
    return shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin:/sbin")


def copy_loaders(into: Path, grub: str, own: Path = _IPXE) -> list[str]:
    """Fill the folder that TFTP serves with iPXE and GRUB's first file; return the names that this host lacks."""
    into.chmod(0o755)  # dnsmasq reads it as its own user
    missing = []
    for name in LOADERS:
        try:
            shutil.copyfile(own / name, into / name)
            (into / name).chmod(0o644)
        except OSError:
            missing.append(name)
    (into / "grub").mkdir(mode=0o755)
    (into / "grub" / "grub.cfg").write_text(grub)
    return missing


class Dnsmasq:
    """The process. ``tell`` gets a line when it ends by itself; its own lines about machines go to ``log``."""

    def __init__(self, program: str, config: Path, tell: Callable[[str], None], log: Callable[[str], None]) -> None:
        self._program, self._config, self._tell, self._log = program, config, tell, log
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._last: list[str] = []
        self.ended = asyncio.Event()

    async def start(self) -> None:
        """Start it, and see that it stays for half a second: a wrong interface or a port in use ends it at once.

        Raises:
            HostError: it ended.
        """
        call: Sequence[str] = (
            "sh", "-c", _SUPERVISOR, "sh", self._program, "--keep-in-foreground", "--log-facility=-",
            f"--conf-file={self._config}", "--pid-file",
        )  # fmt: skip
        self._process = await asyncio.create_subprocess_exec(
            *call, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self._reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait_for(self.ended.wait(), 0.5)
        except TimeoutError:
            return
        text = self._last[-1] if self._last else f"exit code {self._process.returncode}"
        raise HostError(f"dnsmasq does not start: {text}", HINT)

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101 - just started so
        async for line in self._process.stdout:
            text = line.decode(errors="replace").strip()
            self._last = [*self._last[-4:], text]
            self._log(text)
        await self._process.wait()
        self.ended.set()

    async def stop(self) -> None:
        """End it, and wait until it has ended."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self.ended.wait(), 5)
        except TimeoutError:
            self._tell("dnsmasq does not end")
