"""The examples that users start from, rendered in both modes: what each is an example of is in the output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.places import ROOT

EXAMPLES = ROOT / "examples"
NAMES = sorted(p.parent.name for p in EXAMPLES.glob("*/*.yaml") if p.stem == p.parent.name)
IMGBUILD = str(Path(sys.executable).with_name("imgbuild"))


def imgbuild(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([IMGBUILD, *words], cwd=cwd, env=os.environ, capture_output=True, text=True, timeout=120)


def cluster_words(name: str) -> list[str]:
    file = EXAMPLES / name / "cluster.yaml"
    return ["--cluster", str(file), "--secrets", "secrets.yaml"] if file.exists() else []


def rendered(name: str, mode: str, tmp_path: Path) -> Path:
    """The output of one example; no secrets are written into the checkout."""
    words = ["--profile", str(EXAMPLES / name / f"{name}.yaml"), *cluster_words(name)]
    done = imgbuild(*words, "--mode", mode, "--no-image", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list((EXAMPLES / name).glob("*secrets*"))
    return tmp_path / "out" / name


def user_data(out: Path, node: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((out / "nodes" / node / "user-data").read_text())
    return found


def written(out: Path, node: str, path: str) -> str:
    """A file that a node's user-data writes."""
    (content,) = [file["content"] for file in user_data(out, node)["write_files"] if file["path"] == path]
    return content if isinstance(content, str) else content.decode()


def nodes(out: Path) -> set[str]:
    return {path.name for path in (out / "nodes").iterdir() if path.is_dir()}


BOTH = pytest.mark.parametrize("mode", ["baked", "stock"])


def test_every_example_has_a_test_and_a_line_in_the_list() -> None:
    assert NAMES == ["air-gap", "bare-metal", "ha-vip", "single-vm"]
    page = (EXAMPLES / "README.md").read_text()
    assert re.findall(r"(?m)^\| \[([a-z-]+)\]\(\1\)", page) == ["single-vm", "ha-vip", "bare-metal", "air-gap"]


@BOTH
def test_single_vm(mode: str, tmp_path: Path) -> None:
    out = rendered("single-vm", mode, tmp_path)
    assert nodes(out) == {"node1"}
    assert not (tmp_path / "secrets.yaml").exists()
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
def test_bare_metal(mode: str, tmp_path: Path) -> None:
    out = rendered("bare-metal", mode, tmp_path)
    for node in ("metal1", "metal2", "metal3"):
        network = yaml.safe_load((out / "nodes" / node / "network-config").read_text())
        by_name = {part["name"]: part for part in network["config"]}
        assert by_name["bond0"]["bond_interfaces"] == ["eth0", "eth1"]
        assert by_name["bond0"]["params"]["bond-mode"] == "802.3ad"
        assert by_name["bond0.100"]["vlan_link"] == by_name["bond0.200"]["vlan_link"] == "bond0"
        assert "bond0.100" in written(out, node, "/etc/imgbuild/kube-vip.yaml")
        values = yaml.safe_load(written(out, node, "/etc/imgbuild/cilium-values.yaml"))
        assert values["devices"] == ["bond0.100"]


@BOTH
def test_air_gap(mode: str, tmp_path: Path) -> None:
    """Everything that is installed is fetched from the one mirror: no address of the internet is left."""
    out = rendered("air-gap", mode, tmp_path)
    tree = out / "elements/imgbuild-install/tree/etc"
    files = [tree / "imgbuild/install.conf", *sorted(tree.glob("yum.repos.d/*.repo"))]
    texts = [path.read_text() for path in files] if mode == "baked" else [stock_text(out, path.name) for path in files]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("KEYS=")]
    addresses = re.findall(r"https?://[^/\s'\")]+", "\n".join(lines))
    assert len(addresses) > 7
    assert set(addresses) == {"http://files.example.com"}
    assert "IMAGE_ARCHIVES=(kubernetes cilium)" in texts[0]
    assert "CILIUM_CHART_URLS=(http://files.example.com/cilium-1.19.6.tgz)" in texts[0]


def stock_text(out: Path, name: str) -> str:
    """A file of the installation in a stock node's user-data."""
    (path,) = [f["path"] for f in user_data(out, "cp1")["write_files"] if Path(f["path"]).name == name]
    return written(out, "cp1", path)


def test_the_air_gap_example_lists_the_images_for_its_archives(tmp_path: Path) -> None:
    words = ["--profile", str(EXAMPLES / "air-gap/air-gap.yaml"), *cluster_words("air-gap")]
    done = imgbuild("images", "--names", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = done.stdout.split()
    assert any(name.startswith("registry.k8s.io/kube-apiserver:v1.35.8") for name in names)
    assert not [name for name in names if "@sha256:" in name], "an image from an archive is not found by its digest"
