"""Cards without a MAC, keys without effect, options of bonds, name servers: each finding, and when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.findings import Finding
from imgbuild.diagnostics.severity import Severity
from tests.support.checking import codes, findings, well_formed

MAC = "mac: '52:54:00:00:00:01'"
STATIC = "addresses: [192.168.1.10/24], gateway: 192.168.1.1"
PORTS = "{name: eth0, mac: '52:54:00:00:00:01'}, {name: eth1, mac: '52:54:00:00:00:02'}"
PREDICTABLE = ("kernel.interface_names=predictable",)


def found(tmp_path: Path, network: str, sets: tuple[str, ...] = (), node: str = "") -> list[Finding]:
    """The findings about a node with this network, by the real command's checks."""
    file = tmp_path / "cluster.yaml"
    file.write_text(f"name: lab\nnodes:\n  - {{name: a, role: control-plane, {node}network: {{{network}}}}}\n")
    every = [f for f in findings("centos7-efi", sets, cluster=file) if f.code not in ("IB801", "IB802", "IB803")]
    well_formed(every)
    return every


def card(text: str, dns: str = "192.168.1.53") -> str:
    return f"dns: [{dns}], interfaces: [{{{text}}}]"


def bond(options: str) -> str:
    carried = f"name: bond0, interfaces: [eth0, eth1], {options}, {STATIC}"
    return f"dns: [192.168.1.53], interfaces: [{PORTS}], bonds: [{{{carried}}}]"


@pytest.mark.parametrize(
    ("network", "sets", "node"),
    [
        (card(f"name: eth0, {STATIC}"), (), ""),
        (card(f"name: ens192, {STATIC}"), PREDICTABLE, ""),
        (card(f"name: ens192, {MAC}, {STATIC}"), (), ""),
        (card(f"name: ens192, {STATIC}"), (), f"{MAC}, "),
        (card("name: eth0, dhcp: true, use_dns: false"), (), ""),
        (card(f"name: eth0, {STATIC.replace('1.1', '2.1')}, on_link: true".replace("2.10", "1.10")), (), ""),
        (bond("mode: 802.3ad, lacp_rate: fast, xmit_hash_policy: layer3+4"), (), ""),
        (bond("mode: active-backup, primary: eth1"), (), ""),
        (bond("mode: balance-xor, xmit_hash_policy: layer2+3"), (), ""),
        (card(f"name: eth0, {STATIC}", "192.168.1.1, 192.168.1.2, 192.168.1.3"), (), ""),
        (card(f"name: eth0, {STATIC}", "127.0.0.1"), ("kubernetes.enabled=false", "cilium.enabled=false"), ""),
        (card(f"name: eth0, {STATIC}") + ", search: [a.b, c.d, e.f, g.h, i.j, k.l]", (), ""),
    ],
)  # fmt: skip
def test_no_finding(network: str, sets: tuple[str, ...], node: str, tmp_path: Path) -> None:
    assert codes(found(tmp_path, network, sets, node)) == set()


@pytest.mark.parametrize(
    ("code", "network", "sets", "severity", "words"),
    [
        ("IB480", f"dns: [192.168.1.53], interfaces: [{{name: eth0, {STATIC}}}, "
         "{name: eth1, mac: '52:54:00:00:00:02', addresses: [10.9.0.1/24]}]", (), "error", "eth0 has no MAC"),
        ("IB481", card(f"name: ens192, {STATIC}"), (), "error", "only card is eth0"),
        ("IB481", card(f"name: eth0, {STATIC}"), PREDICTABLE, "warning", "ens192"),
        ("IB482", card(f"name: eth0, {MAC}, dhcp: true, gateway: 192.168.1.1"), (), "error", "which sends the gateway"),
        ("IB482", card(f"name: eth0, {MAC}, {STATIC}, default_route: false"), (), "error", "default_route"),
        ("IB482", card(f"name: eth0, {MAC}, {STATIC}, use_dns: false"), (), "error", "use_dns"),
        ("IB482", card(f"name: eth0, {MAC}, addresses: [192.168.1.10/24], on_link: true, routes: [{{to: 0.0.0.0/0, "
         "via: 192.168.1.1}]"), (), "error", "no gateway"),
        ("IB482", card(f"name: eth0, {MAC}, addresses: ['2001:db8::2/64'], gateway: '2001:db9::1', on_link: true"), (),
         "error", "IPv4"),
        ("IB483", bond("mode: active-backup, lacp_rate: fast"), (), "error", "lacp_rate"),
        ("IB483", bond("mode: balance-rr, xmit_hash_policy: layer3+4"), (), "error", "xmit_hash_policy"),
        ("IB483", bond("mode: 802.3ad, primary: eth0"), (), "error", "primary"),
        ("IB483", bond("mode: active-backup, primary: eth2"), (), "error", "eth2 is not an interface of bond0"),
        ("IB484", card(f"name: eth0, {STATIC}", "10.96.0.10"), (), "error", "Service network"),
        ("IB484", card(f"name: eth0, {STATIC}", "10.244.0.7"), (), "error", "pod network"),
        ("IB484", card(f"name: eth0, {STATIC}", "127.0.0.53"), (), "warning", "loopback"),
        ("IB484", card(f"name: eth0, {STATIC}", "224.0.0.1"), (), "error", "not the address of a server"),
        ("IB485", card(f"name: eth0, {STATIC}", "192.168.1.1, 192.168.1.2, 192.168.1.3, 192.168.1.4"), (), "warning",
         "192.168.1.4 would never be asked"),
        ("IB485", card(f"name: eth0, {STATIC}") + ", search: [a.b, c.d, e.f, g.h, i.j, k.l, m.n]", (), "warning",
         "glibc 2.17"),
        ("IB485", card(f"name: eth0, {STATIC}") + f", search: [{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}, "
         f"{'e' * 20}]", (), "warning", "264 characters"),
    ],
)  # fmt: skip
def test_a_finding(code: str, network: str, sets: tuple[str, ...], severity: str, words: str, tmp_path: Path) -> None:
    every = [f for f in found(tmp_path, network, sets) if f.code == code]
    assert every and {f.severity for f in every} == {Severity(severity)}
    assert any(words in f"{f.message} {f.hint}" for f in every), every


def test_many_search_domains_where_glibc_takes_them(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    head = "name: lab\nnodes:\n  - name: a\n    role: control-plane\n    network:\n"
    for count, wanted in ((29, set()), (30, {"IB485"})):
        search = ", ".join(f"d{number}.example" for number in range(count))
        file.write_text(f"{head}      {{{card(f'name: eth0, {MAC}, {STATIC}')}, search: [{search}]}}\n")
        assert codes(findings("centos8-efi", cluster=file)) - {"IB802"} == wanted


def test_all_at_once(tmp_path: Path) -> None:
    text = bond("mode: balance-rr, lacp_rate: slow, primary: eth9, use_dns: false").replace(
        "192.168.1.53", "10.96.0.10"
    )
    every = found(tmp_path, text)
    assert sorted(f.code for f in every) == ["IB482", "IB483", "IB483", "IB483", "IB484"]


@pytest.mark.parametrize(
    ("value", "network", "words"),
    [
        ("eth5", card(f"name: eth0, {STATIC}"), "no interface eth5 (it has eth0)"),
        ("192.168.1.11", card(f"name: eth0, {STATIC}"), "a does not have 192.168.1.11"),
        ("10.244.0.9", card("name: eth0, dhcp: true"), "in the pods' network"),
        ("127.0.0.1", card("name: eth0, dhcp: true"), "no other node can reach"),
        ("eth0", bond("mode: active-backup"), "eth0 has no IPv4 address"),
        ("eth0", card("name: eth0, addresses: ['2001:db8::2/64'], gateway: 'fe80::1'"), "no IPv4 address"),
        ("eth0", card("name: eth0, dhcp: true"), ""),
        ("bond0", bond("mode: active-backup"), ""),
        ("192.168.1.10", card(f"name: eth0, {STATIC}"), ""),
    ],
)
def test_node_ip(value: str, network: str, words: str, tmp_path: Path) -> None:
    every = found(tmp_path, network, (f"kubernetes.node_ip={value}",))
    assert [f.code for f in every] == (["IB486"] if words else [])
    assert words in "".join(f.message for f in every)


def test_node_ip_of_a_card_that_dhcp_cannot_have(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("name: lab\nnodes:\n  - {name: a, role: control-plane}\n")
    assert codes(findings("centos7-efi", ["kubernetes.node_ip=ens3"], cluster=file)) == {"IB486"}
    assert codes(findings("centos7-efi", ["kubernetes.node_ip=eth1"], cluster=file)) == set()
    sets = ["kubernetes.node_ip=eth1", "kubernetes.advertise_address=192.168.1.4"]
    assert codes(findings("centos7-efi", sets, cluster=file)) == {"IB486"}


@pytest.mark.parametrize("value", ["10.0.0.1/24", "'eth 1'", "7eth"])
def test_node_ip_is_a_name_or_an_address(value: str) -> None:
    (error,) = [f for f in findings("centos7-efi", [f"kubernetes.node_ip={value}"]) if f.severity is Severity.ERROR]
    assert (error.code, "name of an interface" in f"{error.message} {error.hint}") == ("IB113", True)


@pytest.mark.parametrize(
    ("key", "hint"),
    [("lacp-rate: fast", "lacp_rate: fast"), ("transmit-hash-policy: x", "xmit_hash_policy"),
     ("PEERDNS: no", "use_dns"), ("dhcp4-overrides: {}", "default_route: false"), ("on-link: true", "on_link: true")],
)  # fmt: skip
def test_other_tools_words_are_translated(key: str, hint: str, tmp_path: Path) -> None:
    (error,) = [f for f in found(tmp_path, bond(f"mode: 802.3ad, {key}")) if f.severity is Severity.ERROR]
    assert error.code == "IB111" and hint in error.hint, error
