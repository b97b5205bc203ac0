"""The real first boot, cut off in the middle of every stage: in chroots, with stand-ins for Kubernetes."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Any, Literal

import pytest

from imgbuild.config import cluster as cluster_node
from imgbuild.config.cluster import Cluster
from imgbuild.config.secrets import Secrets, make
from tests.support.cluster.ground import Node, wait
from tests.support.cluster.nodes import MakeNode
from tests.support.cluster.seeds import image, seed
from tests.support.deadline import Deadline

FIRSTBOOT = "/usr/libexec/imgbuild/firstboot"
RESET = "/usr/libexec/imgbuild/reset"
ADMIN = ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf")
ENDPOINT = "10.0.0.1:6443"


@pytest.fixture(scope="session")
def secrets() -> Secrets:
    return make("demo", int(time.time()))


def lay(cluster: Cluster, secrets: Secrets, *machines: Node) -> None:
    """A fresh image and its seed on each."""
    for node in machines:
        image(node)
        seed(node, cluster, secrets)


def of(*roles: Literal["control-plane", "worker"], endpoint: str = ENDPOINT) -> Cluster:
    """A cluster file's content: node1, node2, … by DHCP."""
    members = [cluster_node.Node(name=f"node{at}", role=role) for at, role in enumerate(roles, 1)]
    return Cluster(name="demo", endpoint=endpoint, nodes=members)


def boot(node: Node) -> None:
    """Power on, up to where first boot starts."""
    node.start()
    node.ok("systemctl", "enable", "kubelet")
    node.ok("systemctl", "start", "containerd", "kubelet")


def status(node: Node) -> dict[str, Any]:
    done = node.run("cat", "/run/imgbuild/status.json")
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


def finished(node: Node) -> None:
    """It is finished, and its node Ready."""
    assert status(node)["state"] == "ok", status(node)
    assert node.exists("/var/lib/imgbuild/firstboot.done")


def nodes(node: Node) -> list[str]:
    return sorted(node.ok(*ADMIN, "get", "nodes", "-o", "name").split())


# In the middle of what, and whether the machine loses its power or only first boot is killed.
CUTS = [
    ("clock", "^chronyc", True),
    ("kernel", "^uname -r", False),
    ("containerd", "^ctr version", True),
    ("images", "^ctr .*import", False),
    ("kubeadm", "^kubeadm init", True),  # keys copied, nothing else
    ("kubeadm", "^openssl req", False),  # some certificates
    ("kubeadm", "^systemctl restart kubelet", True),  # manifests, etcd's data
    ("kubeadm", "after:^systemctl restart kubelet", False),  # an API server comes up behind the killed kubeadm
    ("kubeadm", "^kubeadm reset", True),  # undoing that
    ("kubeadm", "after:^kubeadm init", True),  # whole, but not marked
    ("kubeconfig", "^install .*kube/config", False),
    ("cilium", "^helm", True),
    ("cilium", "after:^helm", False),
    ("verify", "^helm version", True),
]


def test_a_control_plane_comes_up_after_a_cut_in_the_middle_of_every_stage(
    make_node: MakeNode, secrets: Secrets
) -> None:
    node = make_node("node1")
    lay(of("control-plane"), secrets, node)
    boot(node)
    with tempfile.TemporaryFile() as out:
        for stage, hold, power in CUTS:
            node.ok("bash", "-c", 'rm -f /standin/held; printf %s "$1" > /standin/hold', "hold", hold)
            process = node.popen(FIRSTBOOT, out=out)
            held = (node.upper / "standin/held").exists
            wait(lambda: held() or process.poll() is not None, 300, hold)  # noqa: B023 - called here
            out.seek(0)
            assert held(), f"first boot did not come to {hold}: {out.read().decode()[-3000:]}"
            assert status(node)["stage"] == stage
            if power:
                node.cut()
                process.wait()
                boot(node)
            else:
                node.kill(process)
    node.ok("rm", "/standin/hold")
    said = node.ok(FIRSTBOOT)
    finished(node)
    # verify.conf has nothing of the cluster here, and the last cut was a power cut.
    wait(lambda: node.run(*ADMIN, "get", "--raw", "/livez").returncode == 0, 300, "the API server is back")
    assert nodes(node) == ["node/node1"], said
    node.ok(*ADMIN, "wait", "--for=condition=Ready", "node/node1", "--timeout=30s")
    assert node.read("/etc/kubernetes/pki/ca.crt") == secrets.ca.certificate
    assert "deployed" in node.ok("helm", "list", "-n", "kube-system", "--all", KUBECONFIG="/etc/kubernetes/admin.conf")
    assert "nothing" in node.ok("bash", "-c", f"{FIRSTBOOT} 2>&1; echo nothing")
    assert "10.0.0.1" in node.ok(*ADMIN, "get", "configmap", "cilium-config", "-n", "kube-system", "-o", "yaml")
    assert Path(node.upper / "standin/images").read_text().count("one.tar") >= 1


def background(node: Node, out: IO[bytes]) -> subprocess.Popen[bytes]:
    """First boot, as its unit has it: until it ends by itself."""
    return node.popen(FIRSTBOOT, out=out, IMGBUILD_PAUSE="1")


def waits_for(node: Node, text: str) -> None:
    """It waits, and says for what."""
    deadline = Deadline(300)  # only for what hangs: the first stages take a minute on a busy machine
    while not ((said := status(node)).get("state") == "waiting" and text in said["error"]):
        assert said.get("stage") != "finished", f"it did not wait for {text!r}, and is done"
        assert not deadline.passed(), f"it waits: {text}; it says {said}"
        time.sleep(0.2)


def ends(process: subprocess.Popen[bytes], out: IO[bytes]) -> None:
    """Well; the limit is only for what hangs."""
    try:
        code = process.wait(600)
    except subprocess.TimeoutExpired:
        code = -1
    out.seek(0)
    assert code == 0, out.read().decode()[-3000:]


def test_a_worker_that_was_booted_first_waits_and_joins(make_node: MakeNode, secrets: Secrets) -> None:
    first, worker = make_node("node1"), make_node("node2")
    lay(of("control-plane", "worker"), secrets, first, worker)
    for node in (first, worker):
        boot(node)
    with tempfile.TemporaryFile() as out:
        process = background(worker, out)
        waits_for(worker, "the cluster does not answer at 10.0.0.1:6443")
        first.ok(FIRSTBOOT)
        ends(process, out)
    finished(worker)
    first.ok(*ADMIN, "wait", "--for=condition=Ready", "node/node1", "node/node2", "--timeout=60s")
    assert not worker.exists("/etc/imgbuild/pki/ca.key")
    assert not worker.exists("/root/.kube/config")
    # Cut off after its join and before the mark: it finds itself whole, and joins no second time.
    worker.ok("rm", "/var/lib/imgbuild/firstboot.done", "/var/lib/imgbuild/firstboot/kubeadm")
    uid = first.ok(*ADMIN, "get", "node", "node2", "-o", "jsonpath={.metadata.uid}")
    assert "the interrupted attempt is complete" in worker.ok(FIRSTBOOT)
    assert first.ok(*ADMIN, "get", "node", "node2", "-o", "jsonpath={.metadata.uid}") == uid


def test_a_token_that_has_expired_is_said_and_a_new_one_lets_the_node_in(make_node: MakeNode, secrets: Secrets) -> None:
    first, worker = make_node("node1"), make_node("node2")
    late = secrets.model_copy(update={"bootstrap_token_expires": "2026-01-01T00:00:00Z"})
    lay(of("control-plane", "worker"), late, first, worker)
    for node in (first, worker):
        boot(node)
    first.ok(FIRSTBOOT)
    with tempfile.TemporaryFile() as out:
        process = background(worker, out)
        waits_for(worker, "The token of this seed expired on")
        token_id, _, token = secrets.bootstrap_token.partition(".")
        fresh = {"token-id": token_id, "token-secret": token, "expiration": "2099-01-01T00:00:00Z"}
        fresh |= {"usage-bootstrap-signing": "true", "usage-bootstrap-authentication": "true"}
        fresh["auth-extra-groups"] = "system:bootstrappers:kubeadm:default-node-token"
        words = [f"--from-literal={key}={value}" for key, value in fresh.items()]
        create = ("create", "secret", "generic", f"bootstrap-token-{token_id}", "--type=bootstrap.kubernetes.io/token")
        first.ok(*ADMIN, *create, "-n", "kube-system", *words)
        ends(process, out)
    assert nodes(first) == ["node/node1", "node/node2"]


def test_another_cluster_at_the_endpoint_is_never_joined(make_node: MakeNode, secrets: Secrets, tmp_path: Path) -> None:
    foreign, worker = make_node("node1"), make_node("node2")
    lay(of("control-plane"), make("demo", int(time.time())), foreign)
    lay(of("control-plane", "worker"), secrets, worker)
    for node in (foreign, worker):
        boot(node)
    foreign.ok(FIRSTBOOT)
    with tempfile.TemporaryFile() as out:
        assert background(worker, out).wait(120) == 1
    assert "not of this cluster's CA" in status(worker)["error"]
    assert not worker.exists("/etc/kubernetes/kubelet.conf")
    # A first control plane stops there: it must not make a second cluster beside one that has its address.
    moved = Cluster(name="demo", endpoint=ENDPOINT, nodes=[cluster_node.Node(name="node2", role="control-plane")])
    seed(worker, moved, secrets)
    done = worker.run(FIRSTBOOT)
    assert done.returncode == 1
    assert "another cluster has this address" in status(worker)["error"]
    assert nodes(foreign) == ["node/node1"]


def members(node: Node) -> dict[str, str]:
    """etcd's members as a node is told: addresses and IDs."""
    listed = json.loads(etcd(node, "list", "{}"))["members"]
    return {member["peerURLs"][0].removeprefix("https://").partition(":")[0]: member["ID"] for member in listed}


def etcd(node: Node, call: str, data: str) -> str:
    pki = "/etc/kubernetes/pki/etcd"
    files = ("--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key", f"{pki}/server.key")
    url = f"https://{node.address}:2379/v3/cluster/member/{call}"
    return node.ok("curl", "--silent", "--fail", *files, "--data", data, url)


def test_a_first_control_plane_that_is_imaged_again_joins_its_cluster(make_node: MakeNode, secrets: Secrets) -> None:
    first, second, third = make_node("node1"), make_node("node2"), make_node("node3")
    shared = "10.0.0.100"
    cluster = of("control-plane", "control-plane", "control-plane", endpoint=f"{shared}:6443")
    lay(cluster, secrets, first, second, third)
    for node in (first, second, third):
        boot(node)
    first.ok("ip", "address", "add", f"{shared}/32", "dev", "eth0")
    for node in (first, second, third):
        node.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    assert nodes(second) == ["node/node1", "node/node2", "node/node3"]
    first.cut()
    second.ok("ip", "address", "add", f"{shared}/32", "dev", "eth0")
    first.renew()
    lay(cluster, secrets, first)
    boot(first)
    with tempfile.TemporaryFile() as out:
        process = background(first, out)
        waits_for(first, "was it re-imaged?")
        second.ok(*ADMIN, "delete", "node", "node1")
        waits_for(first, "was it re-imaged?")  # etcd still counts it
        etcd(second, "remove", json.dumps({"ID": members(second)[first.address]}))
        ends(process, out)
    finished(first)
    assert nodes(second) == nodes(first) == ["node/node1", "node/node2", "node/node3"]
    assert set(members(second)) == {first.address, second.address, third.address}


def test_a_join_that_is_cut_off_and_a_reset_cost_the_cluster_nothing(make_node: MakeNode, secrets: Secrets) -> None:
    """Of two members of etcd both are needed: with the second's data gone, nothing would ever go again."""
    first, second = make_node("node1"), make_node("node2")
    cluster = of("control-plane", "control-plane", endpoint="10.0.0.100:6443")
    lay(cluster, secrets, first, second)
    for node in (first, second):
        boot(node)
    first.ok("ip", "address", "add", "10.0.0.100/32", "dev", "eth0")
    first.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    with tempfile.TemporaryFile() as out:
        process = background(second, out)
        wait((second.upper / "etc/kubernetes/manifests/etcd.yaml").exists, 300, "etcd's manifest")
        second.cut()
        process.wait()
    wait(lambda: first.run(*ADMIN, "get", "nodes").returncode != 0, 120, "no quorum")
    boot(second)
    said = second.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    finished(second)
    assert "undoing an attempt of kubeadm" in said
    assert nodes(first) == nodes(second) == ["node/node1", "node/node2"]
    assert set(members(first)) == {first.address, second.address}
    # Taken out by hand, it is gone from both lists, and may come again.
    second.ok("bash", RESET, "--yes")
    assert nodes(first) == ["node/node1"]
    assert set(members(first)) == {first.address}
    second.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    assert nodes(first) == ["node/node1", "node/node2"]


def test_reset_undoes_everything_and_first_boot_makes_the_cluster_again(make_node: MakeNode, secrets: Secrets) -> None:
    node = make_node("node1")
    lay(of("control-plane"), secrets, node)
    boot(node)
    node.ok(FIRSTBOOT)
    node.ok(*ADMIN, "create", "namespace", "of-the-first")
    node.ok("bash", RESET, "--yes")
    for path in ("/etc/kubernetes/admin.conf", "/etc/cni/net.d/05-cilium.conflist", "/var/lib/imgbuild/firstboot.done"):
        assert not node.exists(path), path
    assert node.exists("/etc/imgbuild/pki/ca.key")
    node.cut()
    boot(node)
    node.ok(FIRSTBOOT)
    finished(node)
    assert "of-the-first" not in node.ok(*ADMIN, "get", "namespaces", "-o", "name")
    assert node.read("/etc/kubernetes/pki/ca.crt") == secrets.ca.certificate


@pytest.mark.slow
def test_a_dual_stack_node_waits_for_its_second_family(make_node: MakeNode, secrets: Secrets) -> None:
    node = make_node("node1")
    image(node)
    networks = ("kubernetes.pod_cidr=10.244.0.0/16,fd00:1::/48", "kubernetes.service_cidr=10.96.0.0/16,fd00:2::/112")
    seed(node, of("control-plane"), secrets, *networks, "cilium.values.ipv6.enabled=true")
    boot(node)
    for name in ("all", "default"):  # the image's sysctls
        node.ok("bash", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{name}/forwarding")
    with tempfile.TemporaryFile() as out:
        process = background(node, out)
        wait(lambda: status(node).get("stage") == "kubeadm", 300, "it comes to kubeadm")
        node.ok("ip", "-6", "address", "add", "fd00:5::1/64", "dev", "eth0", "nodad")
        ends(process, out)
    finished(node)
    shown = node.ok(*ADMIN, "get", "node", "node1", "-o", "jsonpath={.status.addresses[*].address}")
    assert shown == "10.0.0.1 fd00:5::1 node1"
    assert "--node-ip=10.0.0.1,fd00:5::1" in node.read("/var/lib/kubelet/kubeadm-flags.env")
