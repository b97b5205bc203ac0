"""SSH into a guest: who may log in, with which key, and at which address QEMU's network finds the guest."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.derive import read_interface
from imgbuild.machine.spec import Forward
from imgbuild.outputs.seed import IMAGE, seed_iso

LOGIN = "imgbuild"
"""The login that a seed without any gets for one boot."""
_HEADER = "#cloud-config\n"


@dataclass(frozen=True)
class Access:
    """How to log in: ``users`` with their own keys, or the one of a throw-away ``key``. ``seed``: what to boot with."""

    users: tuple[str, ...]
    key: Path | None
    seed: Path

    def commands(self, port: int) -> list[str]:
        """The commands that log in through ``port`` of the loopback interface, one for each user."""
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        if self.key is not None:
            options += ["-o", "IdentitiesOnly=yes", "-i", str(self.key)]
        return [" ".join(("ssh", *options, "-p", str(port), f"{user}@127.0.0.1")) for user in self.users]


def access(seed: Path, work: Path) -> Access:
    """The access that the seed in the folder ``seed`` gives, or that of a copy with a throw-away key in ``work``.

    Raises:
        HostError: the seed cannot be read.
    """
    try:
        files = {path.name: path.read_bytes() for path in sorted(seed.iterdir()) if path.name != IMAGE}
        data = yaml.safe_load(files["user-data"])
        users = [user for user in data.get("users") or [] if isinstance(user, dict)]
    except (OSError, KeyError, AttributeError, ValueError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else "its user-data is not cloud-config"
        raise HostError(
            f"cannot read the seed {seed}: {why}", "run imgbuild as its owner, or build it again"
        ) from error
    names = tuple(str(user["name"]) for user in users if user.get("name") and user.get("ssh_authorized_keys"))
    if names:
        return Access(names, None, seed / IMAGE)
    key = work / "id_ed25519"
    private = Ed25519PrivateKey.generate()
    key.touch(mode=0o600, exist_ok=False)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    )
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    login = {
        "name": LOGIN, "shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD:ALL", "lock_passwd": True,
        "ssh_authorized_keys": [f"{public.decode()} one-boot"],
    }  # fmt: skip
    data["users"] = [*(data.get("users") or []), login]
    files["user-data"] = (_HEADER + yaml.safe_dump(data, sort_keys=False, width=10_000)).encode()
    image = work / IMAGE
    image.touch(mode=0o600, exist_ok=False)
    image.write_bytes(seed_iso(files, 0))
    return Access((LOGIN,), key, image)


def forward(network_config: bytes | None, macs: Sequence[str]) -> Forward:
    """Where QEMU finds the guest: a card with DHCP, or one with a static IPv4 address.

    Raises:
        HostError: no card has one.
    """
    if network_config is None:
        return Forward()
    cards = [mac.lower() for mac in macs]
    found = [
        (device, card)
        for device in _devices(yaml.safe_load(network_config))
        if (card := next((n for n, mac in enumerate(cards) if mac == device.mac), None)) is not None
    ]
    # The one with the default route is where the answers go.
    for device, card in sorted(found, key=lambda each: each[0].gateway is None):
        if device.dhcp:
            return Forward(card)
        if device.address is not None:
            return Forward(card, device.address, device.gateway)
    raise HostError(
        "no network card of this node has an IPv4 address or DHCP: QEMU forwards a port to nothing else",
        "pass another node with --node, or boot without --ssh",
    )


@dataclass(frozen=True)
class _Device:
    mac: str
    dhcp: bool
    address: ipaddress.IPv4Interface | None
    gateway: ipaddress.IPv4Address | None


def _devices(data: Mapping[str, Any]) -> Iterator[_Device]:
    """The cards of a network-config of either version, as render/network.py writes it."""
    for item in data.get("config", []):
        if item["type"] == "physical":
            subnets = item.get("subnets", [])
            dhcp = any(subnet["type"] == "dhcp4" for subnet in subnets)
            addresses = [subnet["address"] for subnet in subnets if "address" in subnet]
            yield _device(item["mac_address"], dhcp, addresses, [s["gateway"] for s in subnets if "gateway" in s])
    for item in data.get("ethernets", {}).values():
        routes = [route["via"] for route in item.get("routes", []) if route.get("to") in ("default", "0.0.0.0/0")]
        gateways = [*([item["gateway4"]] if "gateway4" in item else []), *routes]
        yield _device(item["match"]["macaddress"], bool(item.get("dhcp4")), item.get("addresses", []), gateways)


def _device(mac: str, dhcp: bool, addresses: Sequence[str], gateways: Sequence[str]) -> _Device:
    four = [a for text in addresses if isinstance(a := read_interface(text), ipaddress.IPv4Interface)]
    ways = [g for text in gateways if isinstance(g := ipaddress.ip_address(text), ipaddress.IPv4Address)]
    return _Device(mac.lower(), dhcp, next(iter(four), None), next(iter(ways), None))
