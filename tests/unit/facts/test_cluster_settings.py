"""settings: at the top of a cluster file: for all its nodes, below the settings of a node's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.outputs.manifest import values
from imgbuild.pipeline import Input, Request, prepare
from tests.support.checking import ADMIN
from tests.support.travels import files

NODES = "nodes:\n  - {name: a, role: control-plane}\n  - {name: b, role: worker, settings: {run: [echo b]}}\n"


def given(
    folder: Path, settings: str, mode: str | None = None, nodes: str = NODES
) -> tuple[Input | None, list[Finding]]:
    lab = folder / "lab.yaml"
    lab.write_text(f"name: lab\nendpoint: 10.0.0.1:6443\nsettings: {settings}\n{nodes}")
    found = Findings()
    try:
        return prepare(Request("debian12-efi", (), [ADMIN], mode, lab), found), found.items
    except InvalidInput:
        return None, [f for f in found.items if f.severity.name == "ERROR"]


def test_all_nodes_get_them_and_a_nodes_own_come_after(tmp_path: Path) -> None:
    ready, _ = given(tmp_path, "{run: [echo all]}")
    assert ready is not None and ready.resolved.profile.run == ["echo all"]
    seeds = ready.rendered.groups["nodes"]
    assert b"echo all" in seeds["a/user-data"].content
    assert b"echo b" in seeds["b/user-data"].content and b"echo all" not in seeds["b/user-data"].content
    assert values(ready.resolved.layered)["run[0]"]["from"] == f"{tmp_path / 'lab.yaml'}:3:18"


@pytest.mark.parametrize(
    ("settings", "key", "hint"),
    [
        ("{kernel: {sysctl: {vm.swappiness: 3}}}", 'settings.kernel.sysctl."vm.swappiness"', "--mode stock"),
        ("{firmware: bios}", "settings.firmware", "set it in the profile"),
        # Its scope is the cluster, and only rendering shows that the image changes with it.
        ("{containerd: {cgroup_driver: cgroupfs}}", "settings.containerd.cgroup_driver", "--mode stock"),
        ("{kubernetes: {pod_cidr: '10.999.0.0/16'}}", "settings.kubernetes.pod_cidr", "CIDR"),
        ("{swop: 1}", "settings.swop", "swap"),
    ],
)
def test_what_is_wrong_is_one_error_at_its_place(tmp_path: Path, settings: str, key: str, hint: str) -> None:
    ready, found = given(tmp_path, settings)
    assert ready is None
    (error,) = found
    assert error.key == key and hint in error.hint
    assert error.mark is not None and error.mark.file.endswith("lab.yaml") and error.mark.line == 3


def test_what_is_the_clusters_and_not_in_the_image_is_fine(tmp_path: Path) -> None:
    ready, found = given(tmp_path, "{kubernetes: {dns_domain: lan.example, pod_cidr: 10.7.0.0/16}}")
    assert ready is not None, found
    assert ready.resolved.profile.kubernetes.pod_cidr == "10.7.0.0/16"


def test_in_stock_mode_there_is_no_image(tmp_path: Path) -> None:
    ready, found = given(tmp_path, "{kernel: {sysctl: {vm.swappiness: 3}}}", "stock")
    assert ready is not None, found
    brought = files(yaml.safe_load(ready.rendered.groups["nodes"]["b/user-data"].content))
    assert any("vm.swappiness = 3" in item["content"] for item in brought)
    ready, found = given(tmp_path, "{target: centos8}", "stock")
    assert ready is None and found[0].code == "IB428" and "--mode stock" not in found[0].hint


def test_a_finding_of_a_check_names_the_key_as_it_is_written(tmp_path: Path) -> None:
    _, found = given(tmp_path, "{users: [{name: root}]}")
    assert [(f.code, f.key) for f in found] == [("IB452", "settings.users[0].name")]


def test_what_the_profile_lacks_is_not_said_of_the_cluster_file(tmp_path: Path) -> None:
    lab, profile = tmp_path / "lab.yaml", tmp_path / "node.yaml"
    profile.write_text("extends: debian12-efi\n")
    lab.write_text(f"name: lab\nendpoint: 10.0.0.1:6443\nsettings: {{run: [echo all]}}\n{NODES}")
    found = Findings()
    prepare(Request(str(profile), cluster=lab), found)
    (warning,) = [f for f in found.items if f.code == "IB450"]
    assert warning.mark is not None and warning.mark.file == str(profile)


def test_a_key_of_the_profile_at_the_top_belongs_below_settings(tmp_path: Path) -> None:
    ready, found = given(tmp_path, "{}", nodes=f"time: {{zone: Asia/Tokyo}}\nfirmware: bios\n{NODES}")
    assert ready is None
    hints = {f.key: f.hint for f in found}
    assert "settings: {time: …}" in hints["time"] and hints["firmware"] == "firmware belongs in the profile"
