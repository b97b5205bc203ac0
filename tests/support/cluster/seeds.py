"""A node as an image and its seed leave it, for first boot in a chroot: our scripts, and the seed as it is rendered."""

from __future__ import annotations

import platform
import tarfile
from collections.abc import Sequence
from pathlib import Path

from imgbuild.config.cluster import Cluster
from imgbuild.config.secrets import Secrets
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.node import node_tree
from imgbuild.render.registries import AUTHORITIES
from tests.support.cluster.ground import Node
from tests.support.cluster.programs import HELM, KUBERNETES
from tests.support.cri.pause_image import pause_image
from tests.support.install.room import resolved
from tests.support.places import ROOT

_SCRIPTS = ROOT / "node/usr/libexec/imgbuild"
CHART = Path(__file__).parent / "chart"
CHART_VERSION = "1.18.12"
_SETS = (f"kubernetes.version={KUBERNETES}", f"helm.version={HELM}", f"cilium.version={CHART_VERSION}")
OF_HOST, NATIVE = ("distro-containerd",), ("containerd.snapshotter=native",)
"""The layer and the settings of a node with the real containerd: no overlay on an overlay."""
_CHECKS = "kubeadm kubectl helm node-ready no-kube-proxy cilium cilium-services cilium-datapath coredns"
"""What of imgbuild-verify can be true in a chroot."""


def image(node: Node) -> None:
    """What a baked image holds, as far as first boot looks."""
    for path in _SCRIPTS.rglob("*"):
        name = path.relative_to(_SCRIPTS)
        if path.is_file() and path.suffix != ".j2" and name.parts[0] not in ("setup", "install", "install.d"):
            node.write(f"/usr/libexec/imgbuild/{name}", path.read_bytes(), 0o755)
    node.write("/usr/share/imgbuild/kernel", f"{platform.release()}\n")
    conf = f"checks=({_CHECKS})\nkubernetes_version='{KUBERNETES}'\nhelm_version='{HELM}'\n"
    node.write("/etc/imgbuild/verify.conf", conf)
    node.write("/usr/share/imgbuild/images/one.tar", "one.tar\n")
    chart = node.upper / f"usr/share/imgbuild/charts/cilium-{CHART_VERSION}.tgz"
    chart.parent.mkdir(parents=True)
    with tarfile.open(chart, "w:gz") as out:
        out.add(CHART, "cilium")


def containerd(node: Node, *sets: str) -> None:
    """The host's containerd, with what an image of this profile has for it, and one image in an archive."""
    found = resolved("debian12-bios", *OF_HOST, sets=(*_SETS, *NATIVE, *sets))
    for file in node_tree(found).files:
        if file.path.startswith(("/etc/containerd/", AUTHORITIES)):
            node.write(file.path, file.content, file.mode)
    node.write("/standin/containerd", "/usr/bin/containerd")
    node.install(Path("/usr/bin/ctr"), "/usr/local/bin/ctr")
    pause_image(node.upper / "usr/share/imgbuild/images/one.tar", "imgbuild.test/one:test")


def seed(
    node: Node, cluster: Cluster, secrets: Secrets, *sets: str, name: str = "", layers: Sequence[str] = ()
) -> None:
    """The node's part of the cluster file, rendered by imgbuild. ``name``: that of its group, if it has one."""
    found = resolved("debian12-bios", *layers, sets=(*_SETS, *sets))
    own = next(item for item in cluster.nodes if item.name == (name or node.name))
    for file in seed_tree(found, cluster, own, secrets).files:
        node.write(file.path, file.content, file.mode)
