"""Access to a guest over SSH: logins, the throw-away key, and where QEMU finds the guest."""

from __future__ import annotations

import stat
from ipaddress import IPv4Address, IPv4Interface
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from imgbuild.diagnostics.errors import HostError
from imgbuild.machine import MachineSpec
from imgbuild.machine.access import Access, access, forward
from imgbuild.machine.arguments import qemu_command
from imgbuild.machine.spec import Forward

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvcHktdGhlLWtleS1vZi15b3VyLW93bi1oZXJl you@example"


def seed(folder: Path, users: str) -> Path:
    place = folder / "seed"
    place.mkdir()
    (place / "user-data").write_text(f"#cloud-config\nhostname: node1\nusers: {users}\n")
    (place / "meta-data").write_text("instance-id: x\n")
    (place / "seed.iso").write_bytes(b"the seed")
    return place


def test_the_seeds_own_logins_are_used_and_the_seed_is_unchanged(tmp_path: Path) -> None:
    place = seed(tmp_path, f"[{{name: a, ssh_authorized_keys: ['{KEY}']}}, {{name: b}}, default]")
    how = access(place, tmp_path)
    assert how == Access(("a",), None, place / "seed.iso")
    (command,) = how.commands(4022)
    assert command.endswith("-p 4022 a@127.0.0.1") and " -i " not in command


@pytest.mark.parametrize("users", ["[default]", "[{name: a, hashed_passwd: x}]"])
def test_a_seed_without_keys_gets_one_for_one_boot(users: str, tmp_path: Path) -> None:
    (work := tmp_path / "work").mkdir()
    place = seed(tmp_path, users)
    how = access(place, work)
    assert how.key is not None and how.users == ("imgbuild",)
    assert f"-i {how.key}" in how.commands(1)[0]
    assert {stat.S_IMODE(path.stat().st_mode) for path in work.iterdir()} == {0o600}
    private = serialization.load_ssh_private_key(how.key.read_bytes(), None)
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    image = how.seed.read_bytes()
    start = image.index(b"#cloud-config")
    data = yaml.safe_load(image[start : image.index(b"\0", start)])
    assert data["users"][:-1] == yaml.safe_load(users)
    assert data["users"][-1]["ssh_authorized_keys"] == [f"{public.decode()} one-boot"]
    assert data["hostname"] == "node1"
    assert (place / "seed.iso").read_bytes() == b"the seed"


@pytest.mark.parametrize("text", ["", "not: [closed", "just text"])
def test_a_seed_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    place = seed(tmp_path, "[]")
    (place / "user-data").write_text(text)
    with pytest.raises(HostError, match="its user-data is not cloud-config"):
        access(place, tmp_path)


V1 = """
version: 1
config:
  - {type: physical, name: eth0, mac_address: "52:54:00:00:00:01", subnets: [{type: static, address: 192.168.9.5/24}]}
  - type: physical
    name: eth1
    mac_address: "52:54:00:00:00:02"
    subnets: [{type: static, address: "fd00::5/64"}, {type: static, address: 10.0.0.11/24, gateway: 10.0.0.1}]
"""
V2 = """
version: 2
ethernets:
  eth0: {match: {macaddress: "52:54:00:00:00:01"}, addresses: [192.168.9.5/24]}
  eth1:
    match: {macaddress: "52:54:00:00:00:02"}
    addresses: [10.0.0.11/24]
    routes: [{to: default, via: 10.0.0.1}]
"""
OLD = V2.replace("routes: [{to: default, via: 10.0.0.1}]", "gateway4: 10.0.0.1")


@pytest.mark.parametrize("text", [V1, V2, OLD])
def test_the_card_with_the_default_route_is_used(text: str) -> None:
    assert forward(text.encode(), MACS) == Forward(1, IPv4Interface("10.0.0.11/24"), IPv4Address("10.0.0.1"))


def test_dhcp_and_no_address_at_all() -> None:
    assert forward(None, MACS) == Forward()
    text = 'version: 2\nethernets: {eth1: {match: {macaddress: "52:54:00:00:00:02"}, dhcp4: true}}'
    assert forward(text.encode(), MACS) == Forward(1)
    text = 'version: 1\nconfig: [{type: physical, name: eth0, mac_address: "52:54:00:00:00:01"}]'
    with pytest.raises(HostError, match="no network card of this node has an IPv4 address or DHCP"):
        forward(text.encode(), MACS)


def netdevs(spec: MachineSpec) -> list[str]:
    command = qemu_command(spec, overlay=Path("o"), ovmf=None, qmp_fd=3, console_fd=4, report_fd=5)
    return [word for flag, word in pairwise(command) if flag == "-netdev"]


def test_only_one_port_of_the_loopback_interface_is_forwarded() -> None:
    spec = MachineSpec("bios", Path("d"), macs=MACS, ssh=Forward())
    assert netdevs(spec) == ["user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22", "user,id=net1,restrict=on"]
    online = MachineSpec("bios", Path("d"), macs=MACS[:1], online=True)
    assert netdevs(online) == ["user,id=net0,restrict=off"]


@pytest.mark.parametrize(
    ("address", "gateway", "options"),
    [
        ("10.0.0.11/24", "10.0.0.1", "net=10.0.0.0/24,host=10.0.0.1,dns=10.0.0.2,dhcpstart=10.0.0.3"),
        ("10.0.0.2/24", None, "net=10.0.0.0/24,host=10.0.0.1,dns=10.0.0.3,dhcpstart=10.0.0.4"),
        ("10.0.0.2/24", "10.9.0.1", "net=10.0.0.0/24,host=10.0.0.1,dns=10.0.0.3,dhcpstart=10.0.0.4"),
        ("10.0.0.1/29", "10.0.0.3", "net=10.0.0.0/29,host=10.0.0.3,dns=10.0.0.2,dhcpstart=10.0.0.4"),
    ],
)
def test_qemus_addresses_avoid_the_guests(address: str, gateway: str | None, options: str) -> None:
    ssh = Forward(0, IPv4Interface(address), IPv4Address(gateway) if gateway else None)
    (line,) = netdevs(MachineSpec("bios", Path("d"), ssh=ssh))
    guest = address.partition("/")[0]
    assert line == f"user,id=net0,restrict=on,{options},hostfwd=tcp:127.0.0.1:0-{guest}:22"


@pytest.mark.parametrize("address", ["10.0.0.1/31", "10.0.0.1/32", "10.0.0.1/30"])
def test_a_network_without_room_is_an_error(address: str) -> None:
    with pytest.raises(HostError, match="has no room for QEMU's own addresses"):
        netdevs(MachineSpec("bios", Path("d"), ssh=Forward(0, IPv4Interface(address))))
