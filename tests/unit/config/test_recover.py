"""An invalid value goes alone: what stays is checked, and nothing seems to be missing because of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imgbuild.config.cluster import Node
from imgbuild.config.recover import recover
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Findings
from imgbuild.pipeline import Request, prepare

SPARE = {"name": "x", "role": "worker"}
GOOD: dict[str, Any] = {
    "name": "a",
    "role": "worker",
    "network": {"interfaces": [{"name": "eth0", "mac": "52:54:00:00:00:01", "addresses": ["10.0.0.1/24"]}], "dns": []},
}


def with_(**more: object) -> dict[str, Any]:
    return {**GOOD, "network": {**GOOD["network"], "interfaces": [{**GOOD["network"]["interfaces"][0], **more}]}}


def test_a_key_with_an_invalid_value_goes_alone() -> None:
    node, places = recover(Node, with_(on_link="yes", mtu=9000), SPARE)
    assert places == {("network", "interfaces", 0, "on_link")}
    assert node is not None and node.network is not None
    assert node.network.interfaces[0].mtu == 9000


def test_what_requires_a_key_goes_with_it_and_items_keep_their_numbers() -> None:
    node, places = recover(Node, with_(name=7), SPARE)
    assert places == {("network", "interfaces", 0, "name"), ("network", "interfaces"), ("network",)}
    assert node is not None and node.network is None
    node, places = recover(Node, with_(addresses=["10.0.0.1/24", "10.0.0.300/24", "x"]), SPARE)
    assert places == {("network", "interfaces", 0, "addresses")}
    assert node is not None


@pytest.mark.parametrize("given", [None, [], {}, {"role": "master"}, {"name": {}, "role": None}, {"network": 7}])
def test_what_is_required_comes_from_the_ground(given: object) -> None:
    node, _ = recover(Node, given, SPARE)
    assert node is not None and (node.name, node.role) == ("x", "worker")


CLUSTER = """\
name: lab
nodes:
  - name: cp
    role: control-plane
    network:
      interfaces:
        - name: eth0
          mac: "52:54:00:00:00:01"
          addresses: [10.0.0.11/24]
          gateway: 10.0.1.1
          on_link: yes
        - {name: eth1, mac: "52:54:00:00:00:02", dhcp: true, gateway: x}
      dns: [127.0.0.53]
"""
PROFILE = """\
extends: debian12-efi
users: [{name: admin, ssh_keys: [ssh-rsa x]}]
disks:
  - {path: /dev/sdb, mount: /srv/a, filesystem: btrfs}
  - {path: /dev/sdb, mount: /srv/b}
"""


def test_an_invalid_value_neither_hides_nor_causes_another_finding(tmp_path: Path) -> None:
    profile, cluster = tmp_path / "p.yaml", tmp_path / "lab.yaml"
    profile.write_text(PROFILE)
    cluster.write_text(CLUSTER)
    findings = Findings()
    with pytest.raises(InvalidInput):
        prepare(Request(str(profile), cluster=cluster), findings)
    said = sorted((each.code, each.key) for each in findings.items if each.code != "IB438")
    assert said == [
        ("IB113", "disks[0].filesystem"),
        ("IB113", "nodes[0].network.interfaces[0].on_link"),
        ("IB113", "nodes[0].network.interfaces[1].gateway"),
        ("IB113", "users[0].ssh_keys[0]"),
        ("IB471", "disks[1].path"),
        ("IB475", "disks[1].path"),
        ("IB484", "nodes[0].network.dns[0]"),
    ]
