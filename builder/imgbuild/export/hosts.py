"""What the systems for physical machines share: BMC, disk, MAC."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from imgbuild.export.given import Given, Unit


@dataclass(frozen=True)
class Bmc:
    """An address of a BMC, in parts."""

    address: str

    @property
    def scheme(self) -> str:
        """The protocol, such as redfish-virtualmedia+https."""
        return urlsplit(self.address).scheme

    @property
    def host(self) -> str:
        """The host without its port; an IPv6 address without brackets."""
        return urlsplit(self.address).hostname or ""

    @property
    def port(self) -> int | None:
        """The port; None: the protocol's own."""
        return urlsplit(self.address).port

    @property
    def ipmi(self) -> bool:
        """Whether it speaks IPMI; else it is one of Redfish's kinds."""
        return self.scheme in ("ipmi", "libvirt")

    @property
    def system(self) -> str:
        """The path of the system, for Redfish."""
        return urlsplit(self.address).path

    @property
    def url(self) -> str:
        """For Redfish: the address of the BMC itself."""
        web = "http" if self.scheme.endswith("+http") else "https"
        return f"{web}://{urlsplit(self.address).netloc}"


def bmc(given: Given, unit: Unit, without: str) -> Bmc | None:
    """The machine's BMC; None with a finding that tells what does not work ``without``."""
    address = unit.node.machine.bmc
    if address is not None:
        return Bmc(address)
    given.tell(
        "IB883", unit.node, ("machine", "bmc"), f"the address of the BMC is not known: {without}",
        "set machine.bmc of the node, such as redfish-virtualmedia://10.0.1.11/redfish/v1/Systems/1",
    )  # fmt: skip
    return None


def bmc_login(unit: Unit) -> str:
    """The name of the Secret with the login of the BMC."""
    return unit.node.machine.bmc_login or f"{unit.name}-bmc"


def boot_mac(given: Given, unit: Unit) -> str | None:
    """The MAC of the card that the machine boots from; None with a finding."""
    if unit.node.boot_mac is None:
        given.tell(
            "IB884", unit.node, ("mac",), "the MAC of the card that it boots from is not known",
            "set mac of the node: the system finds the machine by its MAC",
        )  # fmt: skip
    return unit.node.boot_mac


_WWN = "/dev/disk/by-id/wwn-"


@dataclass(frozen=True)
class RootDisk:
    """The disk that the image is written to; what is not known of it is empty."""

    path: str = ""
    serial: str = ""
    wwn: str = ""


def root_disk(given: Given, unit: Unit, default: str) -> RootDisk | None:
    """The disk for the image; None with a finding that tells what the system's ``default`` is."""
    named = unit.node.install_disk
    if named == "auto":
        given.tell(
            "IB889", unit.node, ("install_disk",), f"the disk for the image is not named: {default}",
            "set install_disk of the node, to a path or to serial: and its serial number", lesser=True,
        )  # fmt: skip
        return None
    if named.startswith("serial:"):
        return RootDisk(serial=named.partition(":")[2])
    return RootDisk(named, wwn=named.removeprefix(_WWN) if named.startswith(_WWN) else "")


def hinted(given: Given, unit: Unit, disk: RootDisk, system: str) -> RootDisk:
    """The same as a hint for Ironic's agent, which knows no names in /dev/disk/by-id but WWNs: others are a finding."""
    if disk.wwn:
        return RootDisk(wwn=disk.wwn)
    if disk.path.removeprefix("/dev/").removeprefix("disk/by-path/").count("/"):
        given.tell(
            "IB885", unit.node, ("install_disk",), f"{system} takes a path in /dev or in /dev/disk/by-path, and a WWN",
            "write serial: and the serial number of the disk, or /dev/disk/by-id/wwn-…",
        )  # fmt: skip
    return disk
