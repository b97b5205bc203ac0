"""First boot goes on by itself where what was missing comes back: in chroots, with the real kubectl, helm and curl."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import pytest

from imgbuild.config import cluster as cluster_node
from imgbuild.config.cluster import Cluster
from imgbuild.config.secrets import Secrets, make
from tests.integration.cluster.test_firstboot import (
    ADMIN,
    background,
    boot,
    ends,
    etcd,
    finished,
    members,
    nodes,
    of,
    status,
)
from tests.support.cluster.ground import Node, wait
from tests.support.cluster.nodes import MakeNode
from tests.support.cluster.programs import programs
from tests.support.cluster.seeds import CHART, CHART_VERSION, image, seed


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    return make("demo", int(time.time()))


def retries(node: Node, stage: str, error: str) -> None:
    """A stage failed and is tried again: so it is said, with the time of the next try."""
    wait(
        lambda: (status(node).get("state"), status(node).get("stage")) == ("retrying", stage),
        120,
        f"{stage} is tried again; it says {status(node)}",
    )
    assert error in status(node)["error"], status(node)
    seen = node.run("/usr/libexec/imgbuild/status")
    assert seen.returncode == 3
    assert f"{stage:12} retrying" in seen.stdout


def test_the_charts_repository_is_down_for_a_while(make_node: MakeNode, secrets: Secrets) -> None:
    node = make_node("node1")
    image(node)
    (node.upper / f"usr/share/imgbuild/charts/cilium-{CHART_VERSION}.tgz").unlink()
    seed(node, of("control-plane", endpoint="10.0.0.1:6443"), secrets, "cilium.repository=http://127.0.0.1:8099")
    boot(node)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        process = background(node, out)
        retries(node, "cilium", "is not a valid chart repository or cannot be reached")
        repository = node.upper / "srv/charts"
        repository.mkdir(parents=True)
        with tarfile.open(repository / f"cilium-{CHART_VERSION}.tgz", "w:gz") as packed:
            packed.add(CHART, "cilium")
        subprocess.run([programs()["helm"], "repo", "index", repository], check=True, capture_output=True)
        server = node.popen(
            "python3", "-m", "http.server", "8099", "--bind", "127.0.0.1", "--directory", "/srv/charts", out=said
        )
        ends(process, out)
        node.kill(server)
    finished(node)
    assert "deployed" in node.ok("helm", "list", "-n", "kube-system", "--all", KUBECONFIG="/etc/kubernetes/admin.conf")


def test_a_name_server_is_down_for_twelve_tries(make_node: MakeNode, secrets: Secrets) -> None:
    node = make_node("node1")
    image(node)
    seed(node, of("control-plane", endpoint="api.demo.test:6443"), secrets)
    boot(node)
    node.ok("bash", "-c", "rm -f /etc/resolv.conf; echo 127.0.0.1 localhost > /etc/hosts; : > /etc/resolv.conf")
    with tempfile.TemporaryFile() as out:
        process = background(node, out)
        retries(node, "kubeadm", "Could not resolve host: api.demo.test")
        assert not node.exists("/etc/kubernetes/manifests/kube-apiserver.yaml")
        node.ok("bash", "-c", "echo 10.0.0.1 api.demo.test >> /etc/hosts")
        ends(process, out)
    finished(node)
    assert nodes(node) == ["node/node1"]


def advertised(*names: str) -> Cluster:
    """Control planes whose addresses are known; the endpoint is the first one's own."""
    members = [
        cluster_node.Node(
            name=name, role="control-plane", settings={"kubernetes": {"advertise_address": f"10.0.0.{at}"}}
        )
        for at, name in enumerate(names, 1)
    ]
    return Cluster(name="demo", single_endpoint=True, nodes=members)


@pytest.mark.skipif(shutil.which("iptables") is None, reason="a node has iptables, and this machine has not")
def test_a_first_control_plane_whose_address_is_the_endpoint_is_imaged_again(
    make_node: MakeNode, secrets: Secrets
) -> None:
    """It makes no second cluster: it joins through another control plane, by way of its own address."""
    first, second, third = make_node("node1"), make_node("node2"), make_node("node3")
    cluster = advertised("node1", "node2", "node3")
    for node in (first, second, third):
        image(node)
        seed(node, cluster, secrets)
        real_iptables(node)
        boot(node)
    for node in (first, second, third):
        node.ok("/usr/libexec/imgbuild/firstboot", IMGBUILD_PAUSE="1")
    server = ("--server", "https://10.0.0.2:6443")
    uid = second.ok(*ADMIN, *server, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    first.cut()
    first.renew()
    image(first)
    seed(first, cluster, secrets)
    real_iptables(first)
    boot(first)
    with tempfile.TemporaryFile() as out:
        process = background(first, out)
        wait(lambda: "was it re-imaged?" in str(status(first).get("error")), 300, f"it waits: {status(first)}")
        asked = status(first)["error"]
        assert "kubectl --server https://10.0.0.2:6443 delete node node1" in asked
        second.ok(*ADMIN, *server, "delete", "node", "node1")
        etcd(second, "remove", json.dumps({"ID": members(second)["10.0.0.1"]}))
        ends(process, out)
    finished(first)
    assert "imgbuild_endpoint" not in first.ok("iptables", "-t", "nat", "-S")
    assert first.ok(*ADMIN, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}") == uid
    assert nodes(first) == ["node/node1", "node/node2", "node/node3"]
    assert set(members(second)) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


def real_iptables(node: Node) -> None:
    (node.upper / "usr/local/bin/iptables").unlink()


def test_a_cold_start_of_all_makes_one_cluster(make_node: MakeNode, secrets: Secrets, tmp_path: Path) -> None:
    """The others are asked, have no API server yet, and nobody waits for anybody without an end."""
    first, second, third = make_node("node1"), make_node("node2"), make_node("node3")
    for node in (first, second, third):
        image(node)
        seed(node, advertised("node1", "node2", "node3"), secrets)
        boot(node)
    with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as two, tempfile.TemporaryFile() as three:
        outs = {first: one, second: two, third: three}
        processes = {node: background(node, out) for node, out in outs.items()}
        for node, process in processes.items():
            ends(process, outs[node])
            finished(node)
    assert nodes(first) == ["node/node1", "node/node2", "node/node3"]
