"""What kubernetes.kubelet, kubernetes.kubeadm and their like become in kubeadm's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.kubelet import difference
from imgbuild.outputs.rendered import Rendered
from imgbuild.pipeline import Request, prepare

PATCH = "/etc/imgbuild/patches/kubeletconfiguration+merge.yaml"


def rendered(
    tmp_path: Path, nodes: str, *sets: str, profile: str = "debian12-efi", mode: str | None = None
) -> Rendered:
    path = tmp_path / "lab.yaml"
    path.write_text(f"name: lab\nendpoint: api.lan:6443\nnodes:\n{nodes}")
    findings = Findings()
    request = Request(profile, sets=sets, mode=mode, cluster=path, secrets=tmp_path / "secrets.yaml")
    return prepare(request, findings).rendered


def files(made: Rendered, node: str) -> dict[str, Any]:
    """The seed's files of a node, as write_files has them."""
    data = yaml.safe_load(made.groups["nodes"][f"{node}/user-data"].content)
    return {file["path"]: file for file in data["write_files"]}


def parts(made: Rendered, node: str, name: str = "kubeadm-init.yaml") -> dict[str, Any]:
    text = files(made, node)[f"/etc/imgbuild/{name}"]["content"]
    return {part["kind"]: part for part in yaml.safe_load_all(text)}


CP = "  - {name: cp1, role: control-plane}\n"
FIELDS = "kubernetes.kubelet={maxPods: 200, systemReserved: {memory: 1Gi, cpu: 500m}, seccompDefault: null}"


def test_every_kubelet_gets_the_profiles_fields(tmp_path: Path) -> None:
    made = rendered(tmp_path, CP + "  - {name: w1, role: worker}\n", FIELDS)
    config = parts(made, "cp1")["KubeletConfiguration"]
    assert config["maxPods"] == 200 and config["systemReserved"] == {"memory": "1Gi", "cpu": "500m"}
    assert config["cgroupDriver"] == "systemd" and "seccompDefault" not in config
    for node in ("cp1", "w1"):
        assert PATCH not in files(made, node)
        assert "patches" not in parts(made, node, "kubeadm-join.yaml")["JoinConfiguration"]


def test_a_nodes_own_fields_are_a_patch_of_it(tmp_path: Path) -> None:
    """Also of the node that makes the cluster: its own fields must not become everybody's."""
    first = CP.replace("}", ", settings: {kubernetes: {kubelet: {maxPods: 20}}}}")
    own = "{kubernetes: {kubelet: {maxPods: null, systemReserved: {cpu: '1'}}}}"
    made = rendered(tmp_path, f"{first}  - {{name: w1, role: worker, settings: {own}}}\n", FIELDS)
    assert parts(made, "cp1")["KubeletConfiguration"]["maxPods"] == 200
    assert parts(made, "cp1")["InitConfiguration"]["patches"] == {"directory": "/etc/imgbuild/patches"}
    assert yaml.safe_load(files(made, "cp1")[PATCH]["content"]) == {"maxPods": 20}
    assert parts(made, "w1", "kubeadm-join.yaml")["JoinConfiguration"]["patches"] == {
        "directory": "/etc/imgbuild/patches"
    }
    patch = files(made, "w1")[PATCH]
    assert yaml.safe_load(patch["content"]) == {"maxPods": None, "systemReserved": {"cpu": "1"}}
    assert patch["permissions"] == "0600"


def test_cgroup_v1_on_one_node_is_a_patch(tmp_path: Path) -> None:
    old = "  - {name: w1, role: worker, settings: {kernel: {flavour: kernel-lt, cgroup: v1}}}\n"
    quiet = ("cilium.values.enableIPv4BIGTCP=false", "cilium.values.bandwidthManager.bbr=false")
    made = rendered(tmp_path, CP + old, "kubernetes.cgroup_v1=accept", *quiet, profile="centos8-efi", mode="stock")
    assert "failCgroupV1" not in parts(made, "cp1")["KubeletConfiguration"]
    assert yaml.safe_load(files(made, "w1")[PATCH]["content"]) == {"failCgroupV1": False}


def test_the_difference_is_a_merge_patch() -> None:
    assert difference({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1, "b": {"c": 1, "d": 2}}) == {}
    assert difference({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 3}}) == {"a": None, "b": {"c": 3, "d": None}}
    assert difference({"a": [1]}, {"a": [1, 2], "b": {}}) == {"a": [1, 2], "b": {}}
