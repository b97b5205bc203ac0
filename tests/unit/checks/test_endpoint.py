"""Endpoints and virtual addresses that no API server can be at."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.severity import Severity
from tests.support.checking import findings

NODES = """\
nodes:
  - name: cp1
    role: control-plane
    network:
      interfaces:
        - {name: eth0, mac: "52:54:00:00:01:10", addresses: [192.168.1.10/24], gateway: 192.168.1.1}
        - {name: eth1, mac: "52:54:00:00:01:11", addresses: [10.50.0.10/24]}
      dns: [192.168.1.1]
  - name: w1
    role: worker
    network:
      interfaces: [{name: eth0, mac: "52:54:00:00:02:10", addresses: [192.168.1.21/24], gateway: 192.168.1.1}]
      dns: [192.168.1.1]
"""
BAD = {
    "127.0.0.1": "each node itself", "localhost": "each node itself", "[::1]": "each node itself",
    "0.0.0.0": "an unspecified address",  # noqa: S104
    "[::]": "an unspecified address", "224.0.0.18": "a multicast address",
    "169.254.1.1": "a link-local address", "255.255.255.255": "the broadcast address",
    "192.168.1.0": "the network address of 192.168.1.0/24", "192.168.1.255": "the broadcast address of 192.168.1.0/24",
    "192.168.1.21": "w1's own address", "w1": "w1's own name", "10.96.0.1": "in the Service network",
    "10.244.0.5": "in the pod network", "kubernetes.default.svc": "the cluster's own DNS",
    "kubernetes.default.svc.cluster.local": "the cluster's own DNS", "api.lan": "api.lan (192.168.1.21) is w1's own",
}  # fmt: skip
HOSTS = "settings: {hosts: {api.lan: 192.168.1.21, cp.lan: 192.168.1.10}}\n"


@pytest.mark.parametrize("host", BAD)
def test_no_api_server_can_be_there(host: str, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(f"name: lab\nendpoint: '{host}:6443'\n{HOSTS}{NODES}")
    (found,) = [each for each in findings("centos8-efi", cluster=file) if each.code == "IB499"]
    assert BAD[host] in found.message and found.key == "endpoint" and found.severity is Severity.ERROR
    assert found.mark is not None and found.mark.line == 2


@pytest.mark.parametrize("host", ["192.168.1.10", "192.168.1.100", "10.50.0.10", "cp.lan", "cp1", "api.example.org"])
def test_an_api_server_can_be_there(host: str, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(f"name: lab\nendpoint: '{host}:6443'\n{HOSTS}{NODES}")
    assert "IB499" not in {each.code for each in findings("centos8-efi", cluster=file)}


def test_a_single_machine_reaches_itself(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("name: lab\nendpoint: 127.0.0.1:6443\nnodes: [{name: cp1, role: control-plane}]\n")
    (found,) = [each for each in findings("centos8-efi", cluster=file) if each.code == "IB499"]
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize("address", ["127.0.0.2", "192.168.1.0", "192.168.1.255", "224.0.0.18"])
def test_no_machine_can_have_this_virtual_address(address: str, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(f"name: lab\nvip: {{address: {address}}}\n{NODES}")
    assert "IB499" in {each.code for each in findings("centos8-efi", cluster=file)}


@pytest.mark.parametrize(("interface", "fix"), [("eth0", ""), ("eth1", "set vip.interface to eth0, or leave it out")])
def test_the_interface_of_the_vip_is_in_its_network(interface: str, fix: str, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(f"name: lab\nvip: {{address: 192.168.1.9, interface: {interface}}}\n{NODES}")
    found = [each for each in findings("centos8-efi", cluster=file) if each.code in ("IB416", "IB427")]
    assert [each.hint for each in found] == ([fix] if fix else [])
    assert all(each.key == "vip.interface" for each in found)
