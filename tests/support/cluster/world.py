"""A loopback mirror and the layer that makes a shipped Debian profile take Kubernetes' programs from it."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster.programs import HELM, KUBERNETES, programs
from tests.support.cluster.seeds import CHART, CHART_VERSION
from tests.support.cluster.standins.pack import pack
from tests.support.cri.pause_image import pause_image
from tests.support.mirror import Mirror

# A disk with this label brings what a test does in the guest; it is looked for at each boot.
_UNIT_PATH = "/etc/systemd/system/imgbuildtest.service"
_UNIT = """[Unit]
ConditionPathExists=/dev/disk/by-label/IMGBUILDT
[Service]
ExecStartPre=/bin/mkdir -p /run/imgbuildtest
ExecStartPre=/bin/mount -o ro /dev/disk/by-label/IMGBUILDT /run/imgbuildtest
ExecStart=/usr/bin/python3 /run/imgbuildtest/act.py
[Install]
WantedBy=multi-user.target
"""


def make_layer(mirror: Mirror, layer: Path) -> Path:
    """Fill the mirror and write the layer: stand-ins for kubeadm, kubelet and crictl; kubectl and helm are real."""
    kube, _ = pack(mirror.folder / "kube", KUBERNETES)
    kubectl = mirror.folder / "kubectl"
    shutil.copyfile(programs()["kubectl"], kubectl)
    binaries = {**dict.fromkeys(("kubeadm", "kubelet", "crictl"), kube), "kubectl": kubectl}
    helm = mirror.folder / f"helm-v{HELM}-linux-amd64.tar.gz"
    _archive(helm, programs()["helm"], "linux-amd64/helm")
    image = pause_image(mirror.folder / "pause.tar", "imgbuild.test/pause:test")
    values: dict[str, Any] = {
        "kubernetes": {
            "version": KUBERNETES,
            "source": "binaries",
            "binaries": {name: _served(mirror, path) for name, path in binaries.items()},
        },
        "helm": {"version": HELM, **_served(mirror, helm)},
        "cilium": served_chart(mirror),
        "containerd": {"images": [{"name": "pause", **_served(mirror, image)}]},
        "files": [{"path": _UNIT_PATH, "content": _UNIT}],
        "run": [f"systemctl enable --now {_UNIT_PATH}"],
    }
    layer.write_text(yaml.safe_dump(values))
    return layer


def served_chart(mirror: Mirror) -> dict[str, Any]:
    """The small chart under Cilium's name, put on the mirror; gives the profile's key `cilium`."""
    chart = mirror.folder / f"cilium-{CHART_VERSION}.tgz"
    _archive(chart, CHART, "cilium")
    return {"version": CHART_VERSION, "chart": _served(mirror, chart)}


def _archive(target: Path, source: Path, name: str) -> None:
    """A tar.gz of one thing: the same bytes for the same content, so that the cache knows what was made from it."""
    with gzip.GzipFile(target, "wb", compresslevel=1, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as out:
        out.add(source, name)


def _served(mirror: Mirror, path: Path) -> dict[str, Any]:
    """A file of the mirror's, as a profile names it."""
    return {"urls": [f"{mirror.url}/{path.name}"], "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
