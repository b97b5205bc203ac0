"""First boot on a fake root: its stages, what a failure, a power cut or somebody else's cluster makes of it."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.deadline import Deadline
from tests.support.node.bootnode import JOIN, STAGES, BootNode

INIT = "init --config /run/imgbuild/kubeadm-init.yaml --skip-token-print"
JOINED = "join --config /run/imgbuild/kubeadm-join.yaml"
RESET = "reset --force --cri-socket unix:///run/containerd/containerd.sock"


def finished(node: BootNode) -> None:
    """Everything is done, and said."""
    assert node.has("var/lib/imgbuild/firstboot.done")
    assert (node.status["stage"], node.status["state"], node.status["done"]) == ("finished", "ok", STAGES)
    assert node.console[-1] == "imgbuild: first boot is done"


def test_one_control_plane_without_secrets(tmp_path: Path) -> None:
    node = BootNode(tmp_path, secrets=False, endpoint="")
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    assert node.calls("kubeadm") == [INIT]
    assert node.calls("curl") == []
    assert node.calls("helm") == [
        "pull cilium --version 1.19.6 --repo https://helm.cilium.io --destination /run/imgbuild/chart",
        "upgrade --install cilium /run/imgbuild/cilium-1.19.6.tgz --namespace kube-system"
        " --values /run/imgbuild/cilium-values.yaml",
    ]
    assert "10.0.0.11" in (node.root / "run/imgbuild/cilium-values.yaml").read_text()
    config = node.root / "root/.kube/config"
    assert config.stat().st_mode & 0o777 == 0o600
    assert [line.split()[1:3] for line in node.console[:-1]] == [
        [f"[{i + 1}/{len(STAGES)}]", f"{s}:"] for i, s in enumerate(STAGES)
    ]
    node.forget()
    assert node.run().returncode == 0
    assert not (node.world / "calls").exists()


def test_the_kubeconfig_that_was_there_is_kept_also_after_a_power_cut(tmp_path: Path) -> None:
    """The new one may have its name on the disk, and nothing in it."""
    node = BootNode(tmp_path, secrets=False, endpoint="")
    node.write("root/.kube/config", "mine\n")
    assert node.run().returncode == 0
    config, mine = node.root / "root/.kube/config", node.root / "root/.kube/config.before-imgbuild"
    made = config.read_text()
    config.write_text("")
    for mark in ("firstboot.done", "firstboot/kubeconfig"):
        (node.root / "var/lib/imgbuild" / mark).unlink()
    assert node.run().returncode == 0
    assert (config.read_text(), mine.read_text()) == (made, "mine\n")


def test_further_disks_that_come_late(tmp_path: Path) -> None:
    """The unit gave up, so containerd did not start: first boot tries again, and starts what waited."""
    node = BootNode(tmp_path, secrets=False, endpoint="")
    node.write("etc/imgbuild/disks.conf", "disks=(...)\n")
    answer = """#!/bin/bash
    [ -e "$WORLD/plugged" ] && exit
    [ "$(wc -l < "$WORLD/sleeps")" = 2 ] && touch "$WORLD/plugged"
    echo "imgbuild: error: /data: there is no /dev/disk/by-id/x after 90 s" >&2
    exit 75
    """
    node.write("usr/libexec/imgbuild/disks", answer, 0o755)
    node.run(sleeps=1)
    retries(node, "disks", "/data: there is no /dev/disk/by-id/x after 90 s")
    done = node.run()
    assert done.returncode == 0, done.stderr
    finished(node)
    started = [call for call in node.calls("systemctl") if call.startswith("start")]
    assert started == [
        "start imgbuild-disks.service",
        *(f"start --no-block {name}.service" for name in ("containerd", "buildkit", "kubelet")),
    ]


def test_a_further_disk_that_is_not_blank_is_final(tmp_path: Path) -> None:
    node = BootNode(tmp_path, secrets=False, endpoint="")
    node.write("etc/imgbuild/disks.conf", "disks=(...)\n")
    answer = "#!/bin/bash\necho 'imgbuild: error: /data: /dev/vdb is not blank (xfs)' >&2\nexit 1\n"
    node.write("usr/libexec/imgbuild/disks", answer, 0o755)
    assert node.run().returncode == 1
    assert (node.status["stage"], node.status["state"]) == ("disks", "failed")
    assert node.status["error"] == "/data: /dev/vdb is not blank (xfs)"


def retries(node: BootNode, stage: str, error: str) -> None:
    """A stage failed, and is tried again by itself: so says who is asked."""
    assert (node.status["stage"], node.status["state"]) == (stage, "retrying"), node.status
    assert error in node.status["error"]
    due = datetime.fromisoformat(node.status["next"]) - datetime.fromisoformat(node.status["time"])
    assert due.total_seconds() >= 9
    seen = node.run("status")
    assert seen.returncode == 3
    assert f"{stage:12} retrying, next try at {node.status['next']}: " in seen.stdout
    assert "retries automatically" in seen.stdout
    check = node.real_verify("first-boot")
    assert check.returncode == 1
    assert f"{stage}: retrying" in check.stdout


VIP_POD = "address: 10.0.0.10\npath: /etc/kubernetes/super-admin.conf\n"
CARD = "2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global dynamic eth0\\       valid_lft 86000sec\n"
NO_CARD = "7: cilium_host    inet 10.0.9.1/32 scope global cilium_host\\       valid_lft forever\n"
VIP = "2: eth0    inet 10.0.0.100/32 scope global eth0\\       valid_lft forever\n"
SECOND = "3: eth1    inet 10.9.9.9/24 brd 10.9.9.255 scope global eth1\\       valid_lft forever\n"


def test_without_a_default_route_the_only_address_is_the_nodes(tmp_path: Path) -> None:
    node = BootNode(tmp_path, secrets=False, endpoint="", vip="10.0.0.100")
    node.write("etc/imgbuild/kube-vip.yaml", "kind: Pod\n")
    node.set(addresses=CARD + VIP + NO_CARD)
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    assert "10.0.2.15" in (node.root / "run/imgbuild/cilium-values.yaml").read_text()
    assert "10.0.2.15 is this node's only IPv4 address" in done.stderr


@pytest.mark.parametrize(("addresses", "has"), [("", "it has no address"), (CARD + SECOND, "10.0.2.15, 10.9.9.9")])
def test_without_a_default_route_nothing_is_guessed(tmp_path: Path, addresses: str, has: str) -> None:
    node = BootNode(tmp_path, secrets=False, endpoint="")
    node.set(addresses=addresses)
    assert node.run(sleeps=60).returncode == -9
    retries(node, "kubeadm", has)
    assert node.calls("kubeadm") == []


def test_the_address_of_the_interface_that_node_ip_names(tmp_path: Path) -> None:
    node = BootNode(tmp_path, secrets=False, endpoint="", node_interface="eth1", vip="10.9.9.100")
    node.write("etc/imgbuild/kube-vip.yaml", "kind: Pod\n")
    node.set(cards=CARD + SECOND.replace("9.9/24", "9.100/32") + SECOND)
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    assert "10.9.9.9" in (node.root / "run/imgbuild/cilium-values.yaml").read_text()
    assert "10.9.9.100" not in (node.root / "run/imgbuild/kubeadm-init.yaml").read_text()


def test_an_interface_without_an_address_is_waited_for(tmp_path: Path) -> None:
    node = BootNode(tmp_path, secrets=False, endpoint="", node_interface="eth1")
    node.set(cards=CARD)
    assert node.run(sleeps=60).returncode == -9
    retries(node, "kubeadm", "eth1, which kubernetes.node_ip names, has no IPv4 address")
    assert node.calls("kubeadm") == []


def test_where_the_time_went_is_kept_for_the_boot_plot(tmp_path: Path) -> None:
    node = BootNode(tmp_path, secrets=False, endpoint="")
    node.set(bad="1")
    assert node.run().returncode == 0
    spans = [line.split() for line in (node.root / "run/imgbuild/firstboot.times").read_text().splitlines()]
    assert [name for kind, name, _, _ in spans if kind == "stage"] == STAGES
    assert {name for kind, name, _, _ in spans if kind == "other"} == {"kubeadm", "apiserver", "helm", "waiting"}
    for _, _, start, end in spans:
        assert 0 < float(start) <= float(end)


def test_keys_and_vip_are_there_before_init(tmp_path: Path) -> None:
    node = BootNode(tmp_path, vip="10.0.0.10")
    node.write("etc/imgbuild/kube-vip.yaml", VIP_POD, 0o600)
    node.set(pods="")
    done = node.run()
    assert done.returncode == 0, done.stderr
    finished(node)
    assert len(node.calls("curl")) == 3
    placed = node.root / "etc/kubernetes/manifests/kube-vip.yaml"
    assert placed.stat().st_mode & 0o777 == 0o600
    # super-admin.conf while the cluster is made; then admin.conf, and the pod of it is waited for.
    assert (node.world / "vip-at-init").read_text() == VIP_POD
    assert placed.read_text() == VIP_POD.replace("super-admin", "admin")
    assert [path.name for path in placed.parent.iterdir() if "vip" in path.name] == ["kube-vip.yaml"]
    assert len(node.calls("crictl")) == 4


def test_a_vip_whose_pod_is_not_there_holds_nobody_up(tmp_path: Path) -> None:
    node = BootNode(tmp_path, vip="10.0.0.10")
    node.write("etc/imgbuild/kube-vip.yaml", VIP_POD, 0o600)
    assert node.run().returncode == 0
    finished(node)
    assert len(node.calls("crictl")) == 1


def test_an_older_kubernetes_has_admin_conf_alone_and_the_pod_stays(tmp_path: Path) -> None:
    node = BootNode(tmp_path, vip="10.0.0.10")
    node.write("etc/imgbuild/kube-vip.yaml", VIP_POD.replace("super-admin", "admin"), 0o600)
    node.set(pods="")
    assert node.run().returncode == 0
    finished(node)
    assert node.calls("crictl") == []


@pytest.mark.parametrize("role", ["control-plane", "worker"])
def test_a_joiner_waits_and_says_so(tmp_path: Path, role: str) -> None:
    node = BootNode(tmp_path, node_role=role, node_name="n2")
    node.set(wait="40")
    done = node.run()
    assert done.returncode == 0, done.stderr
    finished(node)
    assert [call for call in node.calls("kubeadm") if "phase" not in call] == [JOINED]
    assert node.calls("helm") == []
    assert node.has("root/.kube/config") == (role == "control-plane")
    said = [line for line in node.console if "waits" in line]
    assert said == [
        "imgbuild: kubeadm waits: the cluster does not answer at 10.0.0.10:6443: curl: (7) Failed to connect to "
        "10.0.0.10 port 6443: Couldn't connect to server"
    ]


def test_a_joiner_is_never_tired(tmp_path: Path) -> None:
    node = BootNode(tmp_path, node_role="worker", node_name="n2")
    assert node.run(sleeps=20).returncode == -9
    assert (node.status["stage"], node.status["state"]) == ("kubeadm", "waiting")
    assert "Failed to connect" in node.status["error"]
    seen = node.run("status")
    assert seen.returncode == 3
    assert "waiting: the cluster does not answer" in seen.stdout
    assert node.run("status", "--banner").stdout.startswith("imgbuild: first boot is at kubeadm: waiting: the cluster")


@pytest.mark.parametrize("key", [
    "chronyc", "uname", "ctr", "kubeadm", "kubeadm certs", "kubeadm kubeconfig", "kubeadm control-plane",
    "kubeadm kubelet-start", "kubeadm wait-control-plane", "kubeadm coredns", "kubeadm addon", "helm", "helm half",
])  # fmt: skip
def test_power_cut_at_the_first_control_plane(tmp_path: Path, key: str) -> None:
    node = BootNode(tmp_path)
    node.set(kill=key)
    assert node.run().returncode == -9
    assert not (node.world / "kill").exists(), "the power was not cut"
    node.power_cut()
    node.forget()
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    assert (node.world / "cilium").exists()
    # kubeadm makes Service kube-dns after Deployment coredns.
    whole = key in ("kubeadm addon", "helm", "helm half")
    again = [] if whole else [INIT] if not key.startswith("kubeadm") else [RESET, INIT]
    assert node.calls("kubeadm") == again


@pytest.mark.parametrize("role", ["control-plane", "worker"])
@pytest.mark.parametrize(
    "key", ["kubeadm", "kubeadm kubelet-bootstrap", "kubeadm kubelet-start", "kubeadm control-plane", "kubeadm addon"]
)
def test_power_cut_at_a_joiner(tmp_path: Path, role: str, key: str) -> None:
    if role == "worker" and key == "kubeadm control-plane":
        key = "kubeadm addon"
    node = BootNode(tmp_path, node_role=role, node_name="n2")
    node.set(api="ours", kill=key)
    (node.world / "alone").unlink()
    assert node.run().returncode == -9
    node.power_cut()
    node.forget()
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    calls = [call for call in node.calls("kubeadm") if "phase" not in call]
    known = key == "kubeadm addon" or (role == "worker" and key == "kubeadm kubelet-start")
    # A control plane's first call of kubeadm looks whether its name is free: no try was begun yet.
    early = role == "control-plane" and key == "kubeadm"
    assert calls == ([] if known else [JOINED] if early else [RESET, JOINED])


@pytest.mark.parametrize("key", ["kubeadm addon", "kubeadm kube-proxy"])
def test_power_cut_before_kube_proxy_has_its_rights(tmp_path: Path, key: str) -> None:
    node = BootNode(tmp_path, kube_proxy="yes")
    node.set(proxy="", kill=key)
    assert node.run().returncode == -9
    node.power_cut()
    node.forget()
    assert node.run().returncode == 0
    assert node.calls("kubeadm") == [RESET, INIT]
    finished(node)


@pytest.mark.parametrize(
    "key", ["kubeadm etcd member", "kubeadm control-plane", "kubeadm etcd", "kubeadm kubelet-start"]
)
def test_a_cut_off_join_leaves_no_member_of_etcd(tmp_path: Path, key: str) -> None:
    """kubeadm reset removes the member only when the Node is known; with its data gone it cannot come back."""
    node = BootNode(tmp_path, node_role="control-plane", node_name="n2")
    node.set(api="ours", kill=key)
    (node.world / "alone").unlink()
    assert node.run().returncode == -9
    assert (node.world / "members/77").exists()
    node.power_cut()
    node.forget()
    # While etcd's others do not answer, this node's own may be the vote that they miss: nothing is undone.
    node.set(**{"no-quorum": ""})
    assert node.run(sleeps=10).returncode == -9
    assert JOINED not in node.calls("kubeadm")
    assert "etcdserver: request timed out" in node.status["error"]
    if key != "kubeadm etcd member":  # nothing runs here that could vote
        assert RESET not in node.calls("kubeadm")
        assert node.has("var/lib/etcd/member/db")
    (node.world / "no-quorum").unlink()
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    removed = [call for call in node.calls("curl") if call.endswith("/v3/cluster/member/remove")]
    assert [call.split(" --data ")[1] for call in removed] == [
        '{"ID": "77"} https://10.0.0.12:2379/v3/cluster/member/remove'
    ]
    assert not node.has("run/imgbuild/admin")


def test_an_unfinished_try_takes_the_virtual_address_along(tmp_path: Path) -> None:
    node = BootNode(tmp_path, vip="10.0.0.10")
    node.write("etc/imgbuild/kube-vip.yaml", "address: 10.0.0.10\n", 0o600)
    node.set(kill="kubeadm kubelet-start")
    assert node.run().returncode == -9
    node.set(vip="")
    assert node.run().returncode == 0
    assert not (node.world / "vip").exists()
    finished(node)


@pytest.mark.parametrize("folder", ["manifests", "pki", "kubelet"])
def test_power_cut_in_a_reset(tmp_path: Path, folder: str) -> None:
    node = BootNode(tmp_path)
    node.set(kill="kubeadm control-plane")
    node.run()
    node.set(kill=f"kubeadm reset {folder}")
    assert node.run().returncode == -9
    assert node.has("var/lib/etcd/member/db")
    node.power_cut()
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)


def test_a_cut_off_join_waits_for_the_cluster_before_it_undoes_anything(tmp_path: Path) -> None:
    node = BootNode(tmp_path, node_role="worker", node_name="n2")
    node.set(api="ours", kill="kubeadm addon")
    assert node.run().returncode == -9
    (node.world / "api").unlink()
    assert node.run(sleeps=10).returncode == -9
    assert node.has("etc/kubernetes/kubelet.conf")
    assert "whether this node has joined" in node.status["error"]
    node.set(api="ours")
    assert node.run().returncode == 0
    finished(node)
    assert RESET not in node.calls("kubeadm")


def test_the_cluster_is_there_already(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(api="ours")
    done = node.run()
    assert done.returncode == 0, done.stderr
    finished(node)
    assert INIT not in node.calls("kubeadm")
    assert JOINED in node.calls("kubeadm")
    assert node.calls("helm") == []
    assert not node.has("run/imgbuild/admin")


def test_an_endpoint_that_loses_packets_is_asked_for_two_minutes(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(silent="", wait="8")
    assert node.run().returncode == 0
    finished(node)
    assert INIT not in node.calls("kubeadm")
    assert JOINED in node.calls("kubeadm")


def test_an_endpoint_that_never_answers_does_not_stop_the_first_start(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(silent="")
    done = node.run()
    assert done.returncode == 0, done.stderr
    finished(node)
    assert len(node.calls("curl")) == 12
    assert node.calls("kubeadm") == [INIT]


def test_re_imaged_while_the_cluster_lives(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(api="ours")
    (node.world / "nodes").mkdir()
    (node.world / "nodes/cp1").write_text("{}")
    assert node.run(sleeps=10).returncode == -9
    said = node.status["error"]
    assert "kubectl delete node cp1" in said
    assert "member remove ID" in said
    assert sum("waits" in line for line in node.console) == 1
    assert {INIT, JOINED} & set(node.calls("kubeadm")) == set()
    (node.world / "nodes/cp1").unlink()
    assert node.run().returncode == 0
    finished(node)


def test_re_imaged_and_only_etcd_knows_it(tmp_path: Path) -> None:
    node = BootNode(tmp_path, node_role="control-plane", node_name="n2")
    node.set(api="ours")
    (node.world / "alone").unlink()
    (node.world / "members").mkdir()
    (node.world / "members/77").write_text("https://10.0.0.11:2380 data")
    assert node.run(sleeps=10).returncode == -9
    assert "with the ID in the line of https://10.0.0.11:2380" in node.status["error"]
    assert JOINED not in node.calls("kubeadm")
    (node.world / "members/77").unlink()
    assert node.run().returncode == 0
    finished(node)


def test_another_cluster_has_the_address(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(api="foreign")
    done = node.run()
    assert done.returncode == 1
    assert (node.status["stage"], node.status["state"], node.status["next"]) == ("kubeadm", "failed", "")
    assert "not of this cluster's CA" in node.status["error"]
    assert "kubeadm FAILED" in node.console[-1]
    assert node.calls("kubeadm") == []
    assert node.run("status").returncode == 1


def test_nothing_to_join_with_stops_a_second_cluster(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(api="ours")
    (node.root / "etc/imgbuild/kubeadm-join.yaml").unlink()
    assert node.run().returncode == 1
    assert "never creates a second" in node.status["error"]
    assert node.calls("kubeadm") == []


def test_an_expired_token_is_said_and_a_new_one_taken(tmp_path: Path) -> None:
    node = BootNode(tmp_path, node_role="worker", node_name="n2", token_expires="1000000000")
    node.set(api="ours")
    (node.world / "alone").unlink()
    file = node.write("etc/imgbuild/kubeadm-join.yaml", JOIN.replace("abcdef", "oldold"), 0o600)
    assert node.run(sleeps=5).returncode == -9
    assert "couldn't validate the identity of the API Server" in node.status["error"]
    assert "expired on 2001-09-09T01:46:40Z" in node.status["error"]
    file.write_text(JOIN)
    assert node.run().returncode == 0
    finished(node)


def test_somebodys_own_node_is_not_undone(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.write("etc/kubernetes/manifests/kube-apiserver.yaml", "")
    assert node.run().returncode == 1
    assert "imgbuild-reset" in node.status["error"]
    assert node.calls("kubeadm") == []
    assert node.has("etc/kubernetes/manifests/kube-apiserver.yaml")


@pytest.mark.parametrize(("secrets", "conf", "ok"), [
    (True, {}, True), (False, {}, True), (True, {"valid_from": "9999999990"}, False),
    (True, {"valid_until": "1000000000"}, False),
])  # fmt: skip
def test_a_clock_that_is_not_in_step(tmp_path: Path, secrets: bool, conf: dict[str, str], ok: bool) -> None:
    node = BootNode(tmp_path, secrets=secrets, **conf)
    node.set(clock="Not synchronised", reach="377", chronyd="600")
    assert node.run(sleeps=60).returncode == (0 if ok else -9)
    if not ok:
        retries(node, "clock", "the cluster's CA is valid from")
        # The time comes back, and nobody has to do anything.
        node.set(clock="Normal", api="ours")
        assert node.run().returncode == (1 if "valid_until" in conf else -9)
        if "valid_until" in conf:
            assert "the cluster's CA expired on 2001-09-09T01:46:40Z" in node.status["error"]
        else:
            retries(node, "clock", "the clock of the machine that made it was ahead")


@pytest.mark.parametrize(("reach", "asked", "looks"), [
    ("377", "600", 15), ("0", "  4\n  4", 15), ("0", "", 15), ("0", "  5\n  5", 1), ("0", " 86\n 86", 1),
])  # fmt: skip
def test_a_time_server_that_never_answered_is_not_waited_for(
    tmp_path: Path, reach: str, asked: str, looks: int
) -> None:
    node = BootNode(tmp_path)
    node.set(clock="Not synchronised", reach=reach, chronyd=asked)
    assert node.run().returncode == 0
    assert node.calls("chronyc").count("-n tracking") == 1 + looks  # one in the stage before, which does not wait


def test_a_clock_before_the_image_was_made_must_be_set_first(tmp_path: Path) -> None:
    node = BootNode(tmp_path, secrets=False, endpoint="")
    node.set(clock="Not synchronised", reach="0", chronyd="600")
    os.utime(node.root / "usr/libexec/imgbuild/firstboot", (4_000_000_000, 4_000_000_000))
    assert node.run(sleeps=60).returncode == -9
    retries(node, "clock", "this node's files were made at 2096-10-02T07:06:40Z")
    node.set(clock="Normal")
    assert node.run().returncode == 0


def test_the_wrong_kernel_stops(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(kernel="4.18")
    assert node.run().returncode == 1
    assert "the kernel 4.18 runs, but 6.12 was installed" in node.status["error"]
    assert node.status["done"] == ["clock"]
    node.set(kernel="6.12")
    assert node.run().returncode == 0
    finished(node)


@pytest.mark.parametrize(
    ("running", "owner", "code"),
    [
        ("6.19-amd64", "linux-image-6.19-amd64: /boot/vmlinuz-6.19-amd64", 0),
        ("6.19-amd64", "somebodys-kernel: /boot/vmlinuz-6.19-amd64", 1),
        ("6.19-amd64", "", 1),
        ("6.9-amd64", "linux-image-6.9-amd64: /boot/vmlinuz-6.9-amd64", 1),
    ],
    ids=["an update", "another package's", "nobody's", "an older one"],
)
def test_after_a_reset_a_newer_kernel_of_the_package_will_do(
    tmp_path: Path, running: str, owner: str, code: int
) -> None:
    """The file that names imgbuild's kernel is of the installation: `apt full-upgrade` does not change it."""
    node = BootNode(tmp_path)
    node.set(kernel=running)
    dpkg = node.bin / "dpkg"
    dpkg.write_text(
        f"#!/bin/bash\n[ \"$1 $2\" = '-S /boot/vmlinuz-{running}' ] && [ -n '{owner}' ] && echo '{owner}'\n"
    )
    dpkg.chmod(0o755)
    assert node.run().returncode == code
    if code:
        assert f"the kernel {running} runs, but 6.12 was installed" in node.status["error"]
    else:
        finished(node)


def test_stock_waits_for_setup(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.write("usr/libexec/imgbuild/setup", "")
    assert node.run(sleeps=3).returncode == -9
    retries(node, "kernel", "not set up yet")
    node.write("var/lib/imgbuild/setup.done", "")
    assert node.run().returncode == 0


def test_images_and_chart_of_the_disk_image(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    folder = node.root / "usr/share/imgbuild/images"
    node.write("usr/share/imgbuild/images/a.tar", "tar a\n")
    (folder / "b.tar").write_bytes(gzip.compress(b"tar b\n"))
    node.write("usr/share/imgbuild/charts/cilium-1.19.6.tgz", "")
    assert node.run().returncode == 0
    assert node.calls("ctr").count("-n k8s.io images import -") == 2
    assert (node.world / "images").read_text() == "tar a\ntar b\n"
    assert "--repo" not in node.calls("helm")[0]


def test_an_archive_that_is_cut_short_is_named(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.write("usr/share/imgbuild/images/a.tar", "")
    (node.root / "usr/share/imgbuild/images/a.tar").write_bytes(gzip.compress(b"tar a\n" * 1000)[:-9])
    assert node.run().returncode == 1
    assert (node.status["stage"], node.status["state"]) == ("images", "failed")
    assert "ctr cannot import /usr/share/imgbuild/images/a.tar" in node.status["error"].replace(str(node.root), "")


def test_a_failed_stage_is_tried_again_and_counted(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    (node.world / "fail").mkdir()
    (node.world / "fail/helm").write_text("no route")
    node.write("usr/share/imgbuild/charts/cilium-1.19.6.tgz", "")
    for attempt in (1, 2):
        assert node.run().returncode == 1
        assert (node.status["stage"], node.status["attempt"]) == ("cilium", attempt)
        assert node.status["error"] == "helm cannot render cilium-1.19.6.tgz with cilium.values: no route"
    (node.world / "fail/helm").unlink()
    assert node.run().returncode == 0
    finished(node)


def test_verify_that_never_passes_fails(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    (node.world / "good").unlink()
    assert node.run(sleeps=122).returncode == -9  # two of them before kubeadm init
    retries(node, "verify", "node-ready: no; sysctl:vm.swappiness: 60")
    assert not node.has("var/lib/imgbuild/firstboot.done")
    # What a node has of itself does not come back.
    verify = node.root / "usr/libexec/imgbuild/verify"
    verify.write_text(verify.read_text().replace("node-ready", "users"))
    assert node.run().returncode == 1
    assert (node.status["state"], node.status["error"]) == ("failed", "users: no; sysctl:vm.swappiness: 60")


def test_only_what_failed_is_looked_at_again(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(bad="123")
    assert node.run().returncode == 0
    finished(node)
    failed = "node-ready sysctl:vm.swappiness"
    assert node.calls("verify") == ["", failed, failed, failed]


def test_without_a_seed_nothing_happens(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    (node.root / "etc/imgbuild/cluster.conf").unlink()
    assert node.run().returncode == 0
    assert not (node.world / "calls").exists()
    assert len(node.console) == 1
    assert "nothing to do" in node.console[0]
    assert node.run("status").returncode == 4


def test_status(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    assert node.run("status", "--wait").returncode == 2
    assert node.run("status", "--yaml").returncode == 2
    assert node.run("status", "--wait", "0").returncode == 3
    node.write("usr/share/imgbuild/charts/cilium-1.19.6.tgz", "")
    (node.world / "fail").mkdir()
    (node.world / "fail/helm").write_text('"quoted\\back\x1b[31m')
    assert node.run().returncode == 1
    assert node.run("status", "--json", "--wait", "5").stdout == (node.root / "run/imgbuild/status.json").read_text()
    assert "\x1b" not in node.run("status").stdout
    (node.world / "fail/helm").unlink()
    assert node.run().returncode == 0
    assert node.run("status", "--banner").stdout == ""
    table = node.run("status").stdout.splitlines()
    assert [line.split() for line in table[: len(STAGES)]] == [[name, "done"] for name in STAGES]
    node.power_cut()
    assert node.run("status").returncode == 0


def test_what_comes_back_is_tried_again_until_it_is_there(tmp_path: Path) -> None:
    """The chart's repository is down for three tries, then the API server for one, in the middle of an installation."""
    node = BootNode(tmp_path)
    words = 'Error: looks like "https://helm.cilium.io" is not a valid chart repository or cannot be reached'
    (node.world / "fail").mkdir()
    (node.world / "fail/helm pull").write_text(f"3 times\n{words}")
    (node.world / "fail/helm upgrade").write_text("1 times\nError: UPGRADE FAILED: etcdserver: request timed out")
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    said = [line.partition("retrying in ")[2].partition(":")[0] for line in node.console if "retrying in" in line]
    assert said == ["10 s", "20 s", "40 s", "80 s"]
    assert [call.split()[0] for call in node.calls("helm")] == ["pull"] * 4 + ["upgrade", "template", "upgrade"]
    assert not node.has("var/lib/imgbuild/firstboot/cilium.attempts")


def test_a_retry_is_retried_without_end_and_stays_said_while_it_runs(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    (node.world / "fail").mkdir()
    (node.world / "fail/helm pull").write_text("no route")
    assert node.run(sleeps=14).returncode == -9
    retries(node, "cilium", "no route")
    said = [line.partition("retrying in ")[2].partition(":")[0] for line in node.console if "retrying in" in line]
    assert said[:8] == ["10 s", "20 s", "40 s", "80 s", "160 s", "300 s", "300 s", "300 s"]
    # In the middle of a try it is still one that failed before: who asks then is not told of a first try.
    attempt = node.status["attempt"]
    (node.world / "fail/helm pull").write_text("1 times\nno route")
    node.set(kill="helm half")
    assert node.run().returncode == -9
    assert (node.status["state"], node.status["next"]) == ("retrying", "")
    assert node.status["attempt"] == attempt + 2
    assert "no route" in node.status["error"]
    node.power_cut()
    assert node.run().returncode == 0
    finished(node)


def test_a_chart_that_the_repository_does_not_have_is_final(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    (node.world / "fail").mkdir()
    words = 'Error: chart "cilium" version "1.19.6" not found in https://helm.cilium.io repository'
    (node.world / "fail/helm pull").write_text(words)
    assert node.run().returncode == 1
    assert node.status["state"] == "failed"
    assert node.status["error"] == f"https://helm.cilium.io has no chart cilium 1.19.6: {words}"


def test_a_name_that_dns_does_not_know_for_a_while(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(api="unknown")
    assert node.run(sleeps=12).returncode == -9
    retries(node, "kubeadm", "Could not resolve host")
    assert node.calls("kubeadm") == []
    (node.world / "api").unlink()
    assert node.run().returncode == 0
    finished(node)


FATAL = "error execution phase preflight: [preflight] Some fatal errors occurred:\n\t"
ERRORS = {
    f"{FATAL}[ERROR ImagePull]: failed to pull image registry.k8s.io/pause:3.10": True,
    f"{FATAL}[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2": False,
    f"{FATAL}[ERROR ImagePull]: failed to pull image x\n\t[ERROR Swap]: swap is supported for cgroup v2 only": False,
    "error execution phase wait-control-plane: failed while waiting for the control plane to start": True,
    "error execution phase certs/apiserver: failure loading ca certificate authority": False,
    "error unmarshaling configuration schema.GroupVersionKind: strict decoding error": False,
}


@pytest.mark.parametrize("words", ERRORS)
def test_an_init_that_fails(tmp_path: Path, words: str) -> None:
    node = BootNode(tmp_path)
    (node.world / "fail").mkdir()
    (node.world / "fail/kubeadm init").write_text(f"1 times\n{words}")
    assert node.run().returncode == (0 if ERRORS[words] else 1)
    if ERRORS[words]:
        finished(node)
    else:
        assert (node.status["state"], node.status["error"]) == (
            "failed",
            "kubeadm init failed: " + words.translate({9: " ", 10: " "}),
        )


OWN_ENDPOINT = {"endpoint": "10.0.0.11:6443", "single_endpoint": "yes", "others": "10.0.0.12:6443 10.0.0.13:6443"}


def at(node: BootNode, host: str, answer: str) -> None:
    (node.world / "at").mkdir(exist_ok=True)
    (node.world / f"at/{host}:6443").write_text(answer)


@pytest.mark.parametrize("answer", ["ours", "misnamed"])
@pytest.mark.parametrize("host", ["10.0.0.12", "10.0.0.13"])
def test_a_first_control_plane_whose_address_is_the_endpoint_joins_through_another(
    tmp_path: Path, host: str, answer: str
) -> None:
    """Everything in the cluster looks for the API server at this node, the join too."""
    node = BootNode(tmp_path, secrets=True, **OWN_ENDPOINT)
    at(node, host, answer)
    node.set(api="ours")  # what kubectl finds there
    if answer == "misnamed":  # not for the endpoint either
        assert node.run().returncode == 1
        assert "is not for the name" in node.status["error"]
        return
    (node.world / "alone").unlink()
    (node.world / "nodes").mkdir()
    (node.world / "nodes/cp1").write_text("{}")
    assert node.run(sleeps=10).returncode == -9
    assert f"kubectl --server https://{host}:6443 delete node cp1" in node.status["error"]
    assert f"--to-destination {host}:6443" in (node.world / "nat").read_text()
    (node.world / "nodes/cp1").unlink()
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    assert INIT not in node.calls("kubeadm")
    assert JOINED in node.calls("kubeadm")
    assert not (node.world / "nat").exists()  # its own API server is there


def test_a_power_cut_on_the_way_through_another(tmp_path: Path) -> None:
    node = BootNode(tmp_path, secrets=True, **OWN_ENDPOINT)
    at(node, "10.0.0.12", "ours")
    node.set(api="ours", kill="kubeadm etcd")
    (node.world / "alone").unlink()
    assert node.run().returncode == -9
    node.power_cut()
    (node.world / "nat").unlink()  # the kernel's
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    assert INIT not in node.calls("kubeadm")
    assert not (node.world / "nat").exists()


def test_reset_takes_the_detour_off(tmp_path: Path) -> None:
    node = BootNode(tmp_path, secrets=True, **OWN_ENDPOINT)
    at(node, "10.0.0.12", "ours")
    node.set(api="ours", kill="kubeadm")
    (node.world / "alone").unlink()
    assert node.run().returncode == -9
    assert (node.world / "nat").exists()
    assert node.run("reset", "--yes").returncode == 0
    assert not (node.world / "nat").exists()


def test_another_control_plane_knows_the_cluster_when_the_endpoint_forgot_it(tmp_path: Path) -> None:
    """A load balancer that is down, or a name that leads to this very node."""
    node = BootNode(tmp_path, others="10.0.0.12:6443 10.0.0.13:6443")
    at(node, "10.0.0.12", "ours")
    assert node.run(sleeps=10).returncode == -9
    assert (node.status["stage"], node.status["state"]) == ("kubeadm", "waiting")
    assert "the cluster does not answer at 10.0.0.10:6443" in node.status["error"]
    assert node.calls("kubeadm") == []
    node.set(api="ours")
    assert node.run().returncode == 0
    finished(node)
    assert INIT not in node.calls("kubeadm")


def test_a_fresh_cluster_waits_for_nobody(tmp_path: Path) -> None:
    """The others come up at the same time: one refuses, one is not switched on yet."""
    node = BootNode(tmp_path, secrets=True, **OWN_ENDPOINT)
    at(node, "10.0.0.12", "silent")
    done = node.run()
    assert done.returncode == 0, done.stderr
    finished(node)
    assert node.calls("kubeadm") == [INIT]
    assert "no answer from 10.0.0.12:6443 in two minutes" in done.stderr


@pytest.mark.parametrize(("answer", "state", "words"), [
    ("foreign", "failed", "another cluster has this address"),
    ("expired", "retrying", "is not valid at this node's time"),
])  # fmt: skip
def test_another_control_plane_that_is_not_ours(tmp_path: Path, answer: str, state: str, words: str) -> None:
    node = BootNode(tmp_path, secrets=True, **OWN_ENDPOINT)
    at(node, "10.0.0.13", answer)
    node.run(sleeps=4)
    assert node.status["state"] == state
    assert words in node.status["error"]
    assert node.calls("kubeadm") == []


def test_an_endpoint_that_turns_out_to_be_this_nodes_address(tmp_path: Path) -> None:
    """By DHCP: imgbuild could not know it."""
    node = BootNode(tmp_path, endpoint="10.0.0.11:6443", single_endpoint="no", others_unknown="cp2 cp3")
    assert node.run().returncode == 1
    assert "is this node's own address, and there are other control planes" in node.status["error"]
    assert node.calls("kubeadm") == []


def test_an_endpoint_that_moves_between_the_nodes_may_be_here(tmp_path: Path) -> None:
    """Somebody's own keepalived: the address is on this node, beside the one that it has for good."""
    node = BootNode(tmp_path, others="10.0.0.12:6443", others_unknown="cp3")
    node.set(vip="")
    done = node.run()
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    assert node.calls("kubeadm") == [INIT]


@pytest.mark.parametrize("nss", [True, False])
@pytest.mark.parametrize(("answer", "words"), [
    ("misnamed", "is signed by this cluster's CA, but is not for the name 10.0.0.10"),
    ("foreign", "not of this cluster's CA"),
])  # fmt: skip
def test_a_joiner_is_told_which_it_is(tmp_path: Path, answer: str, words: str, nss: bool) -> None:
    """Another cluster, or a certificate whose names do not fit: not every curl tells them apart."""
    node = BootNode(tmp_path, node_role="worker", node_name="n2")
    node.set(api=answer, **({"nss": ""} if nss else {}))
    assert node.run().returncode == 1
    assert node.status["state"] == "failed"
    assert words in node.status["error"]
    assert ("another cluster has this address" in node.status["error"]) == (answer == "foreign")
    assert node.calls("kubeadm") == []


@pytest.mark.parametrize(("text", "words"), [
    ("", "it is empty"), ("node_role=worker\nnode_name='n", "it is truncated"),
    ("node_role=worker\nnode_name=n2\n", "it has no cri_socket"),
])  # fmt: skip
def test_a_seed_that_did_not_arrive_is_named(tmp_path: Path, text: str, words: str) -> None:
    node = BootNode(tmp_path)
    node.write("etc/imgbuild/cluster.conf", text)
    assert node.run().returncode == 1
    assert node.status["state"] == "failed"
    assert f"/etc/imgbuild/cluster.conf is unusable: {words}" in node.status["error"]
    assert " MiB on /" in node.status["error"]
    assert node.real_verify("first-boot").returncode == 1
    assert node.run("status").returncode == 1
    assert node.calls("ctr") == []


def test_what_is_roots_is_kept_from_other_users(tmp_path: Path) -> None:
    """Whoever can open a lock can hold it; whoever can read the logs reads what tools print."""
    node = BootNode(tmp_path)
    assert node.run().returncode == 0
    public = {"status.json", "firstboot.times"}
    files = [path for path in (node.root / "run/imgbuild").iterdir() if path.name not in public]
    assert {"firstboot.lock", "firstboot.last", "kubeadm.said", "helm.said"} <= {path.name for path in files}
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []
    assert (node.root / "var/log/imgbuild").stat().st_mode & 0o777 == 0o700
    for path in (node.root / "var/lib/imgbuild").rglob("*"):
        assert not path.stat().st_mode & 0o022, path


def test_an_older_lock_that_others_may_open_is_closed_to_them(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    lock = node.write("run/imgbuild/firstboot.lock", "", 0o666)
    assert node.run().returncode == 0
    assert lock.stat().st_mode & 0o777 == 0o600


FULL = """#!/bin/bash
export PATH=$PATH:/usr/sbin:/sbin
exec unshare --mount --propagation private bash -c '
    mkdir -p "$1/var" && mount -t tmpfs -o size=256k tmpfs "$1/var"
    mkdir -p "$1/var/lib/imgbuild/firstboot" "$1/var/log/imgbuild"
    head -c 300000 /dev/zero > "$1/var/full" 2> /dev/null
    [ "$2" = full ] || rm "$1/var/full"
    exec "$1/usr/libexec/imgbuild/firstboot"' bash "$IMGBUILD_ROOT" "${1:-full}"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_full_disk_is_named_with_its_free_space(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.write("usr/libexec/imgbuild/full", FULL, 0o755)
    assert node.run("full").returncode == 1
    assert (node.status["stage"], node.status["state"]) == ("clock", "failed")
    assert f"0 of 0 MiB on {node.root}/var)" in node.status["error"]
    assert "clock cannot be written" in node.status["error"]
    # A stage's own words of it are final, too, with the place.
    (node.world / "fail").mkdir()
    (node.world / "fail/helm pull").write_text("Error: write /run/chart: no space left on device")
    assert node.run("full", "room").returncode == 1
    assert (node.status["stage"], node.status["state"]) == ("cilium", "failed")
    assert "no space left" in node.status["error"]
    assert "MiB on " in node.status["error"]


def test_a_time_server_that_is_away_for_a_while(tmp_path: Path) -> None:
    """More than a try's five minutes, and nobody has to do anything."""
    node = BootNode(tmp_path, secrets=False, endpoint="")
    os.utime(node.root / "usr/libexec/imgbuild/firstboot", (4_000_000_000, 4_000_000_000))
    node.set(clock="130 times\nNot synchronised", reach="0", chronyd="600")
    done = node.run(sleeps=300)
    assert done.returncode == 0, done.stdout + done.stderr
    finished(node)
    assert [line.split(" in ")[1][:4] for line in node.console if "clock failed" in line] == ["10 s", "20 s"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_wait_can_be_stopped_at_once(tmp_path: Path, whole: bool) -> None:
    """As systemctl stop does it, and where only first boot itself is killed: nobody keeps its lock."""
    node = BootNode(tmp_path)
    (node.world / "fail").mkdir()
    (node.world / "fail/helm pull").write_text("no route")
    (node.bin / "sleep").write_text('#!/bin/bash\n[ "$1" -lt 10 ] || { : > "$WORLD/asleep" && exec /bin/sleep 60; }\n')
    process = node.start()
    try:
        deadline = Deadline(120)
        while not (node.world / "asleep").exists():
            assert not deadline.passed() and process.poll() is None
            time.sleep(0.2)
        if whole:
            os.killpg(process.pid, signal.SIGTERM)
            assert process.wait(30) == -signal.SIGTERM
        else:
            process.kill()
            process.wait(30)
        lock = node.root / "run/imgbuild/firstboot.lock"
        assert subprocess.run(["flock", "-n", lock, "true"], check=False).returncode == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def clock(*ahead: int) -> dict[str, str]:
    """By how many seconds the API server's clock is ahead of this node's, for one question after the other."""
    return {"api": "ours", "clock": "Not synchronised", "reach": "0", "server-ahead": "\n".join(map(str, ahead))}


def test_a_node_joins_only_once_its_clock_is_the_api_servers(tmp_path: Path) -> None:
    node = BootNode(tmp_path, node_role="worker", node_name="n2")
    node.set(**clock(14_400, 14_400, 0))
    done = node.run()
    assert done.returncode == 0, done.stderr
    finished(node)
    assert node.calls("kubeadm") == [JOINED]
    lines = [line for line in done.stderr.splitlines() if "API server's" in line]
    # A busy machine takes long enough between two questions for another number of minutes, which is said again.
    assert 1 <= len(lines) <= 2
    assert len(set(lines)) == len(lines), "the same words only once"
    for line in lines:
        words = r"waiting: this node's clock is [34] h \d+ min behind the API server's at 10\.0\.0\.10:6443"
        assert re.search(words, line)
    assert any("clock is" in line for line in node.console)


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(395, "6 min behind"), (-8_000, "2 h 13 min ahead of"), (-4_000_000, "46 d 7 h ahead of")],
)
def test_a_clock_that_stays_wrong_is_reported_while_the_node_waits(tmp_path: Path, ahead: int, words: str) -> None:
    node = BootNode(tmp_path, node_role="worker", node_name="n2")
    node.set(**clock(ahead))
    assert node.run(sleeps=20).returncode == -9
    assert (node.status["stage"], node.status["state"]) == ("kubeadm", "waiting")
    assert words in node.status["error"] and "chronyc sources" in node.status["error"]
    assert node.calls("kubeadm") == []
    assert words in node.run("status").stdout


@pytest.mark.parametrize(("ahead", "told"), [(0, False), (-25, False), (100, True)])
def test_a_clock_that_is_hardly_off_does_not_hold_up(tmp_path: Path, ahead: int, told: bool) -> None:
    node = BootNode(tmp_path, node_role="worker", node_name="n2")
    node.set(**clock(ahead))
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert ("this node's clock is" in done.stderr) == told


def test_a_synchronised_node_suspects_the_api_server(tmp_path: Path) -> None:
    node = BootNode(tmp_path, node_role="worker", node_name="n2")
    node.set(**{**clock(3600), "clock": "Normal"})
    assert node.run(sleeps=2).returncode == -9
    assert "is the API server's own clock right?" in node.status["error"]
