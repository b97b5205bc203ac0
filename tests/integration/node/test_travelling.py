"""First boot and verify with the scripts as they reach a stock node: without what its role and its cluster rule out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from imgbuild.config.cluster import DEFAULT
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.node import node_tree
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.userdata import travelling
from tests.integration.node.test_firstboot import INIT, JOINED, VIP_POD
from tests.support.node import fakenode
from tests.support.node.bootnode import STAGES, StockNode
from tests.support.profiles import resolved


def functions(node: StockNode) -> set[str]:
    scripts = (path for path in (node.root / "usr/libexec/imgbuild").rglob("*") if path.is_file())
    return {name for path in scripts for name in re.findall(r"(?m)^(\w+)\(\)", path.read_text())}


def done(node: StockNode) -> None:
    """First boot ends, and no function is missed on the way."""
    ended = node.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "not found" not in ended.stdout + ended.stderr
    without_addons = [name for name in STAGES if name != "addons"]
    assert (node.status["stage"], node.status["state"], node.status["done"]) == ("finished", "ok", without_addons)


def test_a_cluster_of_one(tmp_path: Path) -> None:
    node = StockNode(tmp_path, secrets=False, endpoint="")
    assert not functions(node) & {"try_to_join", "own_api_answers", "balancer_listens", "await_new_vip", "xdp_detected"}
    done(node)
    assert node.calls("kubeadm") == [INIT]


@pytest.mark.parametrize("role", ["control-plane", "worker"])
def test_a_joiner(tmp_path: Path, role: str) -> None:
    node = StockNode(tmp_path, node_role=role, node_name="n2")
    assert ("let_go" in functions(node)) == (role == "control-plane")
    assert node.has("usr/libexec/imgbuild/upkeep") == (role == "control-plane")
    node.set(wait="3")
    done(node)
    assert [call for call in node.calls("kubeadm") if "phase" not in call] == [JOINED]


def test_a_virtual_address(tmp_path: Path) -> None:
    node = StockNode(tmp_path, vip="10.0.0.10", others="10.0.0.12:6443")
    node.write("etc/imgbuild/kube-vip.yaml", VIP_POD, 0o600)
    node.set(pods="")
    assert {"await_new_vip", "own_api_answers", "try_to_join"} <= functions(node)
    done(node)
    assert (node.world / "vip-at-init").read_text() == VIP_POD


def test_a_reset_and_another_first_boot(tmp_path: Path) -> None:
    node = StockNode(tmp_path, secrets=False, endpoint="")
    done(node)
    ended = node.run("reset", "--yes")
    assert "not found" not in ended.stdout + ended.stderr
    assert ended.returncode == 0, ended.stdout + ended.stderr
    done(node)


@pytest.mark.parametrize("profile", ["centos8-efi", "debian12-efi"])
def test_verify_reports_the_same(profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = resolved(profile, sets=["mode=stock"])
    whole = fakenode.Node(tmp_path / "whole", found).checks()
    default = seed_tree(found, DEFAULT, DEFAULT.nodes[0]).by_path()["/etc/imgbuild/cluster.conf"].content
    files = {
        "cluster.conf": default + fakenode.CLUSTER_CONF.encode(),
        "addons.conf": b"",
    }  # as the stand-in node has it
    own = NodeTree(tuple(NodeFile(f"/etc/imgbuild/{name}", content) for name, content in files.items()))
    tree = node_tree(found)
    short = replace(tree, files=tuple(travelling(found, [tree], own)))
    assert sum(len(f.content) for f in short.files) < 0.8 * sum(len(f.content) for f in tree.files)
    monkeypatch.setattr(fakenode, "node_tree", lambda _: short)
    assert fakenode.Node(tmp_path / "short", found).checks() == whole
