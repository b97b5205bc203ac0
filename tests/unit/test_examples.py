"""The examples that users start from, rendered in both modes: what each is an example of is in the output."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgbuild.config.target import target_names
from imgbuild.diagnostics.findings import Findings
from imgbuild.outputs.rendered import Rendered
from imgbuild.pipeline import Request, prepare
from tests.support import travels
from tests.support.deadline import HUNG
from tests.support.places import ROOT

EXAMPLES = ROOT / "examples"
NAMES = sorted(p.parent.name for p in EXAMPLES.glob("*/*.yaml") if p.stem == p.parent.name)
IMGBUILD = str(Path(sys.executable).with_name("imgbuild"))


def rendered(name: str, mode: str, tmp_path: Path) -> Rendered:
    """The output of one example; no secrets are written into the checkout."""
    cluster = EXAMPLES / name / "cluster.yaml"
    findings = Findings()
    request = Request(
        str(EXAMPLES / name / f"{name}.yaml"), mode=mode,
        cluster=cluster if cluster.exists() else None, secrets=tmp_path / "secrets.yaml" if cluster.exists() else None,
    )  # fmt: skip
    found = prepare(request, findings).rendered
    assert found is not None and not findings.errors
    assert not list((EXAMPLES / name).glob("*secrets*"))
    return found


def user_data(out: Rendered, node: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(out.groups["nodes"][f"{node}/user-data"].content)
    return found


def written(out: Rendered, node: str, path: str) -> str:
    """A file that a node's user-data writes."""
    (content,) = [file["content"] for file in travels.files(user_data(out, node)) if file["path"] == path]
    return content if isinstance(content, str) else content.decode()


def nodes(out: Rendered) -> set[str]:
    return {path.split("/")[0] for path in out.groups["nodes"]}


BOTH = pytest.mark.parametrize("mode", ["baked", "stock"])


def test_every_example_has_a_test_and_a_line_in_the_list() -> None:
    assert NAMES == ["air-gap", "bare-metal", "dual-stack", "ha-vip", "node-groups", "single-vm"]
    page = (EXAMPLES / "README.md").read_text()
    assert re.findall(r"(?m)^\| \[([a-z-]+)\]\(\1\)", page) == [
        "single-vm", "ha-vip", "node-groups", "dual-stack", "bare-metal", "air-gap",
    ]  # fmt: skip


@pytest.mark.parametrize("target", target_names())
@pytest.mark.parametrize("name", [name for name in NAMES if name != "air-gap"])
def test_the_list_is_right_that_only_the_line_extends_has_to_change(name: str, target: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    profile, cluster = (tmp_path / name / file for file in (f"{name}.yaml", "cluster.yaml"))
    profile.write_text(re.sub(r"(?m)^extends: .*$", f"extends: {target}-efi", profile.read_text()))
    sets = ["kernel.version=6.15.9"] if (name, target) == ("dual-stack", "centos8") else []  # the list says so
    findings = Findings()
    prepare(Request(str(profile), sets=sets, cluster=cluster if cluster.exists() else None), findings)
    assert not findings.errors


@BOTH
def test_single_vm(mode: str, tmp_path: Path) -> None:
    out = rendered("single-vm", mode, tmp_path)
    assert nodes(out) == {"node1"}
    assert "/etc/imgbuild/pki" not in {
        file["path"].rpartition("/")[0] for file in travels.files(user_data(out, "node1"))
    }
    (admin,) = [user for user in user_data(out, "node1")["users"] if user["name"] == "admin"]
    assert admin["ssh_authorized_keys"] and "NOPASSWD" in str(admin["sudo"])
    assert "kind: InitConfiguration" in written(out, "node1", "/etc/imgbuild/kubeadm-init.yaml")


@BOTH
def test_ha_vip(mode: str, tmp_path: Path) -> None:
    out = rendered("ha-vip", mode, tmp_path)
    assert nodes(out) == {"cp1", "cp2", "cp3", "worker1", "worker2"}
    for node in ("cp1", "cp2", "cp3"):
        pod = yaml.safe_load(written(out, node, "/etc/imgbuild/kube-vip.yaml"))
        environment = {row["name"]: row["value"] for row in pod["spec"]["containers"][0]["env"]}
        assert environment["vip_interface"] == "eth0"
        assert "10.20.0.10" in environment.values()
    for node in ("cp2", "cp3", "worker1", "worker2"):
        join = written(out, node, "/etc/imgbuild/kubeadm-join.yaml")
        (config,) = [part for part in yaml.safe_load_all(join) if part["kind"] == "JoinConfiguration"]
        assert config["discovery"]["bootstrapToken"]["apiServerEndpoint"] == "10.20.0.10:6443"
    assert "topology.kubernetes.io/zone" in written(out, "worker1", "/etc/imgbuild/kubeadm-join.yaml")


@BOTH
def test_node_groups(mode: str, tmp_path: Path) -> None:
    """One seed a group, with neither a name nor an address; each node has its own balancer."""
    out = rendered("node-groups", mode, tmp_path)
    assert nodes(out) == {"cp1", "cp2", "cp3", "general", "batch"}
    for group in ("general", "batch"):
        assert not {"hostname", "fqdn"} & user_data(out, group).keys()
        assert f"example.com/pool={group}" in written(out, group, "/etc/imgbuild/kubeadm-join.yaml")
        conf = written(out, group, "/etc/imgbuild/cluster.conf")
        assert "node_name=$(uname -n)" in conf and "balancer=127.0.0.1:" in conf
        assert f"{group}/user-data.gz" in out.groups["cloud"]
    assert "example.com/batch" in written(out, "batch", "/etc/imgbuild/kubeadm-join.yaml")
    values = yaml.safe_load(written(out, "cp1", "/etc/imgbuild/cilium-values.yaml"))
    assert values["routingMode"] == "tunnel"


@BOTH
def test_dual_stack(mode: str, tmp_path: Path) -> None:
    out = rendered("dual-stack", mode, tmp_path)
    assert nodes(out) == {"cp1", "worker1", "worker2"}
    parts = list(yaml.safe_load_all(written(out, "cp1", "/etc/imgbuild/kubeadm-init.yaml")))
    (cluster,) = [part for part in parts if part["kind"] == "ClusterConfiguration"]
    assert cluster["networking"]["podSubnet"] == "10.244.0.0/16,fd00:10:244::/48"
    assert cluster["networking"]["serviceSubnet"] == "10.96.0.0/16,fd00:10:96::/112"
    assert "10.40.0.21,fd00:40::21" in written(out, "worker1", "/etc/imgbuild/kubeadm-join.yaml")
    values = yaml.safe_load(written(out, "cp1", "/etc/imgbuild/cilium-values.yaml"))
    assert values["ipv6"]["enabled"] is True
    assert b"fd00:40::1" in out.groups["nodes"]["worker1/network-config"].content


@BOTH
def test_bare_metal(mode: str, tmp_path: Path) -> None:
    out = rendered("bare-metal", mode, tmp_path)
    for node in ("metal1", "metal2", "metal3"):
        network = yaml.safe_load(out.groups["nodes"][f"{node}/network-config"].content)
        by_name = {part["name"]: part for part in network["config"]}
        assert by_name["bond0"]["bond_interfaces"] == ["eth0", "eth1"]
        assert by_name["bond0"]["params"]["bond-mode"] == "802.3ad"
        assert by_name["bond0.100"]["vlan_link"] == by_name["bond0.200"]["vlan_link"] == "bond0"
        assert "bond0.100" in written(out, node, "/etc/imgbuild/kube-vip.yaml")
        values = yaml.safe_load(written(out, node, "/etc/imgbuild/cilium-values.yaml"))
        assert values["devices"] == ["bond0.100"]


def test_air_gap(tmp_path: Path) -> None:
    """Everything that is installed is fetched from the one mirror: no address of the internet is left."""
    out = rendered("air-gap", "baked", tmp_path)
    tree = {file.path: file.content.decode() for file in out.install.files}
    names = ["/etc/imgbuild/install.conf", *sorted(path for path in tree if path.startswith("/etc/yum.repos.d/"))]
    texts = [tree[name] for name in names]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("KEYS=")]
    addresses = re.findall(r"https?://[^/\s'\")]+", "\n".join(lines))
    assert len(addresses) > 7
    assert set(addresses) == {"http://files.example.com"}
    assert "CILIUM_CHART_URLS=(http://files.example.com/cilium-1.19.6.tgz)" in texts[0]


def test_the_air_gap_example_gets_its_images_from_the_one_registry() -> None:
    profile, cluster = EXAMPLES / "air-gap/air-gap.yaml", EXAMPLES / "air-gap/cluster.yaml"
    words = ["images", "--format", "json", "--profile", str(profile), "--cluster", str(cluster)]
    done = subprocess.run([IMGBUILD, *words], capture_output=True, text=True, timeout=HUNG)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = {row["image"]: row["from"] for row in rows if row["event"] == "image"}
    assert "registry.k8s.io/kube-apiserver:v1.35.8" in found
    assert {url.split("/")[2] for urls in found.values() for url in urls} == {"registry.example.com"}
