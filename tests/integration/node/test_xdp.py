"""Native XDP on the node: the devices that Cilium takes, their drivers, what first boot and verify make of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from ipaddress import ip_interface
from pathlib import Path

import pytest

from imgbuild.config.data import data_dir
from tests.support.deadline import HUNG
from tests.support.node.bootnode import BootNode
from tests.support.node.fakenode import CLUSTER_CONF, NATIVE_XDP, Node
from tests.support.places import SUPPORT
from tests.support.profiles import resolved

pytestmark = pytest.mark.usefixtures("awk")

XDP = data_dir("node") / "usr/libexec/imgbuild/lib/xdp.sh"
SCRIPT = """
set -euo pipefail
R=$1 cilium_devices=$2 kernel=$3
uname() { echo "$kernel"; }
ip() { cat "$R/ip/$*" 2> /dev/null || true; }
source "$4"
"$5"
"""
UP = "BROADCAST,MULTICAST,UP,LOWER_UP"


def line(name: str, flags: str = UP, more: str = "qdisc mq", link: str = "link/ether 52:54:00:00:00:01 brd x") -> str:
    """An interface as `ip -o link show` has it, by iproute2 6.1."""
    return f"2: {name}: <{flags}> mtu 1500 {more} state UP mode DEFAULT group default qlen 1000\\    {link}"


LINKS = {
    "lo": line("lo", "LOOPBACK,UP,LOWER_UP", link="link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00"),
    **{name: line(name) for name in ("eth0", "eth1", "ethernet2", "br0", "docker0")},
    "bond0": line("bond0", f"MASTER,{UP}"),
    "port0": line("port0", f"SLAVE,{UP}", "qdisc mq master bond0"),
    "down0": line("down0", "BROADCAST,MULTICAST"),
    "veth0": line("veth0@if3", link="link/ether 52:54:00:00:00:01 brd x link-netnsid 0"),
    "eth0.5": line("eth0.5@eth0"),
    "wg0": line("wg0", "POINTOPOINT,NOARP,UP,LOWER_UP", link="link/none "),
    "cilium_host": line("cilium_host@cilium_net"),
    "vrf1": line("vrf1", more="qdisc noqueue master vrf0"),
}
KINDS = {"bridge": ("br0", "docker0"), "veth": ("veth0",), "openvswitch": ()}

NODE = {"lo": "127.0.0.1/8", "eth0": "10.0.0.5/24 10.0.0.1"}


def interfaces(root: Path, **addresses: str) -> None:
    """ip's answers: for each interface (``_`` for a dot) an address and, behind a blank, the gateway."""
    folder = root / "ip"
    folder.mkdir(parents=True, exist_ok=True)
    names = [name.replace("_", ".") if name not in LINKS else name for name in addresses]
    shown: dict[str, list[str]] = {"-o link show": [LINKS[name] for name in names], "-o address show": []}
    four, six = shown.setdefault("-o route show table all", []), shown.setdefault("-o -6 route show table all", [])
    for kind, has in KINDS.items():
        shown[f"-o link show type {kind}"] = [LINKS[name] for name in names if name in has]
    for number, (name, text) in enumerate(zip(names, addresses.values(), strict=True), 1):
        shown[f"-o link show dev {name}"] = [LINKS[name]]
        if not text:
            continue
        address, _, gateway = text.partition(" ")
        family, lines = ("inet6", six) if ":" in address else ("inet", four)
        shown["-o address show"].append(
            f"{number}: {name}    {family} {address} scope global {name}\\       valid_lft forever"
        )
        lines += [f"default via {gateway} dev {name} proto static "] if gateway else []
        host = ip_interface(address)
        lines.append(f"{host.network} dev {name} proto kernel scope link src {host.ip} ")
        lines.append(f"local {host.ip} dev {name} table local proto kernel scope host src {host.ip} ")
    for call, lines in shown.items():
        (folder / call).write_text("".join(f"{line}\n" for line in lines))


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


def ask(root: Path, function: str, devices: str = "", release: str = "6.9.7-1.el8.elrepo") -> str:
    words = [str(root), devices, release, str(XDP), function]
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
    interfaces(tmp_path, **NODE)
    card(tmp_path, "eth0", driver)
    said = ask(tmp_path, "xdp_problems", "eth0", release=release)
    assert said.startswith(wanted) and bool(said) == bool(wanted)


def test_an_interface_without_any_driver(tmp_path: Path) -> None:
    interfaces(tmp_path, wg0="10.0.0.5/24")
    (tmp_path / "sys/class/net/wg0").mkdir(parents=True)
    assert ask(tmp_path, "xdp_problems", "wg0") == "wg0 (no driver) has no native XDP\n"


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
    interfaces(tmp_path, bond0="10.0.0.5/24 10.0.0.1")
    assert ask(tmp_path, "xdp_problems", "bond0", release=release) == wanted


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, ["eth0"]),
        ({"eth1": "192.168.7.5/24"}, ["eth0", "eth1"]),  # a second card that nothing leads over
        ({"eth1": ""}, ["eth0"]),
        ({"eth1": "fe80::1/64"}, ["eth0"]),
        ({"eth1": "169.254.8.1/16"}, ["eth0"]),
        ({"eth1": "fd00::5/64"}, ["eth0", "eth1"]),
        ({"eth1": "2001:db8::5/64 2001:db8::1"}, ["eth0", "eth1"]),
        ({"eth1": "239.0.0.1/24"}, ["eth0"]),
        ({"eth0_5": "10.5.0.5/24"}, ["eth0", "eth0.5"]),
        ({"bond0": "10.8.0.5/24", "port0": "10.8.1.5/24"}, ["bond0", "eth0"]),
        ({"down0": "10.8.0.5/24"}, ["eth0"]),
        ({"br0": "10.8.0.5/24", "docker0": "172.17.0.1/16", "cilium_host": "10.244.0.1/32"}, ["eth0"]),
        ({"veth0": "10.8.0.5/24"}, ["eth0"]),
        ({"veth0": "10.8.0.5/24 10.8.0.1"}, ["eth0", "veth0"]),
        ({"vrf1": "10.8.0.5/24"}, ["eth0"]),
        ({"wg0": "10.8.0.5/24"}, ["eth0", "wg0"]),
    ],
)  # fmt: skip
def test_the_devices_that_cilium_finds(tmp_path: Path, awk: str, more: dict[str, str], wanted: list[str]) -> None:
    interfaces(tmp_path, **NODE, **more)
    assert ask(tmp_path, "xdp_devices").split() == wanted


def test_a_device_without_a_mac_wants_kernel_5_8(tmp_path: Path) -> None:
    interfaces(tmp_path, **NODE, wg0="10.8.0.5/24")
    assert ask(tmp_path, "xdp_devices", release="5.4.278-1.el7.elrepo.x86_64").split() == ["eth0"]


@pytest.mark.parametrize(
    ("devices", "wanted"),
    [
        ("eth0", ["eth0"]), ("eth+", ["eth0", "eth0.5", "ethernet2"]), ("ethernet2 bond0", ["bond0", "ethernet2"]),
        ("eth0 eth+", ["eth0", "eth0.5", "ethernet2"]), ("br0", ["br0"]),
        ("e*", []),  # no pattern of a shell's
        ("eth1", []), ("down0", []), ("ens192", []),  # no address, not up, not there: the agent looks for no others
    ],
)  # fmt: skip
def test_the_devices_that_cilium_is_told(tmp_path: Path, devices: str, wanted: list[str]) -> None:
    more = {
        "eth1": "",
        "down0": "10.2.0.5/24",
        "ethernet2": "10.3.0.5/24",
        "bond0": "10.8.0.5/24",
        "br0": "10.9.0.5/24",
    }
    interfaces(tmp_path, **NODE, **more, eth0_5="10.5.0.5/24")
    assert ask(tmp_path, "xdp_devices", devices).split() == wanted


def test_names_that_no_interface_has_are_told(tmp_path: Path) -> None:
    interfaces(tmp_path, **NODE)
    said = ask(tmp_path, "xdp_problems", "ens192 ens+")
    assert said.startswith("cilium.values.devices is ens192, ens+, and no interface of this node that is up")
    assert ask(tmp_path / "none", "xdp_problems") == "no interface of this node is up and has an address\n"


def test_a_second_card_and_a_vlan_are_told(tmp_path: Path) -> None:
    interfaces(tmp_path, **NODE, eth1="10.1.0.5/24", eth0_5="10.5.0.5/24")
    card(tmp_path, "eth0", "virtio_net")
    card(tmp_path, "eth1", "tg3")
    card(tmp_path, "eth0.5", "vlan")
    assert ask(tmp_path, "xdp_problems").splitlines() == [
        "eth0.5 (vlan) has no native XDP", "eth1 (tg3) has no native XDP",
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own wants root")
def test_the_devices_of_a_real_network(tmp_path: Path) -> None:
    lines = """
        ip link set lo up
        ip link add eth0 type veth peer name far0
        ip link add eth1 type veth peer name far1
        ip link add br0 type bridge
        ip tuntap add tun0 mode tun
        ip address add 10.0.0.5/24 dev eth0
        ip address add 10.1.0.5/24 dev eth1
        ip address add 10.2.0.5/24 dev br0
        ip address add 10.3.0.5/24 dev tun0
        ip -6 address add fd00::5/64 dev tun0 nodad
        for link in eth0 far0 eth1 far1 br0 tun0; do ip link set "$link" up; done
        ip route add default via 10.0.0.1
        ip route add blackhole 10.7.0.0/16
    """
    script = f"{lines}\n{SCRIPT.replace('ip() {', 'unused() {')}"
    words = [str(tmp_path), "", "6.1.0", str(XDP), "xdp_devices"]
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", script, "xdp", *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["eth0", "tun0"]


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
    node = Node(tmp_path, resolved("debian12-efi"))
    node.write("/etc/imgbuild/cluster.conf", f"{CLUSTER_CONF}cilium_acceleration='{setting}'\ncilium_devices='eth0'\n")
    card(node.root, "eth0", "virtio_net")
    node.answer("ip,-o link show dev eth0", "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq state UP\n")
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
"$2" "$3" xdp cil_xdp_entry "$1/program"
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
    (node.stand_ins / "bin/ip").unlink()  # the real one
    stand_in = node.stand_ins / "bin/crictl"
    text = stand_in.read_text()
    stand_in.unlink()
    inside = '#!/bin/bash\nif [[ "$1 $2 $3" == "exec 0123abc ip" ]]; then exec "${@:3}"; fi\n'
    stand_in.write_text(text.replace("#!/bin/bash\n", inside))
    stand_in.chmod(0o755)
    (tmp_path / "bpf").mkdir()
    words = [str(tmp_path / "bpf"), sys.executable, str(SUPPORT / "node/bpf_program.py"), mode]
    verify = [str(node.root / "usr/libexec/imgbuild/verify"), "--json", "cilium-datapath"]
    env = {"PATH": f"{node.stand_ins / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin", "IMGBUILD_ROOT": str(node.root)}
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", "-c", REAL, "real", *words, *verify],
        env={**env, "STAND_INS": str(node.stand_ins)}, capture_output=True, text=True, check=False, timeout=HUNG,
    )  # fmt: skip
    assert done.stderr == ""
    found = json.loads(done.stdout)["checks"][0]["found"]
    attached = {"xdpdrv": "native", "xdpgeneric": "generic"}.get(mode, mode)
    assert f"XDP {'native' if ok else 'not attached'} (eth0 {attached})" in found
    assert done.returncode == (not ok)
