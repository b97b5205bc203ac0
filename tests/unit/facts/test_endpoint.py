"""Where nodes join: one place for the whole cluster, whatever settings the node that is rendered has for itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from imgbuild.diagnostics.findings import Findings
from imgbuild.outputs.rendered import Rendered
from imgbuild.pipeline import Request, prepare
from tests.support import travels

# Two cards a node; the cluster's network is on the one without the gateway.
_CARDS = (
    "network: {{dns: [172.30.0.1], interfaces: [{{name: eth0, mac: '52:54:00:00:{n}:00', "
    "addresses: [172.30.0.{n}/24], gateway: 172.30.0.1}}, "
    "{{name: eth1, mac: '52:54:00:00:{n}:01', addresses: [10.50.0.{n}/24]}}]}}"
)


def _node(name: str, number: int, role: str, *, own: bool) -> str:
    setting = f"settings: {{kubernetes: {{advertise_address: 10.50.0.{number}}}}}, " if own else ""
    return f"  - {{name: {name}, role: {role}, {setting}{_CARDS.format(n=number)}}}\n"


def _rendered(folder: Path, text: str, *sets: str) -> Rendered:
    file = folder / "cluster.yaml"
    file.write_text(text)
    return prepare(Request("centos8-efi", (), sets, cluster=file), Findings()).rendered


def _files(rendered: Rendered, name: str) -> Mapping[str, str]:
    """What the node's seed writes, by path."""
    seed = yaml.safe_load(rendered.groups["nodes"][f"{name}/user-data"].content)
    return {file["path"]: file["content"] for file in travels.files(seed) if isinstance(file["content"], str)}


def _row(text: str, name: str) -> str:
    (found,) = re.findall(f"^{name}=(.*)$", text, re.MULTILINE)
    return str(found).strip("'")


def test_every_node_joins_at_the_first_control_planes_own_advertised_address(tmp_path: Path) -> None:
    nodes = [_node(f"cp{n}", 10 + n, "control-plane", own=True) for n in (1, 2, 3)]
    text = f"name: lab\nsingle_endpoint: true\nnodes:\n{''.join(nodes)}{_node('w1', 21, 'worker', own=False)}"
    rendered = _rendered(tmp_path, text)
    for number, name in ((11, "cp1"), (12, "cp2"), (13, "cp3"), (21, "w1")):
        files = _files(rendered, name)
        conf = files["/etc/imgbuild/cluster.conf"]
        assert _row(conf, "endpoint") == "10.50.0.11:6443"
        assert _row(conf, "node_ip") == (f"10.50.0.{number}" if name != "w1" else "172.30.0.21")
        assert "apiServerEndpoint: 10.50.0.11:6443" in files["/etc/imgbuild/kubeadm-join.yaml"]
        if name != "w1":
            assert f"advertiseAddress: 10.50.0.{number}" in files["/etc/imgbuild/kubeadm-join.yaml"]
            assert "k8sServiceHost: 10.50.0.11" in files["/etc/imgbuild/cilium-values.yaml"]
        # Who made anew would ask whether the cluster is there.
        others = "10.50.0.12:6443 10.50.0.13:6443" if name == "cp1" else ""
        assert (_row(conf, "others"), _row(conf, "others_unknown")) == (others, "")
    assert "controlPlaneEndpoint: 10.50.0.11:6443" in _files(rendered, "cp1")["/etc/imgbuild/kubeadm-init.yaml"]


def test_a_workers_advertised_address_is_its_own_and_nobodys_endpoint(tmp_path: Path) -> None:
    nodes = _node("cp1", 11, "control-plane", own=True) + _node("w1", 21, "worker", own=True)
    files = _files(_rendered(tmp_path, f"name: lab\nnodes:\n{nodes}"), "w1")
    assert "apiServerEndpoint: 10.50.0.11:6443" in files["/etc/imgbuild/kubeadm-join.yaml"]
    assert _row(files["/etc/imgbuild/cluster.conf"], "endpoint") == "10.50.0.11:6443"
    assert _row(files["/etc/imgbuild/cluster.conf"], "node_ip") == "10.50.0.21"
    assert "value: 10.50.0.21" in files["/etc/imgbuild/kubeadm-join.yaml"]


@pytest.mark.parametrize("own", [True, False])
def test_the_profiles_advertised_address_is_that_of_the_control_plane(tmp_path: Path, own: bool) -> None:
    """Not a worker's, and a worker with settings sees the endpoint that all see."""
    nodes = _node("cp1", 11, "control-plane", own=False) + _node("w1", 21, "worker", own=own)
    rendered = _rendered(tmp_path, f"name: lab\nnodes:\n{nodes}", "kubernetes.advertise_address=10.50.0.11")
    for name in ("cp1", "w1"):
        conf = _files(rendered, name)["/etc/imgbuild/cluster.conf"]
        assert _row(conf, "endpoint") == "10.50.0.11:6443"
    assert _row(conf, "node_ip") == ("10.50.0.21" if own else "172.30.0.21")


@pytest.mark.parametrize("value", ["eth1", None])
def test_node_ip_names_the_card_of_every_node(tmp_path: Path, value: str | None) -> None:
    nodes = _node("cp1", 11, "control-plane", own=False) + _node("w1", 21, "worker", own=False)
    if value is None:  # an address, in each node's settings
        for number in (11, 21):
            at = nodes.index(f"network: {{dns: [172.30.0.1], interfaces: [{{name: eth0, mac: '52:54:00:00:{number}")
            nodes = f"{nodes[:at]}settings: {{kubernetes: {{node_ip: 10.50.0.{number}}}}}, {nodes[at:]}"
    rendered = _rendered(tmp_path, f"name: lab\nnodes:\n{nodes}", *([f"kubernetes.node_ip={value}"] if value else []))
    for name, address in (("cp1", "10.50.0.11"), ("w1", "10.50.0.21")):
        files = _files(rendered, name)
        conf = files["/etc/imgbuild/cluster.conf"]
        assert (_row(conf, "node_ip"), _row(conf, "node_interface")) == (address, "")
        assert _row(conf, "endpoint") == "10.50.0.11:6443"
        file = files["/etc/imgbuild/kubeadm-init.yaml" if name == "cp1" else "/etc/imgbuild/kubeadm-join.yaml"]
        assert f"- name: node-ip\n    value: {address}\n" in file
    assert "advertiseAddress: 10.50.0.11" in _files(rendered, "cp1")["/etc/imgbuild/kubeadm-init.yaml"]


def test_the_api_server_may_be_at_another_address_than_the_node(tmp_path: Path) -> None:
    nodes = _node("cp1", 11, "control-plane", own=False)
    sets = ("kubernetes.node_ip=eth0", "kubernetes.advertise_address=10.50.0.11")
    init = _files(_rendered(tmp_path, f"name: lab\nnodes:\n{nodes}", *sets), "cp1")["/etc/imgbuild/kubeadm-init.yaml"]
    assert "advertiseAddress: 10.50.0.11" in init
    assert "- name: node-ip\n    value: 172.30.0.11\n" in init


@pytest.mark.parametrize("network", ["", "network: {interfaces: [{name: eth1, mac: '52:54:00:00:00:01', dhcp: true}]}"])
def test_first_boot_looks_up_the_address_of_a_card_with_dhcp(tmp_path: Path, network: str) -> None:
    text = f"name: lab\nnodes:\n  - {{name: cp1, role: control-plane, {network}}}\n"
    files = _files(_rendered(tmp_path, text, "kubernetes.node_ip=eth1"), "cp1")
    conf = files["/etc/imgbuild/cluster.conf"]
    assert (_row(conf, "node_ip"), _row(conf, "node_interface")) == ("", "eth1")
    assert "value: '@NODE_IP@'" in files["/etc/imgbuild/kubeadm-init.yaml"]


def test_a_control_plane_whose_address_dhcp_gives_is_named(tmp_path: Path) -> None:
    nodes = "".join(f"  - {{name: cp{n}, role: control-plane}}\n" for n in (1, 2, 3))
    rendered = _rendered(tmp_path, f"name: lab\nendpoint: 10.0.0.9:6443\nnodes:\n{nodes}")
    conf = _files(rendered, "cp1")["/etc/imgbuild/cluster.conf"]
    assert (_row(conf, "others"), _row(conf, "others_unknown")) == ("", "cp2 cp3")


def test_node_ip_with_both_families(tmp_path: Path) -> None:
    cards = (
        "network: {dns: [172.30.0.1], interfaces: [{name: eth0, mac: '52:54:00:00:00:01', "
        "addresses: [172.30.0.11/24, 'fd30::11/64'], gateway: 172.30.0.1}, "
        "{name: eth1, mac: '52:54:00:00:00:02', addresses: ['10.50.0.11/24', 'fd50::11/64']}]}"
    )
    both = (
        "kubernetes.pod_cidr=10.244.0.0/16,fd00:10:244::/56",
        "kubernetes.service_cidr=10.96.0.0/16,fd00:10:96::/112",
        "cilium.values.ipv6.enabled=true",
        "kernel.version=6.15.9",
        "kubernetes.node_ip=eth1",
    )
    text = "name: lab\nnodes:\n  - {{name: cp1, role: control-plane, {}}}\n"
    for network, wanted, interface in (
        (cards, "10.50.0.11,fd50::11", ""),
        (cards.replace(", 'fd50::11/64'", ""), "10.50.0.11,@SECOND_IP@", "eth1"),
        ("", "@NODE_IP@,@SECOND_IP@", "eth1"),
    ):
        files = _files(_rendered(tmp_path, text.format(network), *both), "cp1")
        assert f"value: {wanted}" in files["/etc/imgbuild/kubeadm-init.yaml"].replace("'", "")
        assert _row(files["/etc/imgbuild/cluster.conf"], "node_interface") == interface
