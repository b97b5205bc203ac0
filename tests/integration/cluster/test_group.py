"""A machine of a group: without a cloud's name it gets one of its own, and joins under it."""

from __future__ import annotations

import time

from imgbuild.config.cluster import Cluster
from imgbuild.config.cluster import Node as Member
from imgbuild.config.secrets import make
from tests.support.cluster.ground import Node
from tests.support.cluster.nodes import MakeNode
from tests.support.cluster.seeds import image, seed

FIRSTBOOT = "/usr/libexec/imgbuild/firstboot"
ADMIN = ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf")


def boot(node: Node) -> None:
    node.start()
    node.ok("systemctl", "enable", "kubelet")
    node.ok("systemctl", "start", "containerd", "kubelet")


def test_a_machine_of_a_group_joins_under_a_name_of_its_own(make_node: MakeNode) -> None:
    secrets = make("demo", int(time.time()))
    pool = Member(name="pool", role="worker", count=9, labels={"example.com/pool": "a"})
    cluster = Cluster(name="demo", endpoint="10.0.0.1:6443", nodes=[Member(name="node1", role="control-plane"), pool])
    first, plain = make_node("node1"), make_node("pool")
    for node in (first, plain):
        image(node)
        seed(node, cluster, secrets, name=pool.name if node is not first else "")
        boot(node)
    first.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    said = plain.ok(FIRSTBOOT, IMGBUILD_PAUSE="1")
    own = plain.read("/var/lib/imgbuild/node-name").strip()
    assert own.startswith("pool-") and len(own) == len("pool-") + 8, said
    assert plain.ok("uname", "-n").strip() == plain.read("/etc/hostname").strip() == own
    nodes = first.ok(*ADMIN, "get", "nodes", "--selector", "example.com/pool=a", "-o", "name").split()
    assert nodes == [f"node/{own}"]
    first.ok(*ADMIN, "wait", "--for=condition=Ready", *nodes, "--timeout=60s")
    report = plain.ok("/usr/libexec/imgbuild/verify", "node-ready", IMGBUILD_FIRSTBOOT="verify")
    assert "0 failed" in report
