"""Native XDP on the node: the devices that Cilium takes, their drivers, what first boot and verify make of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder.data import data_dir
from tests.node.bootnode import BootNode
from tests.node.conftest import loaded
from tests.node.fakenode import CLUSTER_CONF, NATIVE_XDP, Node

pytestmark = pytest.mark.usefixtures("awk")

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


LINK = """3: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 {} qdisc mq state UP mode DEFAULT group default\\
    link/ether 52:54:00:00:00:11 brd ff:ff:ff:ff:ff:ff\\    prog/xdp id 97 name cil_xdp_entry tag 614b434cd8324ecc jited
""".replace("\\\n", "\\")
"""ip -o link show dev eth0, by iproute2 6.1."""


def accelerated(tmp_path: Path, setting: str, status: str, link: str) -> Node:
    """A node whose agent says ``status`` and whose card eth0 looks like ``link``."""
    node = Node(tmp_path, loaded("debian12-efi"))
    node.write("/etc/imgbuild/cluster.conf", f"{CLUSTER_CONF}cilium_acceleration='{setting}'\ncilium_devices='eth0'\n")
    card(node.root, "eth0", "virtio_net")
    node.cilium("status", status)
    node.answer("crictl,exec 0123abc ip -o link show dev eth0", link)
    return node


@pytest.mark.parametrize(
    ("setting", "said", "link", "found"),
    [
        ("native", "Native", LINK.format("xdp"), None),
        ("native", "Native", LINK.format("xdp/id:97"), None),  # iproute2 4.13
        ("native", "Native", LINK.format("xdpgeneric"), "XDP not attached (eth0 generic)"),
        ("native", "Native", LINK.format("xdpgeneric/id:97"), "XDP not attached (eth0 generic)"),
        ("native", "Native", LINK.format("").replace("prog/xdp", "group"), "XDP not attached (eth0 none)"),
        ("native", "Native", "", "XDP not attached (eth0 none)"),
        ("native", "Best-Effort", LINK.format("xdp"), "XDP best-effort (eth0 native)"),
        ("native", "Disabled", LINK.format("xdp"), "XDP disabled (eth0 native)"),
        ("native", "Generic", LINK.format("xdpgeneric"), "XDP generic (eth0 generic)"),
        ("best-effort", "Best-Effort", LINK.format("xdp"), None),
        ("best-effort", "Best-Effort", "", None),
        ("best-effort", "Disabled", "", "XDP disabled (eth0 none)"),
    ],
)  # fmt: skip
def test_verify_looks_at_setting_and_link(
    tmp_path: Path, setting: str, said: str, link: str, found: str | None
) -> None:
    status = NATIVE_XDP.replace('"acceleration": "Native"', f'"acceleration": "{said}"')
    check = accelerated(tmp_path, setting, status, link).checks("cilium-datapath")["cilium-datapath"]
    assert check["ok"] is (found is None)
    assert f"XDP {setting}" in check["expected"]
    assert (found or f"XDP {setting} (eth0 {'native' if link else 'none'})") in check["found"]


def test_what_a_real_agent_with_native_xdp_says_passes(tmp_path: Path) -> None:
    check = accelerated(tmp_path, "native", NATIVE_XDP, LINK.format("xdp")).checks("cilium-datapath")["cilium-datapath"]
    assert check["ok"] is True
    assert check["found"].startswith("routing native, host routing bpf, XDP native (eth0 native), ")


def test_verify_names_the_card_without_native_xdp(tmp_path: Path) -> None:
    node = accelerated(tmp_path, "native", NATIVE_XDP.replace('"Native"', '"Disabled"'), "")
    driver = node.root / "sys/class/net/eth0/device/driver"
    driver.unlink()
    driver.symlink_to("../../../bus/pci/drivers/tg3")
    assert "eth0 (tg3) has no native XDP" in node.checks("cilium-datapath")["cilium-datapath"]["hint"]


def test_every_device_of_the_agent_counts(tmp_path: Path) -> None:
    status = NATIVE_XDP.replace(
        '"devices": [\n      "eth0"\n    ],\n    "direct', '"devices": ["eth0", "eth1"], "direct'
    )
    node = accelerated(tmp_path, "native", status, LINK.format("xdp"))
    node.answer("crictl,exec 0123abc ip -o link show dev eth1", "", 1)
    check = node.checks("cilium-datapath")["cilium-datapath"]
    assert check["ok"] is False
    assert "XDP not attached (eth0 native, eth1 unknown)" in check["found"]


# A pair of virtual cards, and a program that lets all through, attached as the mode says.
REAL = """
set -euo pipefail
mount -t bpf bpf "$1"
"$2" "$3" "$1/program"
ip link add eth0 type veth peer name eth1
ip link set eth0 up
ip link set eth1 up
if [ "$4" != none ]; then ip link set dev eth0 "$4" pinned "$1/program"; fi
shift 4
exec "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own and BPF want root")
@pytest.mark.parametrize(("mode", "ok"), [("xdpdrv", True), ("xdpgeneric", False), ("none", False)])
def test_a_real_program_on_a_real_card(tmp_path: Path, mode: str, ok: bool) -> None:
    node = accelerated(tmp_path, "native", NATIVE_XDP, "")
    (node.stand_ins / "answers/crictl,exec 0123abc ip -o link show dev eth0").unlink()
    stand_in = node.stand_ins / "bin/crictl"
    text = stand_in.read_text()
    stand_in.unlink()
    inside = '#!/bin/bash\nif [[ "$1 $2 $3" == "exec 0123abc ip" ]]; then exec "${@:3}"; fi\n'
    stand_in.write_text(text.replace("#!/bin/bash\n", inside))
    stand_in.chmod(0o755)
    (tmp_path / "bpf").mkdir()
    words = [str(tmp_path / "bpf"), sys.executable, str(Path(__file__).with_name("xdp_program.py")), mode]
    verify = [str(node.root / "usr/libexec/imgbuild/verify"), "--json", "cilium-datapath"]
    env = {"PATH": f"{node.stand_ins / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin", "IMGBUILD_ROOT": str(node.root)}
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", "-c", REAL, "real", *words, *verify],
        env={**env, "STAND_INS": str(node.stand_ins)}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    found = json.loads(done.stdout)["checks"][0]["found"]
    attached = {"xdpdrv": "native", "xdpgeneric": "generic"}.get(mode, mode)
    assert f"XDP {'native' if ok else 'not attached'} (eth0 {attached})" in found
    assert done.returncode == (not ok)
