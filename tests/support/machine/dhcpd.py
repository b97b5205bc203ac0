"""Kea and ISC's dhcpd, unpacked from Debian's packages: an installed one would be started on this host's network."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from tests.support.machine.netboot import Network
from tests.support.machine.packages import cache_dir, download, unpack

_KEA = ("kea-dhcp4-server", "kea-common", "liblog4cplus-2.0.5", "libmariadb3", "libpq5")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


@functools.cache
def _unpacked(*packages: str) -> list[Path]:
    debs = [download(package) for package in packages]
    return [unpack(deb, cache_dir() / deb.stem) for deb in debs]


def _kea(folder: Path) -> list[str | Path]:
    places = _unpacked(*_KEA)
    libraries = ":".join(str(place / _LIBRARIES) for place in places)
    folders = f"KEA_PIDFILE_DIR={folder}", f"KEA_LOCKFILE_DIR={folder}"
    return ["env", f"LD_LIBRARY_PATH={libraries}", *folders, places[0] / "usr/sbin/kea-dhcp4"]


def _isc(folder: Path) -> list[str | Path]:
    leases = folder / "dhcpd.leases"
    leases.touch()
    (place,) = _unpacked("isc-dhcp-server")
    return [place / "usr/sbin/dhcpd", "-lf", leases, "-pf", folder / "dhcpd.pid"]


def start(net: Network, example: str, text: str) -> Path:
    """Start the server that an example of pxe/dhcp is for, in a network; gives its log."""
    config = net.folder / example
    config.write_text(text)
    if example == "kea-dhcp4.json":
        return net.start(example, [*_kea(net.folder), "-c", config])
    return net.start(example, [*_isc(net.folder), "-f", "-d", "-cf", config, net.interface])


def refused(example: str, text: str, folder: Path) -> str:
    """What the server itself finds wrong in an example of pxe/dhcp; empty if nothing."""
    config = folder / example
    config.write_text(text)
    check = [*_kea(folder), "-t", config] if example == "kea-dhcp4.json" else [*_isc(folder), "-t", "-cf", config]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr
