"""Where things lie on a node, as the real programs have them."""

from __future__ import annotations

import os
import pkgutil
from pathlib import Path

KUBERNETES = Path("/etc/kubernetes")
PKI = KUBERNETES / "pki"
MANIFESTS = KUBERNETES / "manifests"
ETCD = Path("/var/lib/etcd")
KUBELET = Path("/var/lib/kubelet")
CNI = Path("/etc/cni/net.d")
CONTAINERS = Path("/run/standin/containers")
"""The stand-in's own: what crictl lists, one file a container."""
PULLED = Path("/standin/pulled")
"""The images that crictl pulled, one a line."""
DATE = Path("/standin/date")
"""What the API server's clock is ahead by, in seconds (negative: behind); ``none``: its answers have no Date."""
BALANCER_PID = Path("/run/standin/balancer.pid")
APISERVER_PID = Path("/run/standin/kube-apiserver.pid")


def version() -> str:
    """Kubernetes' version that this stand-in is packed as, without v."""
    data = pkgutil.get_data("tests.support.cluster.standins", "version")
    assert data is not None
    return data.decode()


def minor() -> int:
    """31 of 1.31.9."""
    return int(version().split(".")[1])


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write it whole or not at all, through a power cut too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("w") as out:
        os.fchmod(out.fileno(), mode)
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
