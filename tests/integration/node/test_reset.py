"""imgbuild-reset on a fake root: what first boot made is gone, the seed is not, and first boot runs again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.node.test_firstboot import RESET, finished
from tests.support.deadline import HUNG
from tests.support.node.bootnode import KEYS, BootNode
from tests.support.profiles import SECURE_PATH

STOP = "stop imgbuild-firstboot.timer imgbuild-firstboot.service imgbuild-upkeep.service"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="imgbuild-reset wants root")


@pytest.fixture
def node(tmp_path: Path) -> BootNode:
    """A node whose first boot is done, with what Cilium left behind."""
    node = BootNode(tmp_path)
    assert node.run().returncode == 0
    for path in ("etc/cni/net.d/05-cilium.conflist", "etc/cni/net.d/10-mine.conflist.cilium_bak",
                 "run/cilium/state/x", "opt/cni/bin/cilium-cni", "etc/sysctl.d/99-zzz-override_cilium.conf",
                 "sys/class/net/cilium_vxlan/flags", "var/lib/cni/networks/x", "sys/fs/bpf/tc/globals/cilium_lxc",
                 "sys/fs/bpf/tc/globals/mine", "sys/fs/bpf/cilium/devices/x", "sys/class/net/cilium_host/flags",
                 "sys/class/net/lxc12/flags", "sys/class/net/eth0/flags", "var/lib/imgbuild/renewal",
                 "var/lib/imgbuild/coredns.spread"):  # fmt: skip
        node.write(path, "")
    node.forget()
    return node


def test_first_boot_runs_again(node: BootNode) -> None:
    done = node.run("reset", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert node.calls("systemctl") == [STOP]
    assert node.calls("kubeadm") == [RESET]
    assert [call for call in node.calls("ip") if "delete" in call] == [
        "link delete dev cilium_host",
        "link delete dev cilium_vxlan",
        "link delete dev lxc12",
    ]
    assert "filter delete dev eth0 ingress protocol all pref 1 handle 0x1 bpf" in node.calls("tc")
    assert node.has("etc/cni/net.d/10-mine.conflist")
    assert "link set dev eth0 xdp off" in node.calls("ip")
    for gone in ("run/cilium", "opt/cni/bin/cilium-cni", "etc/sysctl.d/99-zzz-override_cilium.conf",
                 "etc/cni/net.d/05-cilium.conflist", "var/lib/cni/networks", "sys/fs/bpf/tc/globals/cilium_lxc",
                 "sys/fs/bpf/cilium", "var/lib/imgbuild/firstboot", "var/lib/imgbuild/firstboot.done",
                 "var/lib/imgbuild/renewal", "var/lib/imgbuild/coredns.spread", "var/lib/imgbuild/kubeadm.way",
                 "root/.kube/config", "etc/kubernetes/admin.conf",
                 "var/lib/etcd/member"):  # fmt: skip
        assert not node.has(gone), gone
    keys = [f"etc/imgbuild/pki/{name}" for name in KEYS]
    for kept in ("sys/fs/bpf/tc/globals/mine", "etc/imgbuild/kubeadm-init.yaml", *keys):
        assert node.has(kept), kept
    assert node.run().returncode == 0
    finished(node)


def test_another_network_than_cilium_stays(tmp_path: Path) -> None:
    node = BootNode(tmp_path, cilium="no")
    assert node.run().returncode == 0
    node.write("etc/cni/net.d/10-bridge.conflist", "{}")
    node.write("var/lib/cni/networks/bridge/10.244.0.2", "")
    done = node.run("reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert "/etc/cni/net.d stays" in done.stdout
    assert node.has("etc/cni/net.d/10-bridge.conflist")
    assert not node.has("var/lib/cni/networks")


def test_a_control_plane_is_taken_out_of_its_cluster(tmp_path: Path) -> None:
    node = BootNode(tmp_path, node_role="control-plane", node_name="n2", vip="10.0.0.10")
    node.write("etc/imgbuild/kube-vip.yaml", "address: 10.0.0.10\n", 0o600)
    node.set(api="ours", vip="")
    (node.world / "alone").unlink()
    assert node.run().returncode == 0
    assert (node.world / "members/77").exists()
    node.forget()
    done = node.run("reset", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (node.world / "members/77").exists()
    assert not (node.world / "nodes/n2").exists()
    assert not (node.world / "vip").exists()
    assert not node.has("run/imgbuild/left.conf")
    # While nothing here brings it back.
    calls = (node.world / "calls").read_text().splitlines()
    at = {
        name: next(i for i, call in enumerate(calls) if name in call) for name in ("kubeadm reset", " delete node n2")
    }
    assert at["kubeadm reset"] < at[" delete node n2"]
    assert node.run().returncode == 0
    finished(node)


@pytest.mark.parametrize("quorum", [True, False])
def test_a_reset_that_was_cut_off_leaves_no_member_of_etcd(tmp_path: Path, quorum: bool) -> None:
    """Of two members the other would never vote again. A cluster that does not answer is not waited for without end."""
    node = BootNode(tmp_path, node_role="control-plane", node_name="n2")
    node.set(api="ours")
    (node.world / "alone").unlink()
    assert node.run().returncode == 0
    node.set(kill="kubectl")  # before it asks for its member
    assert node.run("reset", "--yes").returncode == -9
    assert (node.world / "members/77").exists()
    node.power_cut()
    node.forget()
    if not quorum:
        node.set(**{"no-quorum": ""})
    node.run(sleeps=40)
    calls = (node.world / "calls").read_text().splitlines()
    reset = next(i for i, call in enumerate(calls) if call == f"kubeadm {RESET}")
    removed = [i for i, call in enumerate(calls) if call.endswith("/v3/cluster/member/remove")]
    assert len([i for i in removed if i < reset]) == quorum


def test_a_cluster_that_does_not_answer_is_said(tmp_path: Path) -> None:
    node = BootNode(tmp_path, node_role="control-plane", node_name="n2")
    node.set(api="ours")
    (node.world / "alone").unlink()
    assert node.run().returncode == 0
    node.set(**{"no-quorum": ""})
    done = node.run("reset", "--yes")
    assert done.returncode == 0
    assert "etcdserver: request timed out" in done.stdout
    assert "remove n2 and its member of etcd (https://10.0.0.11:2380) there" in done.stdout


def test_it_asks_first(node: BootNode) -> None:
    env = {"PATH": f"{node.bin}:{SECURE_PATH}", "IMGBUILD_ROOT": str(node.root), "WORLD": str(node.world)}
    program = str(node.root / "usr/libexec/imgbuild/reset")
    for answer in ("no\n", ""):
        done = subprocess.run(
            [program], env=env, input=answer, text=True, capture_output=True, check=False, timeout=HUNG
        )
        assert done.returncode == 2
    assert node.run("reset", "--force").returncode == 2
    assert node.has("var/lib/imgbuild/firstboot.done")
    assert node.calls("kubeadm") == []
    done = subprocess.run([program], env=env, input="yes\n", text=True, capture_output=True, check=False, timeout=HUNG)
    assert done.returncode == 0


def test_a_failure_is_said_and_the_rest_is_done(node: BootNode) -> None:
    (node.world / "fail").mkdir()
    (node.world / "fail/kubeadm").write_text("no")
    done = node.run("reset", "--yes")
    assert done.returncode == 1
    assert "kubeadm reset failed" in done.stderr
    assert not node.has("etc/cni/net.d/05-cilium.conflist")


def test_power_cut_in_a_reset_leaves_no_node_that_counts(node: BootNode) -> None:
    node.set(kill="kubeadm")
    assert node.run("reset", "--yes").returncode == -9
    node.power_cut()
    node.forget()
    assert node.run().returncode == 0
    # Before it, for its own use: what asks etcd's other members.
    assert next(call for call in node.calls("kubeadm") if "phase" not in call) == RESET
    finished(node)
