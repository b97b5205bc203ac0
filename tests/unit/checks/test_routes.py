"""autoDirectNodeRoutes: nodes without a common network are named, and what nobody can know is not."""

# ruff: noqa: E501  (a table: long lines read better than wrapped rows)

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.findings import Finding
from imgbuild.diagnostics.severity import Severity
from tests.support.checking import findings, well_formed


def card(name: str, mac: str, *addresses: str, more: str = "") -> str:
    """An interface in flow style."""
    listed = f", addresses: [{', '.join(addresses)}]" if addresses else ""
    return f"{{name: {name}, mac: '52:54:00:00:00:{mac}'{listed}{more}}}"


def node(name: str, *cards: str, role: str = "worker", more: str = "") -> str:
    """A node; without cards it uses DHCP."""
    network = f", network: {{dns: [1.1.1.1], interfaces: [{', '.join(cards)}]}}" if cards else ""
    return f"  - {{name: {name}, role: {role}{network}{more}}}\n"


def told(folder: Path, nodes: str, *sets: str, profile: str = "debian12-efi") -> list[Finding]:
    """What is said of direct routes."""
    (folder / "c.yaml").write_text(f"name: c\nendpoint: 'api.lan:6443'\nnodes:\n{nodes}")
    found = findings(profile, sets, cluster=folder / "c.yaml")
    assert [f.code for f in found if f.severity is Severity.ERROR and f.code != "IB651"] == []
    return [f for f in found if f.code in ("IB651", "IB652")]


GATE1, GATE2 = ", gateway: 192.168.1.254", ", gateway: 192.168.2.254"
CP = node("cp", card("eth0", "01", "192.168.1.1/24", more=GATE1), role="control-plane")
NEAR = node("near", card("eth0", "02", "192.168.1.2/24", more=GATE1))
FAR = node("far", card("eth0", "03", "192.168.2.3/24", more=GATE2))
FARTHER = node("farther", card("eth0", "04", "192.168.3.4/24", more=", gateway: 192.168.3.254"))
DHCP = node("dhcp")
TWO = node("two", card("eth0", "05", "192.168.2.5/24", more=GATE2), card("eth1", "06", "192.168.1.5/24"))
SIX_CP = node("cp", card("eth0", "01", "'2001:db8:1::1/64'", more=", gateway: '2001:db8:1::ff'"), role="control-plane")
SIX_NEAR = node("near", card("eth0", "02", "'2001:db8:1::2/64'", more=", gateway: '2001:db8:1::ff'"))
SIX_FAR = node("far", card("eth0", "02", "'2001:db8:2::2/64'", more=", gateway: '2001:db8:2::ff'"))
SIX = (
    "kubernetes.pod_cidr=fd00::/48", "kubernetes.service_cidr=fd01::/112", "cilium.values.ipv6.enabled=true",
    "cilium.values.installNoConntrackIptablesRules=false",
)  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        (CP + FAR, ("cp (192.168.1.1)", "far (192.168.2.3)")),
        (CP + NEAR + FAR, ("cp (192.168.1.1)", "far (192.168.2.3)")),
        (CP + DHCP + FAR, ("cp (192.168.1.1)", "far (192.168.2.3)")),
        (CP + FAR + FARTHER, ("cp (192.168.1.1)", "far (192.168.2.3)", "(and 1 more node)")),
        # Its own address is that of the card with the gateway: cp has no network there, whatever the other card has.
        (CP + TWO, ("cp (192.168.1.1)", "two (192.168.2.5)")),
        # cp has no DHCP: it is known that nothing of it is near the other's.
        (CP + node("mixed", card("eth0", "09", "192.168.2.9/24", more=GATE2), card("eth1", "0a", more=", dhcp: true")),
         ("cp (192.168.1.1)", "mixed (192.168.2.9)")),
        # A more specific route leads away from the network of the card.
        (
            CP + node("led", card("eth0", "08", "192.168.1.8/24", more=GATE1 + ", routes: [{to: 192.168.1.0/28, via: 192.168.1.9}]")),
            ("led (192.168.1.8)", "cp (192.168.1.1)"),
        ),
    ],
)  # fmt: skip
def test_nodes_without_a_common_network_are_an_error(tmp_path: Path, nodes: str, named: tuple[str, ...]) -> None:
    (found,) = told(tmp_path, nodes)
    well_formed([found])
    assert found.code == "IB651" and found.severity is Severity.ERROR
    assert all(part in found.message for part in named)
    assert "layer tunnel" in found.hint and "directRoutingSkipUnreachable" in found.hint
    assert found.mark is not None and found.mark.file.endswith("c.yaml") and found.mark.line > 3


def test_the_finding_shows_the_address(tmp_path: Path) -> None:
    (found,) = told(tmp_path, CP + FAR)
    assert found.key == "nodes[1].network.interfaces[0].addresses[0]"


@pytest.mark.parametrize(
    ("nodes", "sets"),
    [
        (CP, ()),
        (CP + NEAR, ()),
        (CP + DHCP, ()),
        (DHCP.replace("worker", "control-plane") + FAR, ()),  # a node by DHCP may be in any network
        # The other card of each is in the other's network.
        (node("cp", card("eth0", "01", "192.168.1.1/24", more=GATE1), card("eth1", "0b", "192.168.2.1/24"), role="control-plane")
         + TWO, ()),
        (CP + node("on", card("eth0", "08", "192.168.1.8/24", more=GATE1 + ", routes: [{to: 192.168.0.0/16, via: 192.168.1.9}]")), ()),
        (CP + FAR, ("cilium.values.directRoutingSkipUnreachable=true",)),
        (CP + FAR, ("cilium.values.autoDirectNodeRoutes=false",)),
        (CP + FAR, ("cilium.enabled=false", "kubernetes.kube_proxy=true")),
    ],
)  # fmt: skip
def test_nodes_in_one_network_or_in_one_that_nobody_knows_give_none(
    tmp_path: Path, nodes: str, sets: tuple[str, ...]
) -> None:
    assert told(tmp_path, nodes, *sets) == []


def test_ipv6(tmp_path: Path) -> None:
    assert told(tmp_path, SIX_CP + SIX_NEAR, *SIX) == []
    (found,) = told(tmp_path, SIX_CP + SIX_FAR, *SIX)
    assert "2001:db8:2::2" in found.message


def test_a_chart_without_that_key_does_not_skip(tmp_path: Path) -> None:
    sets = ("cilium.version=1.15.19", "cilium.values.directRoutingSkipUnreachable=true")
    assert [f.code for f in told(tmp_path, CP + FAR, *sets)] == ["IB651"]


@pytest.mark.parametrize("chart", ["1.14.19", "1.15.19", "1.16.19", "1.17.18", "1.18.12", "1.19.6", "1.20.0"])
def test_the_layer_tunnel_is_the_way_out_in_every_chart(tmp_path: Path, chart: str) -> None:
    (tmp_path / "c.yaml").write_text(f"name: c\nnodes:\n{CP}{FAR}")
    found = findings("debian12-efi", [f"cilium.version={chart}"], ["tunnel"], cluster=tmp_path / "c.yaml")
    assert [f.code for f in found if f.severity is not Severity.INFO] == []


@pytest.mark.parametrize(
    ("nodes", "provider", "says"),
    [(CP + NEAR, "ec2", "nodes of different zones"), (CP + DHCP, "gcp", "every node is"), (CP, "ec2", ""), (CP, "gcp", "")],
)  # fmt: skip
def test_in_a_cloud_it_is_a_warning(tmp_path: Path, nodes: str, provider: str, says: str) -> None:
    found = told(tmp_path, nodes, f"cloud.providers=[{provider}]")
    assert [f.code for f in found] == (["IB652"] if says else [])
    assert all(says in f.message and f.severity is Severity.WARNING for f in found)
    well_formed(found)
