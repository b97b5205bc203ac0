"""Every seed of a cluster with three control planes, as a run renders them, applied with the real cloud-init."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
import yaml

from imgbuild.diagnostics.findings import Findings
from imgbuild.pipeline import Input, Request, prepare
from imgbuild.render.cluster_files import seed_tree
from tests.support.applied import Applied, apply_seed
from tests.support.cloudinit.words import module_list

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and an overlay need root"),
    pytest.mark.skipif(shutil.which("cloud-init") is None, reason="needs Debian's cloud-init"),
]

NODES = {f"cp{n}": f"52:54:00:12:34:1{n}" for n in (1, 2, 3)} | {f"w{n}": f"52:54:00:12:34:2{n}" for n in (1, 2)}
EVERYWHERE = {"cluster.conf": 0o644, "seed.conf": 0o644, "kubeadm-join.yaml": 0o600, "pki/ca.crt": 0o644}
CONTROL_PLANE = {
    "cilium-values.yaml": 0o600, "kube-vip.yaml": 0o644, "kube-vip.hosts": 0o644, "pki/ca.key": 0o600,
    "pki/front-proxy-ca.crt": 0o644,
    "pki/front-proxy-ca.key": 0o600, "pki/etcd/ca.crt": 0o644, "pki/etcd/ca.key": 0o600, "pki/sa.key": 0o600,
    "pki/sa.pub": 0o644,
}  # fmt: skip
FIRST = {"kubeadm-init.yaml": 0o600}


def cluster_file() -> str:
    """Three control planes with static addresses behind a virtual one, two workers by DHCP."""
    nodes: list[dict[str, object]] = []
    for number, (name, mac) in enumerate(NODES.items(), 11):
        interface = {"name": "eth0", "mac": mac, "addresses": [f"192.0.2.{number}/24"], "gateway": "192.0.2.1"}
        static = {"role": "control-plane", "network": {"interfaces": [interface], "dns": ["192.0.2.53"]}}
        dhcp = {"role": "worker", "mac": mac, "labels": {"zone": "a"}}
        nodes.append({"name": name, **(static if name.startswith("cp") else dhcp)})
    return yaml.safe_dump({"name": "lab", "vip": {"address": "192.0.2.5"}, "nodes": nodes})


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Input:
    """The cluster with secrets of its own, rendered once."""
    file = tmp_path_factory.mktemp("cluster") / "lab.yaml"
    file.write_text(cluster_file())
    return prepare(Request("debian12-efi", cluster=file), Findings())


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_its_files_and_no_others_keys(name: str, ready: Input, tmp_path: Path) -> None:
    resolved, kept = ready.resolved, ready.kept
    assert kept is not None
    node = next(node for node in ready.cluster.nodes if node.name == name)
    seed = {
        path.removeprefix(f"{name}/"): file.content
        for path, file in ready.rendered.groups["nodes"].items()
        if path.startswith(f"{name}/") and not path.endswith(".iso")
    }
    modules = module_list(resolved)
    applied = apply_seed(seed, tmp_path, modules=modules, macs=[NODES[name]])
    assert (applied.errors, applied.warnings, applied.hostname) == ([], [], name)

    wanted = EVERYWHERE | (CONTROL_PLANE if name.startswith("cp") else {}) | (FIRST if name == "cp1" else {})
    assert modes_below(applied.root / "etc/imgbuild") == wanted
    tree = seed_tree(resolved, ready.cluster, node, kept.secrets)
    assert {f.path: applied.read(f.path) for f in tree.files} == {f.path: f.content for f in tree.files}

    keys = [kept.secrets.service_account_private_key, *(a.private_key for a in kept.secrets.authorities.values())]
    for key in keys:
        holders = holding(applied, key.splitlines()[2])
        assert bool(holders) == name.startswith("cp")
        assert not any(mode & ~0o600 or owner or group for mode, owner, group in holders.values()), holders
    addresses = [
        text for place in ("systemd/network", "netplan", "network") for text in texts(applied.root / "etc" / place)
    ]
    assert any("192.0.2.1" in text for text in addresses) == name.startswith("cp")


def modes_below(folder: Path) -> dict[str, int]:
    """Every file below a folder with its mode; each is root's."""
    found = {str(p.relative_to(folder)): p.stat() for p in folder.rglob("*") if p.is_file()}
    assert {(s.st_uid, s.st_gid) for s in found.values()} == {(0, 0)}
    return {name: stat.S_IMODE(s.st_mode) for name, s in found.items()}


def holding(applied: Applied, text: str) -> dict[str, tuple[int, int, int]]:
    """What cloud-init wrote that holds a text, its own copies of user-data as well: mode, owner and group.

    Not the seed, whose modes are the test's.
    """
    found = {}
    for path in (applied.root / top for top in ("etc", "var/lib/cloud/instances", "var/log", "run")):
        for file in (p for p in path.rglob("*") if p.is_file() and not p.is_symlink()):
            if text in file.read_bytes().decode(errors="replace"):
                s = file.stat()
                found[str(file.relative_to(applied.root))] = (stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid)
    return found


def texts(folder: Path) -> list[str]:
    """What cloud-init wrote into a folder."""
    return [p.read_text() for p in folder.rglob("*cloud-init*") if p.is_file()]
