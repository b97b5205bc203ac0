"""First boot on a fake root: its stages, what a failure, a power cut or somebody else's cluster makes of it."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tests.node.bootnode import JOIN, STAGES, BootNode

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
        "upgrade --install cilium cilium --version 1.19.6 --repo https://helm.cilium.io --namespace kube-system"
        " --values /run/imgbuild/cilium-values.yaml"
    ]
    assert "10.0.0.11" in (node.root / "run/imgbuild/cilium-values.yaml").read_text()
    config = node.root / "root/.kube/config"
    assert config.stat().st_mode & 0o777 == 0o600
    assert [line.split()[1:3] for line in node.console[:-1]] == [
        [f"[{i + 1}/8]", f"{s}:"] for i, s in enumerate(STAGES)
    ]
    node.forget()
    assert node.run().returncode == 0
    assert not (node.world / "calls").exists()


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
    assert "10.0.2.15 is this node's only address" in done.stderr


@pytest.mark.parametrize(("addresses", "has"), [("", "it has no address"), (CARD + SECOND, "10.0.2.15, 10.9.9.9")])
def test_without_a_default_route_nothing_is_guessed(tmp_path: Path, addresses: str, has: str) -> None:
    node = BootNode(tmp_path, secrets=False, endpoint="")
    node.set(addresses=addresses)
    assert node.run().returncode == 1
    assert has in node.status["error"]
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
    node.write("etc/imgbuild/kube-vip.yaml", "address: 10.0.0.10\n", 0o600)
    done = node.run()
    assert done.returncode == 0, done.stderr
    finished(node)
    assert len(node.calls("curl")) == 3
    assert (node.root / "etc/kubernetes/manifests/kube-vip.yaml").stat().st_mode & 0o777 == 0o600


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
    assert (node.status["stage"], node.status["state"]) == ("kubeadm", "failed")
    assert "not of this cluster's CA" in node.status["error"]
    assert "kubeadm FAILED" in node.console[-1]
    assert node.calls("kubeadm") == []
    assert node.run("status").returncode == 1


def test_nothing_to_join_with_stops_a_second_cluster(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(api="ours")
    (node.root / "etc/imgbuild/kubeadm-join.yaml").unlink()
    assert node.run().returncode == 1
    assert "never makes a second" in node.status["error"]
    assert node.calls("kubeadm") == []


def test_an_expired_token_is_said_and_a_new_one_taken(tmp_path: Path) -> None:
    node = BootNode(tmp_path, node_role="worker", node_name="n2", token_expires="1000000000")
    node.set(api="ours")
    (node.world / "alone").unlink()
    file = node.write("etc/imgbuild/kubeadm-join.yaml", JOIN.replace("abcdef", "oldold"), 0o600)
    assert node.run(sleeps=5).returncode == -9
    assert "[ERROR Token]" in node.status["error"]
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
    assert (node.run().returncode == 0) == ok
    if not ok:
        assert (node.status["stage"], node.status["state"]) == ("clock", "failed")
        assert "the cluster's CA is valid from" in node.status["error"]


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
    assert node.run().returncode == 1
    assert "this node's files were made at 2096-10-02T07:06:40Z" in node.status["error"]
    node.set(clock="Normal")
    assert node.run().returncode == 0


def test_the_wrong_kernel_stops(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.set(kernel="4.18")
    assert node.run().returncode == 1
    assert "the kernel 4.18 runs, and 6.12 was installed" in node.status["error"]
    assert node.status["done"] == ["clock"]
    node.set(kernel="6.12")
    assert node.run().returncode == 0
    finished(node)


def test_stock_waits_for_setup(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    node.write("usr/libexec/imgbuild/setup", "")
    assert node.run().returncode == 1
    assert "not set up yet" in node.status["error"]
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
    for attempt in (1, 2):
        assert node.run().returncode == 1
        assert (node.status["stage"], node.status["attempt"]) == ("cilium", attempt)
        assert "helm cannot install Cilium" in node.status["error"]
    (node.world / "fail/helm").unlink()
    assert node.run().returncode == 0
    finished(node)


def test_verify_that_never_passes_fails(tmp_path: Path) -> None:
    node = BootNode(tmp_path)
    (node.world / "good").unlink()
    assert node.run().returncode == 1
    assert node.status["error"].startswith("node-ready: no")
    assert not node.has("var/lib/imgbuild/firstboot.done")


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
    (node.world / "fail").mkdir()
    (node.world / "fail/helm").write_text('"quoted\\back\x1b[31m')
    assert node.run().returncode == 1
    assert node.run("status", "--json", "--wait", "5").stdout == (node.root / "run/imgbuild/status.json").read_text()
    assert "\x1b" not in node.run("status").stdout
    (node.world / "fail/helm").unlink()
    assert node.run().returncode == 0
    assert node.run("status", "--banner").stdout == ""
    table = node.run("status").stdout.splitlines()
    assert [line.split() for line in table[:8]] == [[name, "done"] for name in STAGES]
    node.power_cut()
    assert node.run("status").returncode == 0
