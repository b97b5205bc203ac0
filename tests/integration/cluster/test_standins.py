"""The stand-ins by themselves, with the real kubectl and helm: they must refuse and keep what the real ones do.

One cluster's life, in the order of the tests: without a network, with one, joined, cut off, reset.
"""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cluster.configs import init_yaml, join_yaml, secret
from tests.support.cluster.ground import Node, wait
from tests.support.cluster.nodes import ground
from tests.support.cluster.standins.pki import pin
from tests.support.places import SUPPORT

pytestmark = pytest.mark.xdist_group("cluster-standins")

CHART = SUPPORT / "cluster/chart"
ADMIN = ("--kubeconfig", "/etc/kubernetes/admin.conf")
VALUES = (
    "kubeProxyReplacement: true\nroutingMode: native\nbpf: {masquerade: true}\nipv4NativeRoutingCIDR: 10.244.0.0/16\n"
)
KEYS = (
    "ca.crt",
    "ca.key",
    "sa.key",
    "sa.pub",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "etcd/ca.crt",
    "etcd/ca.key",
)


@dataclass(frozen=True)
class Cluster:
    """A control plane that ``kubeadm init`` has made, and a machine with nothing on it yet."""

    first: Node
    second: Node
    pin: str

    def kubectl(self, *words: str) -> str:
        return self.first.ok("kubectl", *ADMIN, *words)

    def join(self, text: str) -> tuple[int, str]:
        """Code and words of a join on the second machine, which is reset first."""
        self.second.ok("kubeadm", "reset", "--force", "--cri-socket", "unix:///run/containerd/containerd.sock")
        self.second.ok("bash", "-c", 'printf %s "$1" > /etc/join.yaml', "write", text)
        done = self.second.run("kubeadm", "join", "--config", "/etc/join.yaml")
        return done.returncode, done.stdout


def services(node: Node) -> None:
    node.ok("systemctl", "enable", "kubelet")
    node.ok("systemctl", "start", "containerd", "kubelet")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, standin: Path) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with ground(folder, standin) as make:
        first, second = make("node1"), make("node2")
        first.write("/etc/init.yaml", init_yaml(first))
        first.write("/values.yaml", VALUES)
        shutil.copytree(CHART, first.upper / "chart")
        for node in (first, second):
            node.start()
            services(node)
        said = first.ok("kubeadm", "init", "--config", "/etc/init.yaml")
        assert "initialized successfully" in said
        wait(lambda: "node1" in first.run("kubectl", *ADMIN, "get", "nodes").stdout, 60, "the first node's own object")
        ca = first.read("/etc/kubernetes/pki/ca.crt")
        yield Cluster(first, second, pin(ca.encode()))


def test_kubectl_applies_waits_watches_and_deletes(cluster: Cluster) -> None:
    ready = ("get", "node", "node1", "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
    assert cluster.kubectl("get", "--raw", "/livez") == "ok"
    wait(lambda: cluster.kubectl(*ready) == "False", 120, "no CNI: not Ready")
    assert (
        cluster.kubectl("get", "deployment", "coredns", "-n", "kube-system", "-o", "name")
        == "deployment.apps/coredns\n"
    )
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "default"},
        "data": {"a": "1"},
    }
    for data in ({"a": "1", "b": "2"}, {"a": "3"}):
        text = json.dumps({**manifest, "data": data})
        cluster.first.ok("bash", "-c", f"kubectl {' '.join(ADMIN)} apply -f - <<< '{text}'")
        assert json.loads(cluster.kubectl("get", "configmap", "x", "-o", "json"))["data"] == data
    cluster.kubectl("wait", "--for=jsonpath={.data.a}=3", "configmap/x", "--timeout=10s")
    cluster.kubectl("delete", "configmap", "x", "--timeout=10s")
    assert "NotFound" in cluster.first.run("kubectl", *ADMIN, "get", "configmap", "x").stdout
    bad = '{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "x"}, "spec": {"selector": '
    bad += '{"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "c"}}, "spec": {}}}}'
    refused = cluster.first.run("bash", "-c", f"kubectl {' '.join(ADMIN)} apply -f - <<< '{bad}'")
    assert refused.returncode != 0
    assert "does not match template" in refused.stdout


def test_helm_installs_and_upgrades_and_the_agent_says_what_was_asked(cluster: Cluster) -> None:
    helm = (
        "helm",
        "upgrade",
        "--install",
        "cilium",
        "/chart",
        "--namespace",
        "kube-system",
        "--values",
        "/values.yaml",
    )
    environment = {"KUBECONFIG": "/etc/kubernetes/admin.conf"}
    for revision in ("1", "2"):
        assert f"REVISION: {revision}" in cluster.first.ok(*helm, **environment)
    cluster.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=60s")
    cluster.kubectl("rollout", "status", "daemonset/cilium", "-n", "kube-system", "--timeout=60s")
    cluster.kubectl("rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=60s")
    assert "05-cilium.conflist" in cluster.first.ok("ls", "/etc/cni/net.d")
    listed: list[str] = []

    def agent() -> bool:
        listed[:] = cluster.first.ok(
            "crictl", "ps", "--name", "^cilium-agent$", "--state", "Running", "--quiet"
        ).split()
        return len(listed) == 1

    wait(agent, 120, "one cilium-agent")
    status = json.loads(cluster.first.ok("crictl", "exec", listed[0], "cilium-dbg", "status", "-o", "json"))
    assert status["kube-proxy-replacement"]["mode"] == "True"
    assert status["routing"]["inter-host-routing-mode"] == "Native"
    assert status["routing"]["intra-host-routing-mode"] == "BPF"
    health = json.loads(cluster.first.ok("crictl", "exec", listed[0], "cilium-health", "status", "-o", "json"))
    assert [node["name"] for node in health["nodes"]] == [health["local"]["name"]] == ["node1"]
    assert cluster.first.run("crictl", "exec", listed[0], "cilium-dbg", "bogus").returncode == 64


def test_init_again_is_refused_with_all_that_is_in_its_way(cluster: Cluster) -> None:
    done = cluster.first.run("kubeadm", "init", "--config", "/etc/init.yaml")
    assert done.returncode == 1
    names = (
        "Port-6443",
        "Port-10250",
        "FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml",
        "DirAvailable--var-lib-etcd",
    )
    for name in names:
        assert f"[ERROR {name}]" in done.stdout
    mixed = cluster.first.run("kubeadm", "init", "--config", "/etc/init.yaml", "--upload-certs")
    assert "can not mix '--config' with arguments [--upload-certs]" in mixed.stdout


def test_preflight_is_the_table_of_kubeadms_own(cluster: Cluster) -> None:
    """IPv6's forwarding is looked at in an IPv6 cluster alone; each row of the table has its error."""
    node = cluster.second
    forwarding = "/proc/sys/net/ipv6/conf/default/forwarding"
    six = init_yaml(node).replace("podSubnet: 10.244.0.0/16", "podSubnet: fd00::/48\n  serviceSubnet: fd01::/112")
    assert "fd01" in six
    for path, text in (("/etc/six.yaml", six), ("/etc/four.yaml", init_yaml(node))):
        node.ok("bash", "-c", 'printf %s "$2" > "$1"', "write", path, text)
    node.ok("mkdir", "-p", "/etc/kubernetes/manifests", "/var/lib/etcd/member")
    node.ok("touch", "/etc/kubernetes/manifests/etcd.yaml")
    error = "[ERROR FileContent--proc-sys-net-ipv6-conf-default-forwarding]"
    for value, wanted in (("0", True), ("1", False)):
        node.ok("bash", "-c", f"echo {value} > {forwarding}")
        assert (error in node.run("kubeadm", "init", "--config", "/etc/six.yaml").stdout) is wanted
    node.ok("bash", "-c", f"echo 0 > {forwarding}; echo 0 > /proc/sys/net/ipv4/ip_forward")
    bare = ("env", "PATH=/usr/local/bin", "/usr/bin/python3", "-I")
    said = node.run(*bare, "/usr/local/bin/kubeadm", "init", "--config", "/etc/four.yaml").stdout
    assert error not in said
    for name in ("FileContent--proc-sys-net-ipv4-ip_forward", "FileExisting-nsenter", "FileExisting-mount",
                 "FileAvailable--etc-kubernetes-manifests-etcd.yaml", "DirAvailable--var-lib-etcd"):  # fmt: skip
        assert f"[ERROR {name}]" in said, said
    assert "[WARNING FileExisting-socat]" in said
    node.ok("rm", "-rf", "/etc/kubernetes/manifests/etcd.yaml", "/var/lib/etcd/member")
    node.ok("bash", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def test_a_worker_joins_by_token_and_pin_and_no_other_way(cluster: Cluster) -> None:
    node = cluster.second
    assert "none of the public keys" in cluster.join(join_yaml(node, "sha256:" + "0" * 64))[1]
    assert (
        "could not find a JWS signature"
        in cluster.join(join_yaml(node, cluster.pin, token="zzzzzz.0123456789abcdef"))[1]
    )
    assert (
        "can't trust this API Server" in cluster.join(join_yaml(node, cluster.pin, token="abcdef.ffffffffffffffff"))[1]
    )
    assert 'a Node with name "node1"' in cluster.join(join_yaml(node, cluster.pin, name="node1"))[1]
    assert "ca.crt: no such file" in cluster.join(join_yaml(node, cluster.pin, control_plane=True))[1].replace(
        "open /etc/kubernetes/pki/ca.crt", "ca.crt"
    )
    code, said = cluster.join(join_yaml(node, cluster.pin))
    assert code == 0, said
    cluster.kubectl("wait", "--for=condition=Ready", "node/node2", "--timeout=60s")
    assert not node.exists("/etc/kubernetes/bootstrap-kubelet.conf")
    kubelet = ("kubectl", "--kubeconfig", "/etc/kubernetes/kubelet.conf", "get")
    assert node.run(*kubelet, "node", "node2").returncode == 0
    assert "cannot get it" in node.run(*kubelet, "secrets", "-n", "kube-system").stdout
    assert "already exists" in node.run("kubeadm", "join", "--config", "/etc/join.yaml").stdout


def test_a_second_control_plane_has_all_objects_and_a_silent_node_is_not_ready(cluster: Cluster) -> None:
    for key in KEYS:
        content = (cluster.first.upper / "etc/kubernetes/pki" / key).read_text()
        cluster.second.ok("kubeadm", "reset", "--force", "--cri-socket", "unix:///run/containerd/containerd.sock")
        cluster.second.write(f"/keys/{key}", content, 0o600)
    cluster.kubectl("delete", "node", "node2", "--ignore-not-found")
    cluster.second.ok("cp", "-rT", "/keys", "/etc/kubernetes/pki")
    cluster.second.ok(
        "bash",
        "-c",
        'printf %s "$1" > /etc/cp.yaml',
        "write",
        join_yaml(cluster.second, cluster.pin, control_plane=True),
    )
    cluster.second.ok("kubeadm", "join", "--config", "/etc/cp.yaml")
    cluster.kubectl("create", "namespace", "seen-by-both")
    own = ("kubectl", *ADMIN, "--server", f"https://{cluster.second.address}:6443", "get")
    wait(lambda: cluster.second.run(*own, "namespace", "seen-by-both").returncode == 0, 120, "passed on")
    cluster.second.ok("kubeadm", "reset", "--force", "--cri-socket", "unix:///run/containerd/containerd.sock")
    assert cluster.second.ok("ls", "/etc/kubernetes/pki", "/etc/kubernetes/manifests", "/var/lib/etcd").split() == [
        "/etc/kubernetes/manifests:",
        "/etc/kubernetes/pki:",
        "/var/lib/etcd:",
    ]
    cluster.kubectl("wait", "--for=condition=Ready=Unknown", "node/node2", "--timeout=200s")


def test_the_token_expires(cluster: Cluster) -> None:
    name = "bootstrap-token-abcdef"
    data = secret(cluster.kubectl("get", "secret", name, "-n", "kube-system", "-o", "json"))
    left = datetime.datetime.fromisoformat(data["expiration"]) - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=364) < left < datetime.timedelta(days=366)
    past = json.dumps({"stringData": {"expiration": "2001-01-01T00:00:00Z"}})
    cluster.kubectl("patch", "secret", name, "-n", "kube-system", "--type=merge", "-p", past)
    wait(
        lambda: "NotFound" in cluster.first.run("kubectl", *ADMIN, "get", "secret", name, "-n", "kube-system").stdout,
        20,
        "",
    )
    code, said = cluster.join(join_yaml(cluster.second, cluster.pin, name="late"))
    assert code == 1
    assert "could not find a JWS signature" in said


def test_a_power_cut_keeps_the_objects_and_reset_leaves_nothing(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", "kept")
    cluster.first.cut()
    cluster.first.start()
    services(cluster.first)
    wait(
        lambda: cluster.first.run("kubectl", *ADMIN, "get", "namespace", "kept").returncode == 0, 300, "the API is back"
    )
    cluster.first.ok("kubeadm", "reset", "--force", "--cri-socket", "unix:///run/containerd/containerd.sock")
    for path in ("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/admin.conf", "/var/lib/kubelet/config.yaml"):
        assert not cluster.first.exists(path)
    cluster.first.ok("kubeadm", "init", "--config", "/etc/init.yaml", "--skip-token-print")
    assert "kept" not in cluster.kubectl("get", "namespaces", "-o", "name")
