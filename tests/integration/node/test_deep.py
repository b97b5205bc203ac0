"""imgbuild-verify --deep: a Service of its own and DNS, with a DNS server that answers by TCP on loopback."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node.fakenode import CLUSTER_CONF, SERVICES, Node
from tests.support.profiles import HOST, resolved

pytestmark = pytest.mark.usefixtures("awk")

DNS = f"127.3.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"  # one for each worker of pytest
QUESTION = b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"
DEEP = ["deep-cluster-ip", "deep-node-port", "deep-service-list", "deep-dns"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="port 53")


class Server:
    """Answers one question, strictly: kubernetes.default is ``address``."""

    def __init__(self) -> None:
        self.address, self.code = "10.96.0.1", 0
        self.socket = socket.create_server((DNS, 53))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                query = peer.recv(2)
                while len(query) < 2 + int.from_bytes(query[:2]):  # bash writes line by line, and 10 is a length here
                    query += peer.recv(1000)
                assert int.from_bytes(query[:2]) == len(query) - 2
                if query[4:14] != b"\x01\0\0\x01\0\0\0\0\0\0" or query[14:] != QUESTION:
                    continue
                head = query[2:4] + bytes([0x81, 0x80 | self.code, 0, 1, 0, 0 if self.code else 1, 0, 0, 0, 0])
                record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04" + socket.inet_aton(self.address)
                body = head + QUESTION + (b"" if self.code else record)
                peer.sendall(len(body).to_bytes(2) + body)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread, which holds it open
    found.socket.close()
    found.thread.join()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(tmp_path, resolved("debian12-efi"))
    (node.stand_ins / "bin/sleep").symlink_to(node.stand_ins / "bin/kubectl")
    service = "--namespace kube-system --output jsonpath={.spec.clusterIP} {.spec.ports[0].nodePort}"
    node.kubectl(f"get service imgbuild-verify {service}", "10.96.7.7 30123")
    internal = 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'
    node.kubectl(f"get node node1 --output {internal}", "10.0.0.11")
    node.kubectl("get service kubernetes --namespace default --output jsonpath={.spec.clusterIP}", "10.96.0.1")
    for place in ("10.96.7.7:80", "10.0.0.11:30123"):
        reach(node, place, "coredns_build_info 1")
    own = SERVICES.replace('"kubernetes"', '"imgbuild-verify"').replace('"default"', '"kube-system"')
    node.cilium("service list", own)
    node.write("/var/lib/kubelet/config.yaml", f"clusterDNS:\n- {DNS}\nclusterDomain: cluster.local\n")
    return node


def reach(node: Node, place: str, answer: str) -> None:
    node.answer(f"curl,--silent --noproxy * --max-time 5 http://{place}/metrics", answer)


def deep(node: Node) -> dict[str, bool | None]:
    """Its checks alone; and whatever happened, the Service is gone at the end."""
    found = {name: one["ok"] for name, one in node.checks("--deep").items() if name.startswith("deep")}
    calls = [line for line in node.log if " apply " in line or " delete " in line]
    assert calls == [
        "kubectl --request-timeout=10s apply -f -",
        "kubectl --request-timeout=10s delete service imgbuild-verify --namespace kube-system --ignore-not-found",
    ]
    return found


def test_all_is_well(node: Node, server: Server) -> None:
    assert deep(node) == dict.fromkeys(DEEP, True)
    assert "deep-dns" not in node.checks()


def test_each_fails_alone(node: Node, server: Server) -> None:
    reach(node, "10.96.7.7:80", "404")
    assert deep(node) == {**dict.fromkeys(DEEP, True), "deep-cluster-ip": False}


def test_node_port_and_list(node: Node, server: Server) -> None:
    reach(node, "10.0.0.11:30123", "")
    node.cilium("service list", SERVICES)
    assert deep(node) == {**dict.fromkeys(DEEP, True), "deep-node-port": False, "deep-service-list": False}


@pytest.mark.parametrize(("address", "code"), [("10.96.0.2", 0), ("10.96.0.1", 3)])
def test_dns_with_another_answer(node: Node, server: Server, address: str, code: int) -> None:
    server.address, server.code = address, code
    assert deep(node) == {**dict.fromkeys(DEEP, True), "deep-dns": False}


def test_no_dns_server(node: Node) -> None:
    assert deep(node)["deep-dns"] is False


def test_no_service(node: Node, server: Server) -> None:
    node.kubectl("apply -f -", "forbidden", 1)
    assert deep(node) == dict.fromkeys(DEEP, False)


def test_not_on_a_worker_and_not_without_a_cluster(tmp_path: Path) -> None:
    node = Node(tmp_path / "a", resolved("debian12-efi"))
    (node.root / "etc/kubernetes/admin.conf").unlink()
    assert [node.checks("--deep")[name]["ok"] for name in DEEP] == [None] * 4
    assert Node(tmp_path / "b", resolved("debian12-efi", HOST)).run("verify", "--deep").returncode == 2


@pytest.mark.parametrize(("mode", "told"), [("dsr", True), ("hybrid", True), ("snat", False)])
def test_what_the_node_port_does_not_prove_is_told(node: Node, server: Server, mode: str, told: bool) -> None:
    node.write("/etc/imgbuild/cluster.conf", f"{CLUSTER_CONF}cilium_balancer='{mode}'\n")
    check = node.checks("--deep", "deep-node-port")["deep-node-port"]
    assert check["ok"] is True
    assert ("only a client outside the cluster" in check["found"]) is told
