"""Native XDP on the node: the devices that Cilium takes, their drivers, what first boot and verify make of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.data import data_dir
from tests.node.bootnode import BootNode
from tests.node.conftest import loaded
from tests.node.fakenode import CLUSTER_CONF, STATUS, Node

XDP = data_dir("node") / "usr/libexec/imgbuild/lib/xdp.sh"
SCRIPT = """
set -euo pipefail
R=$1 cilium_devices=$2 node_ip=$3 kernel=$4
uname() { echo "$kernel"; }
ip() {
    case $* in
        "-o route show default") echo 'default via 10.0.0.1 dev eth0 proto dhcp src 10.0.0.5 metric 100' ;;
        "-o -6 route show default") ;;
        "-o address show") printf '%s\\n' '2: eth0    inet 10.0.0.5/24 x' '3: eth1    inet 10.9.0.5/24 x' \\
            '4: bond0    inet 10.8.0.5/24 x' ;;
        *) exit 64 ;;
    esac
}
source "$5"
"$6"
"""


def card(root: Path, name: str, driver: str) -> None:
    """A card as sysfs has it: a link to its driver; a VLAN or a bridge says its kind."""
    place = root / "sys/class/net" / name
    place.mkdir(parents=True)
    if driver in ("vlan", "bridge"):
        (place / "uevent").write_text(f"DEVTYPE={driver}\nINTERFACE={name}\n")
        return
    (place / "uevent").write_text(f"INTERFACE={name}\n")
    (place / "device").mkdir()
    (place / "device/driver").symlink_to(f"../../../bus/pci/drivers/{driver}")


def bond(root: Path, name: str, mode: str, *ports: str) -> None:
    place = root / "sys/class/net" / name / "bonding"
    place.mkdir(parents=True)
    (place / "mode").write_text(f"{mode} 1\n")
    (place / "slaves").write_text(f"{' '.join(ports)}\n")


def ask(root: Path, function: str, devices: str = "", address: str = "", release: str = "6.9.7-1.el8.elrepo") -> str:
    words = [str(root), devices, address, release, str(XDP), function]
    done = subprocess.run(["bash", "-c", SCRIPT, "xdp", *words], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("driver", "release", "wanted"),
    [
        ("virtio_net", "6.1.0-40-amd64", ""),
        ("mlx5_core", "5.4.278-1.el7.elrepo.x86_64", ""),
        ("e1000e", "6.12.1", "eth0 (e1000e) has no native XDP"),
        ("bridge", "6.12.1", "eth0 (bridge) has no native XDP"),
        ("vlan", "6.12.1", "eth0 (vlan) has no native XDP"),
        ("vmxnet3", "6.1.0-40-amd64", "eth0 (vmxnet3) has native XDP from kernel 6.6 on, this is 6.1.0-40-amd64"),
        ("vmxnet3", "6.10.3", ""),  # 6.10 is later than 6.6
        ("ena", "5.4.278-1.el7.elrepo.x86_64", "eth0 (ena) has native XDP from kernel 5.6 on, this is 5.4.278-1.el7"),
        ("ena", "4.18.0-348.7.1.el8_5.x86_64", ""),  # carried back
        ("ena", "5.6.0", ""),
    ],
)
def test_drivers_and_kernels(tmp_path: Path, driver: str, release: str, wanted: str) -> None:
    card(tmp_path, "eth0", driver)
    said = ask(tmp_path, "xdp_problems", "eth0", release=release)
    assert said.startswith(wanted) and bool(said) == bool(wanted)


def test_an_interface_without_any_driver(tmp_path: Path) -> None:
    (tmp_path / "sys/class/net/dummy0").mkdir(parents=True)
    assert ask(tmp_path, "xdp_problems", "dummy0") == "dummy0 (no driver) has no native XDP\n"


@pytest.mark.parametrize(
    ("mode", "release", "drivers", "wanted"),
    [
        ("802.3ad", "6.9.7", ("ixgbe", "ixgbe"), ""),
        ("802.3ad", "6.9.7", ("ixgbe", "tg3"), "bond0: its port eth1 (tg3) has no native XDP\n"),
        ("broadcast", "6.9.7", ("ixgbe", "ixgbe"), "bond0 is a bond with mode broadcast, which has no native XDP\n"),
        ("802.3ad", "5.4.1", ("ixgbe", "ixgbe"), "bond0 (bonding) has native XDP from kernel 5.15 on, this is 5.4.1\n"),
    ],
)
def test_bonds(tmp_path: Path, mode: str, release: str, drivers: tuple[str, ...], wanted: str) -> None:
    for number, driver in enumerate(drivers):
        card(tmp_path, f"eth{number}", driver)
    bond(tmp_path, "bond0", mode, "eth0", "eth1")
    assert ask(tmp_path, "xdp_problems", "bond0", release=release) == wanted


@pytest.mark.parametrize(
    ("devices", "address", "wanted"),
    [
        ("eth0", "", ["eth0"]), ("eth+", "", ["eth0", "eth1", "ethernet2"]), ("eth1 bond0", "", ["bond0", "eth1"]),
        ("", "", ["eth0"]),  # the default route's
        ("", "10.9.0.5", ["eth0", "eth1"]),  # and the node's address
        ("enp7s0", "", ["eth0"]),  # no such device: Cilium looks for itself
        ("e*", "", ["eth0"]),  # no pattern of a shell's
        ("eth0 eth+", "", ["eth0", "eth1", "ethernet2"]),
    ],
)  # fmt: skip
def test_the_devices_that_cilium_takes(tmp_path: Path, devices: str, address: str, wanted: list[str]) -> None:
    for name in ("eth0", "eth1", "ethernet2", "bond0", "lo"):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
    assert ask(tmp_path, "xdp_devices", devices, address).split() == wanted


def test_a_node_whose_card_has_none_says_so_before_cilium(tmp_path: Path) -> None:
    """Also one that joins: its agent would die in the cluster."""
    for role in ("init", "worker"):
        node = BootNode(
            tmp_path / role, node_role=role, node_name="n", cilium_acceleration="native", cilium_devices="eth0"
        )
        node.set(wait="2")
        card(node.root, "eth0", "e1000e")
        assert node.run().returncode == 1
        assert (node.status["stage"], node.status["state"]) == ("cilium", "failed")
        assert "eth0 (e1000e) has no native XDP" in node.status["error"]
        assert "best-effort or disabled" in node.status["error"]
        assert node.calls("helm") == []
        driver = node.root / "sys/class/net/eth0/device/driver"
        driver.unlink()
        driver.symlink_to("../../../bus/virtio/drivers/virtio_net")
        done = node.run()
        assert done.returncode == 0, done.stderr


def test_best_effort_is_said_and_goes_on(tmp_path: Path) -> None:
    node = BootNode(tmp_path, cilium_acceleration="best-effort", cilium_devices="eth+")
    card(node.root, "eth0", "virtio_net")
    card(node.root, "eth1", "tg3")
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert "not accelerated: eth1 (tg3) has no native XDP" in (node.root / "var/log/imgbuild/firstboot.log").read_text()


@pytest.mark.parametrize(("mode", "ok"), [("Native", True), ("Disabled", False), ("", False)])
def test_verify_wants_what_was_asked_for_to_be_in_force(tmp_path: Path, mode: str, ok: bool) -> None:
    node = Node(tmp_path, loaded("debian12-efi"))
    node.write("/etc/imgbuild/cluster.conf", f"{CLUSTER_CONF}cilium_acceleration='native'\ncilium_devices='eth9'\n")
    card(node.root, "eth9", "tg3")
    said = f'"features": {{"acceleration": {{"mode": "{mode}"}}, ' if mode else '"features": {'
    node.cilium("status", STATUS.replace('"features": {', said))
    check = node.checks()["cilium-datapath"]
    assert check["ok"] is ok
    assert "XDP native" in check["expected"]
    assert ("eth9 (tg3) has no native XDP" in check["hint"]) is not ok
