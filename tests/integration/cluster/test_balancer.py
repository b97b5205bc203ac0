"""Each node's own balancer: haproxy reads its configuration, and a cluster comes up and lives behind it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imgbuild.config.cluster import Cluster
from imgbuild.config.cluster import Node as Member
from imgbuild.config.profile import Profile
from imgbuild.config.secrets import Secrets, make
from imgbuild.facts.endpoint import reach
from imgbuild.render.balancer import configuration
from tests.support.cluster.ground import Node, wait
from tests.support.cluster.nodes import MakeNode
from tests.support.cluster.seeds import image, seed
from tests.support.install.room import resolved

FIRSTBOOT = "/usr/libexec/imgbuild/firstboot"
ADMIN = ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf")
PATIENCE = 120.0


def member(name: str, address: str) -> Member:
    return Member(name=name, role="control-plane", settings={"kubernetes": {"advertise_address": address}})


def written(folder: Path, cluster: Cluster, profile: Profile) -> Path:
    path = folder / "haproxy.cfg"
    path.write_bytes(configuration(cluster, reach(profile, cluster)))
    return path


def test_haproxy_accepts_the_configuration(tmp_path: Path) -> None:
    planes = [member("cp1", "10.0.0.11"), member("cp2", "fd00::12"), Member(name="w1", role="worker")]
    cluster = Cluster(name="demo", balancer="local", nodes=planes)
    path = written(tmp_path, cluster, resolved("debian12-bios").profile)
    done = subprocess.run(["haproxy", "-c", "-f", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    assert "server cp2 [fd00::12]:6443" in path.read_text()


class Plane:
    """Something like an API server: its certificate, and whether it is ready."""

    def __init__(self, address: str, port: int, certificate: Path) -> None:
        self.ready = True

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            plane = self

            def do_GET(self) -> None:
                body = address.encode()
                self.send_response(200 if self.plane.ready or self.path != "/readyz" else 500)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._place, self._handler = (address, port), Handler
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._server: ThreadingHTTPServer | None = None

    def on(self) -> None:
        self._server = ThreadingHTTPServer(self._place, self._handler)
        self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def off(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def haproxy(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["haproxy", "-db", "-f", str(path)], stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_one_of_three_is_off_and_on_again(tmp_path: Path) -> None:
    certificate = tmp_path / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=kubernetes", "-days", "2", "-keyout", str(certificate), "-out", str(tmp_path / "c.pem")]
    subprocess.run([*command, *names], check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + (tmp_path / "c.pem").read_text())
    api, port = free_port(), free_port()
    addresses = ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
    planes = {address: Plane(address, api, certificate) for address in addresses}
    nodes = [member(f"cp{at}", address) for at, address in enumerate(addresses)]
    cluster = Cluster(name="demo", balancer="local", balancer_port=port, nodes=nodes)
    path = written(tmp_path, cluster, resolved("debian12-bios", sets=(f"kubernetes.api_port={api}",)).profile)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def who() -> str:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/version", timeout=10, context=context) as answer:
            text: str = answer.read().decode()
            return text

    def answering(*wanted: str) -> None:
        """These, and no others, answer ten times in a row."""

        def settled() -> bool:
            try:
                return {who() for _ in range(12)} == set(wanted)
            except OSError:
                return False

        wait(settled, PATIENCE, f"answers come from {wanted}")

    try:
        for plane in planes.values():
            plane.on()
        with haproxy(path), haproxy(path):  # the second takes over from the first: both serve the port
            answering(*addresses)
            planes[addresses[1]].off()
            answering(addresses[0], addresses[2])
            planes[addresses[1]].on()
            answering(*addresses)
            # One that is not ready keeps no connection: a watch there would never end.
            for plane in planes.values():
                plane.ready = False
            planes[addresses[2]].ready = True
            answering(addresses[2])
            raw = socket.create_connection(("127.0.0.1", port))
            with context.wrap_socket(raw) as held:
                held.settimeout(PATIENCE)
                planes[addresses[0]].ready, planes[addresses[2]].ready = True, False
                with contextlib.suppress(OSError):  # reset, or closed
                    assert held.recv(1) == b""
            answering(addresses[0])
    finally:
        for plane in planes.values():
            plane.off()


def cluster_of(*roles: str) -> Cluster:
    members = [
        member(f"node{at}", f"10.0.0.{at}") if role == "control-plane" else Member(name=f"node{at}", role="worker")
        for at, role in enumerate(roles, 1)
    ]
    return Cluster(name="demo", balancer="local", nodes=members)


def boot(node: Node) -> None:
    node.start()
    node.ok("systemctl", "enable", "kubelet")
    node.ok("systemctl", "start", "containerd", "kubelet")


def installed(make_node: MakeNode, cluster: Cluster, secrets: Secrets) -> list[Node]:
    machines = [make_node(node.name) for node in cluster.nodes]
    for node in machines:
        image(node)
        seed(node, cluster, secrets)
        conf = node.upper / "etc/imgbuild/verify.conf"
        conf.write_text(conf.read_text().replace("node-ready", "node-ready balancer"))
        boot(node)
    return machines


def served_by(node: Node, name: str) -> bool:
    """Whether only that balancer runs: lone, or the static pod's."""
    lone = node.exists("/run/standin/lone")
    pod = node.run("crictl", "ps", "--name", "^balancer$", "--quiet").stdout.strip() != ""
    return (lone, pod) == (name == "lone", name == "pod")


def test_a_cluster_comes_up_behind_its_balancers(make_node: MakeNode) -> None:
    secrets = make("demo", int(time.time()))
    first, worker = installed(make_node, cluster_of("control-plane", "worker"), secrets)
    with tempfile.TemporaryFile() as out:
        process = worker.popen(FIRSTBOOT, out=out, IMGBUILD_PAUSE="1")
        wait(lambda: worker.run("cat", "/run/imgbuild/status.json").stdout.count("does not answer") == 1, 300, "waits")
        assert served_by(worker, "lone")
        worker.cut()  # and its container is left without its process
        process.wait()
        boot(worker)
        first.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
        said = worker.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    for node in (first, worker):
        assert served_by(node, "pod"), said
        assert "server: https://127.0.0.1:7443" in node.read("/etc/kubernetes/kubelet.conf")
        report = node.ok("/usr/libexec/imgbuild/verify", "balancer", IMGBUILD_FIRSTBOOT="verify")
        assert "127.0.0.1:7443 answers" in report
    first.ok(*ADMIN, "wait", "--for=condition=Ready", "node/node1", "node/node2", "--timeout=60s")
    values = first.ok(*ADMIN, "get", "configmap", "cilium-config", "-n", "kube-system", "-o", "yaml")
    assert "127.0.0.1" in values


@pytest.mark.slow
def test_a_worker_lives_on_without_the_first_control_plane(make_node: MakeNode) -> None:
    secrets = make("demo", int(time.time()))
    cluster = cluster_of("control-plane", "control-plane", "control-plane", "worker")
    first, second, third, worker = installed(make_node, cluster, secrets)
    for node in (first, second, third, worker):
        node.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    first.cut()
    wait(lambda: second.run(*ADMIN, "get", "nodes").returncode == 0, 300, "the others answer")
    report = worker.ok("/usr/libexec/imgbuild/verify", "balancer", IMGBUILD_FIRSTBOOT="verify")
    assert "no answer from 10.0.0.1:6443" in report
    # The first, imaged again, joins through its own balancer.
    first.renew()
    image(first)
    seed(first, cluster, secrets)
    members = json.loads(
        second.ok(
            "curl", "--silent", "--cacert", "/etc/kubernetes/pki/etcd/ca.crt", "--cert",
            "/etc/kubernetes/pki/etcd/server.crt", "--key", "/etc/kubernetes/pki/etcd/server.key", "--data", "{}",
            "https://10.0.0.2:2379/v3/cluster/member/list",
        )
    )["members"]  # fmt: skip
    dead = next(each["ID"] for each in members if "10.0.0.1:" in each["peerURLs"][0])
    second.ok(
        "curl", "--silent", "--fail", "--cacert", "/etc/kubernetes/pki/etcd/ca.crt", "--cert",
        "/etc/kubernetes/pki/etcd/server.crt", "--key", "/etc/kubernetes/pki/etcd/server.key", "--data",
        json.dumps({"ID": dead}), "https://10.0.0.2:2379/v3/cluster/member/remove",
    )  # fmt: skip
    second.ok(*ADMIN, "delete", "node", "node1")
    boot(first)
    first.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    second.ok(*ADMIN, "wait", "--for=condition=Ready", "node/node1", "--timeout=60s")
    # A reset and a second first boot.
    worker.ok("bash", "/usr/libexec/imgbuild/reset", "--yes")
    assert served_by(worker, "none")
    second.ok(*ADMIN, "delete", "node", "node4")
    worker.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    second.ok(*ADMIN, "wait", "--for=condition=Ready", "node/node4", "--timeout=60s")
