"""A loopback mirror and the layer that makes a shipped Debian profile take Kubernetes' programs from it."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.programs import HELM, KUBERNETES, programs
from tests.cluster.seeds import CHART, CHART_VERSION
from tests.cluster.standins.pack import pack
from tests.install.conftest import Mirror


def make_layer(mirror: Mirror, layer: Path) -> Path:
    """Fill the mirror and write the layer: stand-ins for kubeadm, kubelet and crictl; kubectl and helm are real."""
    kube, kube_sum = pack(mirror.folder / "kube", KUBERNETES)
    kubectl = mirror.folder / "kubectl"
    shutil.copyfile(programs()["kubectl"], kubectl)
    binaries = dict.fromkeys(("kubeadm", "kubelet", "crictl"), (kube.name, kube_sum))
    binaries["kubectl"] = (kubectl.name, _sha256(kubectl))
    helm = mirror.folder / f"helm-v{HELM}-linux-amd64.tar.gz"
    with tarfile.open(helm, "w:gz", compresslevel=1) as out:
        out.add(programs()["helm"], "linux-amd64/helm")
    values: dict[str, Any] = {
        "kubernetes": {
            "version": KUBERNETES,
            "source": "binaries",
            "binaries": {n: {"urls": [f"{mirror.url}/{f}"], "sha256": s} for n, (f, s) in binaries.items()},
        },
        "helm": {"version": HELM, "urls": [f"{mirror.url}/{helm.name}"], "sha256": _sha256(helm)},
        "cilium": {"version": CHART_VERSION},
        "run": [_chart()],
    }
    layer.write_text(yaml.safe_dump(values))
    return layer


def _chart() -> str:
    """The command that puts the tests' chart where a baked one lies: it is small enough for user-data."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as out:
        out.add(CHART, "cilium")
    folder = "/usr/share/imgbuild/charts"
    text = base64.b64encode(data.getvalue()).decode()
    return f"mkdir -p {folder} && base64 -d <<< {text} > {folder}/cilium-{CHART_VERSION}.tgz"


def _sha256(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
