"""Findings about the cluster file: one file that gives each, and one close by that does not."""

# ruff: noqa: E501  (a table: long lines read better than wrapped rows)

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from imgbuild.diagnostics.findings import Finding
from imgbuild.diagnostics.severity import Severity
from tests.support import checking
from tests.support.checking import codes, well_formed

ETH0 = "{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}"
DHCP1 = "{name: eth1, mac: '52:54:00:00:00:02', dhcp: true}"
ETH1 = "{name: eth1, mac: '52:54:00:00:00:02'}"
ETH2 = "{name: eth2, mac: '52:54:00:00:00:03'}"
BOND = "{name: bond0, interfaces: [eth1, eth2], addresses: [10.9.0.1/24]}"


def findings(
    profile: str, sets: Sequence[str] = (), layers: Sequence[str] = (), *, cluster: Path, mode: str | None = None
) -> list[Finding]:
    """All but what pxe/ has to say (IB80x: tests/unit/outputs/test_pxe.py)."""
    found = checking.findings(profile, sets, layers, cluster=cluster, mode=mode)
    return [f for f in found if not f.code.startswith("IB8")]


def net(*interfaces: str, bonds: str = "", vlans: str = "", dns: str = "1.1.1.1") -> str:
    """A node's network in flow style."""
    return f"{{interfaces: [{', '.join(interfaces)}], bonds: [{bonds}], vlans: [{vlans}], dns: [{dns}]}}"


def cluster(*nodes: str, more: str = "") -> str:
    """A cluster file, a line a node; a control plane unless it says otherwise, with an endpoint if there are several."""
    more = more or ("endpoint: 'api.lan:6443'\n" if len(nodes) > 1 else "")
    whole = (n if "role:" in n else re.sub(r"^(\{name: [^,}]+)", r"\1, role: control-plane", n) for n in nodes)
    return f"name: c\n{more}nodes:\n" + "".join(f"  - {node}\n" for node in whole)


def one(network: str) -> str:
    """A cluster of one node with this network."""
    return cluster(f"{{name: a, network: {network}}}")


WORKER = "{name: b, role: worker}"
VIP = "vip: {address: 192.168.1.9}\n"
GOOD = one(net(ETH0))
THREE = [
    f"{{name: {n}, network: {net(ETH0.replace(':01', f':1{k}').replace('1.10/', f'1.1{k}/'))}}}"
    for k, n in enumerate("abc")
]
MASTERS = cluster(*THREE, more="# the first one's own\n")
BONDED = one(net(ETH0, ETH1, ETH2, bonds=BOND))

ROWS: list[tuple[str, str, str]] = [
    ("IB401", cluster("{name: a}", "{name: a, role: worker}"), cluster("{name: a}", "{name: b, role: worker}")),
    ("IB402", one(net(ETH0, "{name: eth1, mac: '52:54:00:00:00:01', dhcp: true, default_route: false}")),
     one(net(ETH0, "{name: eth1, mac: '52:54:00:00:00:0a', dhcp: true, default_route: false}"))),
    ("IB402", cluster("{name: a, mac: '52:54:00:AA:00:01'}", "{name: b, role: worker, mac: '52:54:00:aa:00:01'}"),
     cluster("{name: a, mac: '52:54:00:AA:00:01'}", "{name: b, role: worker, mac: '52:54:00:aa:00:02'}")),
    ("IB403", cluster(f"{{name: a, network: {net(ETH0)}}}",
                      f"{{name: b, role: worker, network: {net(ETH0.replace(':01', ':09'))}}}"),
     cluster(f"{{name: a, network: {net(ETH0)}}}",
             f"{{name: b, role: worker, network: {net(ETH0.replace(':01', ':09').replace('1.10/', '1.11/'))}}}")),
    ("IB403", one(net("{name: eth0, mac: '52:54:00:00:00:01', addresses: ['fd00::1/64', 'fd00:0:0::1/64'], gateway: 'fd00::2'}")),
     one(net("{name: eth0, mac: '52:54:00:00:00:01', addresses: ['fd00::1/64', 'fd00:0:0::3/64'], gateway: 'fd00::2'}"))),
    ("IB404", one(net(ETH0, ETH1.replace("eth1", "eth0").replace("}", ", addresses: [10.9.0.1/24]}"))), BONDED),
    ("IB404", one(net(ETH0.replace("eth0", "lo"))), GOOD),
    ("IB404", one(net(ETH0, vlans="{name: eth0.5, id: 5, link: eth0, addresses: [10.1.0.1/24]}, "
                      "{name: v2, id: 5, link: eth0, addresses: [10.2.0.1/24]}")),
     one(net(ETH0, vlans="{name: eth0.5, id: 5, link: eth0, addresses: [10.1.0.1/24]}, "
             "{name: eth0.6, id: 6, link: eth0, addresses: [10.2.0.1/24]}"))),
    ("IB405", one(net(ETH0, ETH1, bonds=BOND.replace("eth2", "eth9"))), BONDED),
    ("IB405", one(net(ETH0, vlans="{name: eht0.5, id: 5, link: eht0, addresses: [10.1.0.1/24]}")), GOOD),
    ("IB406", one(net(ETH0, ETH1, ETH2, bonds=f"{BOND}, {{name: bond1, interfaces: [eth2], addresses: [10.8.0.1/24]}}")), BONDED),
    ("IB406", one(net(ETH0, ETH1, ETH2, bonds=BOND, vlans="{name: eth1.5, id: 5, link: eth1, addresses: [10.1.0.1/24]}")),
     one(net(ETH0, ETH1, ETH2, bonds=BOND, vlans="{name: bond0.5, id: 5, link: bond0, addresses: [10.1.0.1/24]}"))),
    ("IB407", one(net(ETH0, ETH1, bonds=BOND.replace("eth2", "eth0"))), BONDED),
    ("IB408", one(net(ETH0, vlans="{name: eth0.5, id: 5, link: eth0, mtu: 9000, addresses: [10.1.0.1/24]}")),
     one(net(ETH0.replace("name:", "mtu: 9000, name:"), vlans="{name: eth0.5, id: 5, link: eth0, mtu: 9000, addresses: [10.1.0.1/24]}"))),
    ("IB409", one(net(ETH0, vlans="{name: vlan5, id: 5, link: eth0, addresses: [10.1.0.1/24]}")),
     one(net(ETH0, vlans="{name: eth0.5, id: 5, link: eth0, addresses: [10.1.0.1/24]}"))),
    ("IB410", cluster("{name: a, role: worker}"), cluster("{name: a}")),
    ("IB411", cluster("{name: a}", WORKER, more="# no endpoint\n"), cluster("{name: a}", WORKER)),
    ("IB411", cluster("{name: a}", WORKER, more="# no endpoint\n"), cluster(f"{{name: a, network: {net(ETH0)}}}", WORKER, more="# the node's own\n")),
    ("IB411", cluster("{name: a}", WORKER, more="# no endpoint\n"), cluster("{name: a}", WORKER, more=VIP)),
    ("IB412", cluster("{name: a}", "{name: b}"), cluster("{name: a}", "{name: b}", "{name: c}")),
    ("IB414", cluster(f"{{name: a, network: {net(ETH0)}}}", "{name: b}", "{name: c}", more="endpoint: '192.168.1.10:6443'\n"),
     cluster(f"{{name: a, network: {net(ETH0)}}}", "{name: b}", "{name: c}", more="endpoint: '192.168.1.9:6443'\n")),
    ("IB414", cluster(f"{{name: a, network: {net(ETH0)}}}", "{name: b}", "{name: c}", more="# none\n"),
     cluster(f"{{name: a, network: {net(ETH0)}}}", WORKER, more="# none\n")),
    ("IB414", MASTERS, cluster(*THREE, more="single_endpoint: true\n")),
    ("IB414", cluster("{name: a}", "{name: b}", "{name: c}", more="endpoint: 'b:6443'\n"), cluster("{name: a}", "{name: b}", "{name: c}", more="endpoint: 'd:6443'\n")),
    ("IB461", cluster(THREE[0], THREE[1], "{name: c}", more="single_endpoint: true\n"), cluster(*THREE, more="single_endpoint: true\n")),
    ("IB461", cluster("{name: a}", "{name: b}", "{name: c}", more="single_endpoint: true\nendpoint: '192.168.1.10:6443'\n"),
     cluster("{name: a}", *THREE[1:], more="single_endpoint: true\nendpoint: '192.168.1.10:6443'\n")),
    ("IB461", cluster(THREE[0], THREE[1], "{name: c}", more="single_endpoint: true\n"),
     cluster(THREE[0], THREE[1], "{name: c, settings: {kubernetes: {advertise_address: 192.168.1.12}}}", more="single_endpoint: true\n")),
    ("IB462", cluster(*THREE, more=f"{VIP}single_endpoint: true\n"), cluster(*THREE, more=VIP)),
    ("IB226", cluster(THREE[0].replace("network", "settings: {kubernetes: {advertise_address: 192.168.1.11}}, network"), WORKER),
     cluster(THREE[0].replace("network", "settings: {kubernetes: {advertise_address: 192.168.1.10}}, network"), WORKER)),
    ("IB226", cluster("{name: a, settings: {kubernetes: {advertise_address: 192.168.1.11}}}", THREE[1].replace("name: b", "name: b, role: worker")),
     cluster("{name: a, settings: {kubernetes: {advertise_address: 192.168.1.12}}}", THREE[1].replace("name: b", "name: b, role: worker"))),
    ("IB226", cluster("{name: a}", "{name: b, role: worker, settings: {kubernetes: {advertise_address: 127.0.0.9}}}"),
     cluster("{name: a}", "{name: b, role: worker, settings: {kubernetes: {advertise_address: 192.168.1.9}}}")),
    ("IB415", cluster(f"{{name: a, network: {net(ETH0)}}}", more=VIP.replace("1.9}", "1.10}")), cluster(f"{{name: a, network: {net(ETH0)}}}", more=VIP)),
    ("IB416", cluster(f"{{name: a, network: {net(ETH0)}}}", more=VIP.replace("1.9}", "2.9}")), cluster("{name: a}", more=VIP)),
    ("IB416", cluster("{name: a}", more="vip: {address: 10.244.0.9}\n"), cluster("{name: a}", more=VIP)),
    ("IB416", cluster("{name: a}", more="vip: {address: 10.96.0.9}\n"), cluster("{name: a}", more=VIP)),
    ("IB417", cluster("{name: a}", more=f"{VIP}endpoint: '192.168.1.8:6443'\n"), cluster("{name: a}", more=f"{VIP}endpoint: '192.168.1.9:6443'\n")),
    ("IB418", cluster("{name: a, labels: {node-role.kubernetes.io/edge: ''}}"), cluster("{name: a, labels: {example.org/edge: ''}}")),
    ("IB418", cluster("{name: a, labels: {k8s.io/x: y}}"), cluster("{name: a, labels: {topology.kubernetes.io/zone: z1, node.kubernetes.io/x: y, notk8s.io/x: y}}")),
    ("IB419", cluster("{name: a, taints: [{key: x, effect: NoSchedule}, {key: x, value: y, effect: NoSchedule}]}"),
     cluster("{name: a, taints: [{key: x, effect: NoSchedule}, {key: x, effect: NoExecute}]}")),
    ("IB413", cluster("{name: a}", more="endpoint: 'vip:99999'\n"), cluster("{name: a}", more="endpoint: 'vip:443'\n")),
    ("IB420", one(net(ETH1)), GOOD),
    ("IB421", one(net(ETH0, ETH1)), BONDED),
    ("IB422", one(net(ETH0.replace("192.168.1.1}", "192.168.2.1}"))), GOOD),
    ("IB422", one(net(ETH0.replace("192.168.1.1}", "192.168.1.10}"))), GOOD),
    ("IB422", one(net(ETH0.replace("}", ", routes: [{to: 10.0.0.0/8, via: 172.16.0.1}]}"))),
     one(net(ETH0.replace("}", ", routes: [{to: 10.0.0.0/8, via: 192.168.1.2}]}")))),
    ("IB423", one(net(ETH0.replace(", gateway: 192.168.1.1", ""))),
     one(net(ETH0.replace(", gateway: 192.168.1.1", ", routes: [{to: 0.0.0.0/0, via: 192.168.1.1}]")))),
    ("IB424", one(net(ETH0, "{name: eth1, mac: '52:54:00:00:00:02', addresses: [10.0.0.2/24], gateway: 10.0.0.1}")),
     one(net(ETH0, "{name: eth1, mac: '52:54:00:00:00:02', addresses: [10.0.0.2/24]}"))),
    ("IB424", one(net(ETH0, "{name: eth1, mac: '52:54:00:00:00:02', addresses: [10.0.0.2/24], gateway: 10.0.0.1}")),
     one(net(ETH0, "{name: eth1, mac: '52:54:00:00:00:02', addresses: ['2001:db8::2/64'], gateway: '2001:db8::1'}"))),
    ("IB424", one(net(ETH0, DHCP1)), one(net(ETH0, DHCP1.replace("true", "true, default_route: false")))),
    ("IB424", one(net(DHCP1.replace("eth1", "eth0").replace(":02", ":01"), DHCP1)),
     one(net(DHCP1.replace("eth1", "eth0").replace(":02", ":01"), DHCP1.replace("true", "true, default_route: false")))),
    ("IB423", one(net(DHCP1.replace("true", "true, default_route: false"))), one(net(DHCP1))),
    ("IB422", one(net(ETH0.replace("192.168.1.1}", "192.168.2.1}"))),
     one(net(ETH0.replace("192.168.1.1}", "192.168.2.1, on_link: true}")))),
    ("IB422", one(net("{name: eth0, mac: '52:54:00:00:00:01', addresses: ['2001:db8::2/64'], gateway: '2001:db9::1'}")),
     one(net("{name: eth0, mac: '52:54:00:00:00:01', addresses: ['2001:db8::2/64'], gateway: 'fe80::1'}"))),
    ("IB425", one(net(DHCP1.replace("true", "true, use_dns: false"), dns="")), one(net(DHCP1, dns=""))),
    ("IB425", one(net(ETH0, dns="")), GOOD),
    ("IB426", one(net(ETH0.replace("1.10/24", "1.0/24"))), one(net(ETH0.replace("1.10/24", "1.0/31")))),
    ("IB426", one(net(ETH0.replace("1.10/24", "1.255/24"))), GOOD),
    ("IB426", one(net("{name: eth0, mac: '52:54:00:00:00:01', addresses: [127.0.0.2/8], gateway: 127.0.0.1}")), GOOD),
    ("IB426", one(net("{name: eth0, mac: '52:54:00:00:00:01', addresses: [240.0.0.2/8], gateway: 240.0.0.1}")), GOOD),
    ("IB221", one(net(ETH0.replace("192.168.1.", "10.244.7."))), GOOD),
    ("IB221", one(net(ETH0.replace("192.168.1.", "10.96.7."))), GOOD),
]  # fmt: skip


def _run(tmp_path: Path, text: str) -> set[str]:
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    found = findings("centos7-efi", cluster=file)
    well_formed(found)
    assert all(f.mark is not None and f.mark.file == str(file) for f in found)
    return codes(found)


@pytest.mark.parametrize(("code", "bad", "good"), ROWS, ids=[f"{r[0]}-{n}" for n, r in enumerate(ROWS)])
def test_each_finding_about_nodes(code: str, bad: str, good: str, tmp_path: Path) -> None:
    assert _run(tmp_path, bad) == {code}
    assert _run(tmp_path, good) == set()


def test_severities(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(cluster("{name: a}", "{name: b}"))
    assert [f.severity for f in findings("centos7-efi", cluster=file)] == [Severity.WARNING]
    file.write_text(one(net(ETH0, dns="")))
    assert [f.severity for f in findings("centos7-efi", cluster=file)] == [Severity.WARNING]


@pytest.mark.parametrize(
    ("profile", "mode", "name", "refused"),
    [
        ("centos7-efi", "baked", "vlan5", True),
        ("centos8-efi", "stock", "vlan5", True),  # 20.3 of the cloud image
        ("centos8-efi", "baked", "vlan5", False),
        ("centos8-efi", "baked", "storage", True),
        ("debian12-efi", "baked", "storage", False),
    ],
)
def test_a_vlans_name_says_what_sysconfig_leaves_out(
    profile: str, mode: str, name: str, refused: bool, tmp_path: Path
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(one(net(ETH0, vlans=f"{{name: {name}, id: 5, link: eth0, addresses: [10.1.0.1/24]}}")))
    assert ("IB409" in codes(findings(profile, cluster=file, mode=mode))) == refused


def test_a_container_host_has_no_roles(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(cluster("{name: a, role: worker}", "{name: b, role: worker}"))
    assert findings("debian12-efi", layers=["container-host"], cluster=file) == []


def test_more_nodes_than_the_pods_network_has_room_for(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(cluster("{name: a}", *(f"{{name: w{n}, role: worker}}" for n in range(4))))
    found = findings("centos7-efi", ["kubernetes.pod_cidr=10.244.0.0/22"], cluster=file)
    assert codes(found) == {"IB222"}
    assert codes(findings("centos7-efi", ["kubernetes.pod_cidr=10.244.0.0/21"], cluster=file)) == set()


def test_one_advertised_address_for_two_control_planes(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(cluster("{name: a}", "{name: b}", "{name: c}"))
    assert codes(findings("centos7-efi", ["kubernetes.advertise_address=192.168.1.2"], cluster=file)) == {
        "IB226",
    }


@pytest.mark.parametrize(
    "name",
    ['"a\'b"', '"a\\nb"', '"{{ 1 }}"', "'${x}'", "'$(reboot)'", "-a", "a-", "A", '"a;b"', "ä", "a..b", "a" * 64, "''"],
)
def test_a_host_name_carries_nothing_else(name: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(f"name: c\nnodes:\n  - name: {name}\n    role: control-plane\n")
    (found,) = findings("centos7-efi", cluster=file)
    assert found.code == "IB113"
    assert found.key == "nodes[0].name"
    assert found.mark is not None and (found.mark.line, found.mark.column) == (3, 11)
    assert "RFC 1123" in f"{found.message} {found.hint}"


@pytest.mark.parametrize("address", ["'fe80::1%$(reboot)/64'", '"fe80::1%\\n/64"', "10.0.0.1", "10.0.0.1/33", "1/24"])
def test_an_address_carries_nothing_else(address: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(one(net(f"{{name: eth0, mac: '52:54:00:00:00:01', addresses: [{address}]}}")))
    (found,) = findings("centos7-efi", cluster=file)
    assert (found.code, found.key) == ("IB113", "nodes[0].network.interfaces[0].addresses[0]")


def test_what_pxe_says_has_its_place(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(cluster("{name: a}", WORKER, more="endpoint: 'api.lan:6443'\n"))
    places = {f.code: f.mark for f in checking.findings("centos7-efi", ["pxe.url=http://a.org"], cluster=file)}
    assert str(places["IB801"]) == f"{file}:4:5"
    file.write_text(one(net(ETH0)))
    places = {f.code: f.mark for f in checking.findings("centos7-efi", cluster=file)}
    assert places["IB802"] is not None and places["IB802"].file == str(file)
    # An address that no node can read is said whatever else is wrong.
    found = {f.code: f.mark for f in checking.findings("centos7-efi", ["pxe.url=file:///x", "swap.enabled=true"])}
    assert str(found["IB805"]) == "--set:2:1" and "IB214" in found


@pytest.mark.parametrize(
    ("network", "wanted"),
    [
        ("addresses: [10.0.0.11/24, 'fd05::11/64'], gateway: 10.0.0.1", []),
        ("addresses: [10.0.0.11/24], gateway: 10.0.0.1", [Severity.WARNING]),
        ("addresses: ['fd05::11/64'], gateway: 'fd05::1'", [Severity.ERROR]),
        ("dhcp: true, addresses: ['fd05::11/64']", []),
    ],
)
def test_a_node_of_a_dual_stack_cluster_has_both_families(tmp_path: Path, network: str, wanted: list[Severity]) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(
        "name: lab\nnodes:\n  - name: cp1\n    role: control-plane\n    network:\n      dns: [10.0.0.1]\n"
        f"      interfaces: [{{name: eth0, mac: '52:54:00:00:00:01', {network}}}]\n"
    )
    sets = ["kubernetes.pod_cidr=10.244.0.0/16,fd00::/48", "kubernetes.service_cidr=10.96.0.0/16,fd01::/112"]
    found = findings("debian12-efi", [*sets, "cilium.values.ipv6.enabled=true"], cluster=path)
    assert [f.severity for f in found if f.code == "IB230"] == wanted
    assert "IB230" not in codes(findings("debian12-efi", cluster=path))


def test_a_dns_server_in_the_second_network_of_the_services(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(
        "name: lab\nnodes:\n  - name: cp1\n    role: control-plane\n    network:\n      dns: ['fd01::a']\n"
        "      interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [10.0.0.11/24, 'fd05::11/64'], gateway: 10.0.0.1}]\n"
    )
    sets = ["kubernetes.pod_cidr=10.244.0.0/16,fd00::/48", "kubernetes.service_cidr=10.96.0.0/16,fd01::/112"]
    assert "IB484" in codes(findings("debian12-efi", [*sets, "cilium.values.ipv6.enabled=true"], cluster=path))
