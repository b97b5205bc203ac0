"""The network interfaces of this host, and their IPv4 addresses (netdevice(7))."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from dataclasses import dataclass

_ADDRESS, _NETMASK = 0x8915, 0x891B  # SIOCGIFADDR, SIOCGIFNETMASK, linux/sockios.h


@dataclass(frozen=True)
class Interface:
    """An interface with its first IPv4 address and the length of that network's prefix."""

    name: str
    address: str
    prefix: int

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The network of the address."""
        return ipaddress.IPv4Network(f"{self.address}/{self.prefix}", strict=False)


def interfaces() -> list[Interface]:
    """Every interface that has an IPv4 address, except loopback."""
    found = (read(name) for _, name in socket.if_nameindex())
    return [each for each in found if each is not None and not each.address.startswith("127.")]


def read(name: str) -> Interface | None:
    """The interface of this name; None if there is none, or it has no IPv4 address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            address, mask = (_asked(asking, name, what) for what in (_ADDRESS, _NETMASK))
        except OSError:
            return None
    return Interface(name, address, ipaddress.IPv4Network(f"0.0.0.0/{mask}").prefixlen)


def _asked(asking: socket.socket, name: str, what: int) -> str:
    request = struct.pack("256s", name.encode()[:15])
    return socket.inet_ntoa(fcntl.ioctl(asking, what, request)[20:24])
