"""First boot behind a proxy with a login, with an authority of the site's and a mirror: who asks whom for what.

Real: kubectl, helm, curl, containerd, tinyproxy, docker-registry, and the seed as imgbuild renders it. The nodes reach
nothing but their own network (tests/support/cluster/site.py).
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from imgbuild.config.secrets import make
from imgbuild.render.seed_files import SCRIPT
from tests.integration.cluster.test_firstboot import FIRSTBOOT, boot, finished, of
from tests.support.cluster.ground import Node
from tests.support.cluster.nodes import MakeNode
from tests.support.cluster.seeds import CHART, CHART_VERSION, NATIVE, OF_HOST, containerd, image, seed
from tests.support.cluster.site import IMAGE, LOGIN, Site, left, packed, site, sniff
from tests.support.cri.client import Cri

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and overlays need root"),
    *(
        pytest.mark.skipif(shutil.which(name) is None, reason=f"needs Debian's {name}")
        for name in ("tinyproxy", "docker-registry", "containerd")
    ),
]
TEAM = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fetched, namespace: default}\ndata: {by: curl}\n"


def pet(folder: Path) -> Path:
    """A chart of one ConfigMap."""
    chart = folder / "pet"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: pet\nversion: 1.0.0\n")
    (chart / "templates/it.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {by: helm}\n"
    )
    return packed(chart, folder / "pet-1.0.0.tgz", "pet")


def addons(around: Site) -> str:
    """Each way to fetch one, from outside."""
    sha256 = around.serve("team.yaml", TEAM.encode())
    return (
        f"addons=[{{name: fetched, url: 'https://files.outside.test/team.yaml', sha256: {sha256}}}, "
        "{name: of-repository, chart: pet, version: 1.0.0, repository: 'https://charts.outside.test/charts'}, "
        "{name: of-registry, chart: 'oci://images.outside.test/charts/pet', version: 1.0.0}]"
    )


def power_on(node: Node) -> None:
    """Up to where cloud-init runs what the seed's files need, and first boot starts."""
    boot(node)
    sniff(node)
    node.ok(SCRIPT)


def pull(node: Node, name: str) -> None:
    """As the kubelet does."""
    Cri(node.inside("/run/containerd/containerd.sock")).pull(name)


@pytest.mark.slow
def test_first_boot_reaches_the_outside_through_the_proxy_alone(make_node: MakeNode, tmp_path: Path) -> None:
    machine, first, worker = make_node("site"), make_node("node1"), make_node("node2")
    secrets, cluster = make("demo", int(time.time())), of("control-plane", "worker", endpoint=f"{first.address}:6443")
    cilium = packed(CHART, tmp_path / f"cilium-{CHART_VERSION}.tgz", "cilium")
    with site(machine, tmp_path, cilium, pet(tmp_path)) as around:
        sets = (*around.profile(), addons(around))
        for node in (first, worker):
            image(node)
            (node.upper / f"usr/share/imgbuild/charts/cilium-{CHART_VERSION}.tgz").unlink()
            containerd(node, *sets)
            around.node(node)
            seed(node, cluster, secrets, *NATIVE, *sets, layers=OF_HOST)
            power_on(node)
        # By hand, in a login shell: with the proxy's variables, which kubeadm would copy into its manifests.
        said = first.ok("bash", "-lc", FIRSTBOOT)
        worker.ok(FIRSTBOOT)
        for node in (first, worker):
            finished(node)
        for name in ("fetched", "of-repository", "of-registry"):
            first.ok("bash", "-lc", f"kubectl get configmap {name}")
        pull(worker, f"k8s.test/{IMAGE}")
        assert f"/v2/{IMAGE.replace(':', '/manifests/')}?ns=k8s.test" in around.mirror_asked()
        assert not any("k8s.test" in host for host in around.proxied())
        pull(worker, f"images.outside.test/{IMAGE}")
        assert around.proxied() == {f"{host}.outside.test:443" for host in ("charts", "files", "images")}
        assert around.refused() == []
        proxy, mirror = ("tcp", machine.address, 3128), ("tcp", machine.address, 5000)
        # kubeadm's preflight looks up the node's own name.
        assert left(first) == {proxy, ("udp", "node1.", 53)}
        assert left(worker) == {proxy, mirror, ("tcp", first.address, 6443), ("udp", "node2.", 53)}
    assert LOGIN not in said + "".join(first.read(str(path)) for path in manifests(first))


def manifests(node: Node) -> list[str]:
    return node.ok("find", "/etc/kubernetes", "/var/log/imgbuild", "-type", "f").split()
