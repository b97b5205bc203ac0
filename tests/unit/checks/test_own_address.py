"""Addresses that nodes have in Kubernetes: one finding for one value, whatever the number of nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.findings import Finding
from tests.support.checking import findings


def lab(settings: str, count: int, cards: int = 1) -> str:
    """A cluster with these settings of all nodes; each has so many cards."""
    nodes = []
    for number in range(1, count + 1):
        each = [
            f"{{name: eth{card}, mac: '52:54:00:00:{card:02}:{number:02x}', addresses: [10.0.{card}.{number}/24]"
            f"{', gateway: 10.0.0.254' if card == 0 else ''}}}"
            for card in range(cards)
        ]
        role = "control-plane" if number == 1 else "worker"
        network = f"{{dns: [10.0.0.253], interfaces: [{', '.join(each)}]}}"
        nodes.append(f"  - {{name: n{number}, role: {role}, network: {network}}}\n")
    return f"name: lab\nsettings: {{kubernetes: {{{settings}}}}}\nnodes:\n{''.join(nodes)}"


def errors(tmp_path: Path, text: str) -> list[Finding]:
    file = tmp_path / "lab.yaml"
    file.write_text(text)
    return [each for each in findings("centos8-efi", cluster=file) if each.severity == "error"]


@pytest.mark.parametrize("count", [1, 3, 200])
def test_a_card_that_no_node_has_is_one_finding(count: int, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, lab("node_ip: eth9", count))
    assert (found.code, found.key, len(found.who)) == ("IB486", "settings.kubernetes.node_ip", count)
    assert found.message.endswith("no interface eth9 (it has eth0)")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("eth9", "name one that every node has; a node can have its own in settings:"),  # not eth0: another network
        ("eth2", "name one that every node has; a node can have its own in settings:"),
        ("ens192", "name one that every node has; a node can have its own in settings:"),
        ("eht1", 'did you mean "eth1"?'),
        ("et1", 'did you mean "eth1"?'),
    ],
)
def test_another_number_is_another_card(name: str, hint: str, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, lab(f"node_ip: {name}", 2, cards=2))
    assert found.hint == hint


def test_nodes_with_other_cards_are_told_apart(tmp_path: Path) -> None:
    text = lab("node_ip: eth1", 3, cards=2).replace("eth1, mac: '52:54:00:00:01:03'", "eth5, mac: '52:54:00:00:01:03'")
    (found,) = errors(tmp_path, text)
    assert found.message == "node n3: no interface eth1 (it has eth0, eth5)"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("advertise_address: 127.0.0.1", "no other node can reach 127.0.0.1"),
        ("advertise_address: 10.244.0.7", "10.244.0.7 is in the pods' network 10.244.0.0/16"),
        ("advertise_address: 10.96.0.4", "10.96.0.4 is in the services' network 10.96.0.0/12"),
        ("advertise_address: 'fd00::1'", "fd00::1 is IPv6, and the first network of the Services is 10.96.0.0/12"),
        ("advertise_address: 10.0.9.9", "n1 does not have 10.0.9.9 (it has 10.0.0.1)"),
        ("advertise_address: 10.0.0.2", "n1, n2 cannot all be 10.0.0.2"),
        ("node_ip: 10.0.0.1", "n1, n2, n3 cannot all be 10.0.0.1"),
    ],
)
def test_an_address_is_wrong_for_one_reason(settings: str, message: str, tmp_path: Path) -> None:
    said = [each for each in errors(tmp_path, lab(settings, 3)) if each.code in ("IB226", "IB486")]
    assert len(said) == 1 and said[0].message.startswith(message)


def test_the_own_setting_of_one_node(tmp_path: Path) -> None:
    text = lab("node_ip: eth0", 2).replace("role: worker", "role: worker, settings: {kubernetes: {node_ip: eth7}}")
    (found,) = errors(tmp_path, text)
    assert found.message == "node n2: no interface eth7 (it has eth0)"
    assert found.key == "nodes[1].settings.kubernetes.node_ip"


def test_a_node_with_the_address_of_another(tmp_path: Path) -> None:
    own = "role: worker, settings: {kubernetes: {node_ip: 10.0.0.1}}"
    (found,) = errors(tmp_path, lab("node_ip: eth0", 2).replace("role: worker", own))
    assert found.message == "node n2: 10.0.0.1 is an address of n1, not of n2"
