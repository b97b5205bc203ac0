"""Interfaces that Cilium's values and kube-vip name, against the cluster file and what is known of XDP."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.findings import Finding
from imgbuild.diagnostics.severity import Severity
from tests.support.checking import findings

HEAD = "name: c\nendpoint: 10.0.0.9:6443\nnodes:\n"


def node(name: str, *interfaces: str, more: str = "", role: str = "worker") -> str:
    """A node with static interfaces, the first with address and gateway; without any: by DHCP."""
    if not interfaces:
        return f"  - {{name: {name}, role: {role}}}\n"
    number = int(name[-1])
    rows = []
    for index, interface in enumerate(interfaces):
        way = f"addresses: [192.168.1.{number}/24], gateway: 192.168.1.254" if index == 0 and not more else "dhcp: true"
        if more and index == 0:
            way = "mtu: 9000"
        rows.append(f"{{name: {interface}, mac: '52:54:00:00:{index:02}:{number:02}', {way}}}")
    return (
        f"  - name: {name}\n    role: {role}\n    network:\n      dns: [1.1.1.1]\n"
        f"      interfaces: [{', '.join(rows)}]\n{more}"
    )


def told(folder: Path, nodes: str, *sets: str, profile: str = "debian12-efi", head: str = HEAD) -> list[Finding]:
    """What is said of devices, vip and XDP."""
    (folder / "c.yaml").write_text(head + nodes)
    found = findings(profile, sets, cluster=folder / "c.yaml")
    return [f for f in found if f.code.startswith("IB64") or f.code == "IB427"]


V = "cilium.values."
CP = node("n1", "eth0", role="control-plane")


@pytest.mark.parametrize(
    ("nodes", "value", "wanted"),
    [
        (CP + node("n2", "eth0"), "devices=eth0", []),
        (CP + node("n2", "eth0"), "devices=[eth0]", []),
        (CP + node("n2", "eth1"), "devices=eth+", []),
        (CP + node("n2", "eth0"), "devices=ens+", ["IB642"]),
        (CP + node("n2", "lan0"), "devices=[eth0]", ["IB642"]),
        (CP + node("n2", "lan0"), "devices=[eth0, lan0]", ["IB643", "IB643"]),
        (CP + node("n2", "lan0"), "devices='eth0,lan0'", ["IB643", "IB643"]),
        (CP + node("n2", "lan0"), "devices=[eth0, lan1]", ["IB642", "IB642"]),
        (CP + node("n2"), "devices=eth0", []),  # by DHCP, with net.ifnames=0
        (CP + node("n2"), "devices=[eth0, eth3]", ["IB643"]),
        (CP + node("n2"), "devices=[enp7s0]", ["IB642"]),
        (CP + node("n2", "eth0"), "nodePort.directRoutingDevice=eth1", ["IB642"]),
        (CP + node("n2", "eth0"), "nodePort.directRoutingDevice=eth+", []),
        (CP + node("n2", "lan0"), "egressMasqueradeInterfaces=eth0", ["IB646", "IB642"]),
    ],
)
def test_each_name_is_on_every_node(tmp_path: Path, nodes: str, value: str, wanted: list[str]) -> None:
    found = told(tmp_path, nodes, V + value)
    assert [f.code for f in found] == wanted
    for finding in found:
        assert finding.mark is not None and finding.mark.file == "--set" and finding.hint
        assert finding.severity is (Severity.WARNING if finding.code == "IB643" else Severity.ERROR)


def test_the_node_and_its_place_are_said_once_for_all_nodes(tmp_path: Path) -> None:
    (found,) = told(tmp_path, CP + node("n2", "lan0") + node("n3", "lan0") + node("n4", "lan0"), V + "devices=[eth0]")
    assert f"no interface eth0 on n2 ({tmp_path / 'c.yaml'}:12:7) and 2 more nodes (it has lan0)" in found.message
    lines = (tmp_path / "c.yaml").read_text().splitlines()
    assert "dns" in lines[11] and lines[8].endswith("n2")
    assert found.key == "cilium.values.devices[0]"


def test_nobody_knows_the_names_of_a_node_by_dhcp_that_systemd_names(tmp_path: Path) -> None:
    sets = (V + "devices=[enp7s0]", "kernel.interface_names=predictable")
    assert told(tmp_path, node("n1", role="control-plane"), *sets) == []
    assert [f.code for f in told(tmp_path, CP, *sets)] == ["IB642"]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("devices=lan9", "refuses to start there"),
        ("nodePort.directRoutingDevice=lan9", "silently uses the interface with the node's address"),
        ("encryption.ipsec.interface=lan9", "IPsec has no interface"),
        ("egressMasqueradeInterfaces=lan9", "is not masqueraded"),
    ],
)
def test_what_comes_of_a_missing_interface_is_told_by_key(tmp_path: Path, key: str, says: str) -> None:
    (found,) = [f for f in told(tmp_path, CP, V + key) if f.code == "IB642"]
    assert says in found.message


def test_agents_up_to_1_15_refuse_a_name_that_is_missing_beside_one_that_is_there(tmp_path: Path) -> None:
    nodes, sets = CP + node("n2", "lan0"), (V + "devices=[eth0, lan0]",)
    for chart, code in (("1.15.19", "IB642"), ("1.16.19", "IB643")):
        assert [f.code for f in told(tmp_path, nodes, *sets, f"cilium.version={chart}")] == [code, code]


def test_a_name_that_takes_an_interface_out_need_not_be_there(tmp_path: Path) -> None:
    assert told(tmp_path, CP, V + "devices=['!lan9']") == []


def test_the_recipe_s_own_interface_without_a_cluster_file() -> None:
    found = [f for f in findings("centos8-efi", [V + "devices=enp7s0"]) if f.code.startswith("IB64")]
    assert [f.code for f in found] == ["IB642"] and "net.ifnames=0" in found[0].message


NATIVE = V + "loadBalancer.acceleration=native"
BOND = "      bonds: [{name: bond0, interfaces: [eth0, eth1], mode: MODE, addresses: [192.168.1.1/24]}]\n"
VLAN = "      vlans: [{name: eth0.5, id: 5, link: eth0, addresses: [192.168.1.1/24], gateway: 192.168.1.254}]\n"


BESIDE = CP.rstrip("\n") + "\n      vlans: [{name: eth0.5, id: 5, link: eth0, addresses: [10.5.0.1/24]}]\n"


def ported(more: str) -> str:
    """A control plane whose cards are ports."""
    ports = ", ".join(f"{{name: eth{n}, mac: '52:54:00:00:00:0{n + 1}'}}" for n in (0, 1))
    head = "  - name: n1\n    role: control-plane\n    network:\n      dns: [1.1.1.1]\n"
    return f"{head}      interfaces: [{ports}]\n{more}"


@pytest.mark.parametrize(
    ("nodes", "sets", "wanted"),
    [
        (CP, (), []),
        (ported(BOND.replace("MODE", "802.3ad")), (), []),
        (ported(BOND.replace("MODE", "broadcast")), (), ["IB644"]),
        (ported(BOND.replace("MODE", "802.3ad")), ("kernel.flavour=kernel-lt", "kernel.version=5.4.278"), ["IB644"]),
        (ported(VLAN), (), ["IB644"]),
        (ported(VLAN), (V + "devices=[eth0]",), []),  # the card below it is asked for
        # It is looked for among the devices, which eth0.5 is not.
        (ported(VLAN), (V + "devices=[eth0]", V + "nodePort.directRoutingDevice=eth0.5"), ["IB642"]),
        (ported(VLAN), (V + "devices=[eth+]", V + "nodePort.directRoutingDevice=eth0.5"), ["IB644"]),
        # A second card or VLAN with an address is taken, too, with or without the gateway.
        (BESIDE, (), ["IB644"]),
        (BESIDE, (V + "devices=[eth0]",), []),
        (BESIDE, (V + "devices=['!eth0.5']",), []),
        (BESIDE, (V + "devices=[eth0]", V + "forceDeviceDetection=true"), ["IB644"]),
        (BESIDE.replace("addresses: [10.5.0.1/24]", "dhcp: true"), (), ["IB644"]),
        (BESIDE.replace(", addresses: [10.5.0.1/24]", ""), (), []),  # without an address there is no route
        (BESIDE.replace("eth0.5", "docker5"), (), []),
        (CP.replace("gateway:", "mtu: 9000, gateway:"), (), ["IB645"]),
        (CP.replace("gateway:", "mtu: 3498, gateway:"), (), []),
        (CP, ("cloud.providers=[gcp]",), ["IB644"]),
    ],
)
def test_what_cannot_do_native_xdp_is_known_before_boot(
    tmp_path: Path, nodes: str, sets: tuple[str, ...], wanted: list[str]
) -> None:
    assert [f.code for f in told(tmp_path, nodes, NATIVE, *sets, profile="centos8-efi")] == wanted
    # best-effort leaves such a device out, and says nothing.
    effort = told(tmp_path, nodes, NATIVE.replace("native", "best-effort"), *sets, profile="centos8-efi")
    assert [f.code for f in effort] == [code for code in wanted if code == "IB642"]


def test_xdp_is_said_once_for_all_nodes(tmp_path: Path) -> None:
    second = ported(VLAN).replace("n1", "n2").replace("00:00:0", "00:01:0").replace("1.1/", "1.2/")
    (found,) = told(tmp_path, ported(VLAN) + second, NATIVE, profile="centos8-efi")
    assert "eth0.5 of n1 (" in found.message and "and 1 more node:" in found.message


def test_kube_vip_s_interface(tmp_path: Path) -> None:
    head = "name: c\nvip: {address: 192.168.1.99, interface: NAME}\nnodes:\n"
    for name, wanted in (("eth0", []), ("ens3", ["IB427"])):
        found = told(tmp_path, CP + node("n2", "ens3"), head=head.replace("NAME", name))
        assert [f.code for f in found] == wanted
    assert found[0].key == "vip.interface" and "n1 (" in found[0].message
    second = CP.replace("n1", "n2").replace("00:00:0", "00:01:0").replace("1.1/", "1.2/")
    (one,) = told(tmp_path, CP + second, head=head.replace("NAME", "ens3"))
    assert ") and 1 more node have no interface ens3 (n1 has eth0" in one.message
