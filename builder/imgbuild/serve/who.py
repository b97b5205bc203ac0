"""Which machine has an address: by the leases of our own DHCP server, and by this host's neighbour table.

Neither proves anything against somebody in the same segment, who can send with any MAC (docs/how-to/serve.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}")
_ARP = Path("/proc/net/arp")
_COMPLETE = 0x2  # ATF_COM, linux/if_arp.h


def read_mac(text: str) -> str | None:
    """A MAC as boot.json has it (lower case, colons) from either form; None if it is not one."""
    text = text.lower()
    return text.replace("-", ":") if _MAC.fullmatch(text) else None


@dataclass(frozen=True)
class Holder:
    """Who has an address: ``mac``, or None with the ``problem`` that prevents an answer."""

    mac: str | None
    problem: str = ""


class Who(Protocol):
    """Tells who has an address."""

    def holder(self, address: str) -> Holder: ...


@dataclass
class Neighbours:
    """The real one. ``leases`` is the lease file of our own DHCP server, None beside somebody else's."""

    leases: Path | None
    arp: Path = _ARP
    _seen: tuple[int, int] = (0, 0)
    _leased: dict[str, str] = field(default_factory=dict)

    def holder(self, address: str) -> Holder:
        """Who has ``address``; if a lease and the neighbour table disagree, nobody."""
        leased, near = self._lease(address), self._neighbour(address)
        if leased and near and leased != near:
            return Holder(None, f"{address} is leased to {leased}, but {near} uses it")
        found = leased or near
        if found is None:
            return Holder(None, f"{address} has no lease here and is not in this segment")
        return Holder(found)

    def _lease(self, address: str) -> str | None:
        """dnsmasq's lease file: expiry, MAC, address, name, client id (lease.c of dnsmasq 2.90)."""
        if self.leases is None:
            return None
        try:
            there = self.leases.stat()
            if (there.st_mtime_ns, there.st_size) != self._seen:
                words = (line.split() for line in self.leases.read_text(errors="replace").splitlines())
                self._leased = {row[2]: mac for row in words if len(row) >= 4 and (mac := read_mac(row[1]))}
                self._seen = there.st_mtime_ns, there.st_size
        except OSError:
            return None
        return self._leased.get(address)

    def _neighbour(self, address: str) -> str | None:
        """proc(5), /proc/net/arp: address, type, flags, MAC, mask, device. A machine that has just sent us a request
        has an entry there, unless it is behind a router.
        """
        try:
            lines = self.arp.read_text().splitlines()[1:]
        except OSError:
            return None
        for line in lines:
            row = line.split()
            if len(row) >= 6 and row[0] == address and int(row[2], 16) & _COMPLETE:
                return read_mac(row[3])
        return None
