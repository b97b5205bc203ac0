"""kubeadm reset: what the real one empties, and no more (neither CNI's configuration nor iptables).

Its member of etcd it removes only where the API server answers and tells of this Node and its static pods; all else is
a warning, and etcd's data go all the same (seen with 1.35.6).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import urllib.parse
from pathlib import Path

import yaml

from tests.support.cluster.standins import balancer, phases, place
from tests.support.cluster.standins.client import ApiError, Client

_CONFIGS = ("admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler")


def run(cri_socket: str) -> None:
    """Always ends well, as with --force."""
    if not cri_socket.startswith("unix:///"):
        print(f"[reset] WARNING: no CRI socket: {cri_socket}")
    try:
        _leave_etcd()
    except (OSError, ApiError, LookupError) as error:
        print(f"[reset] Unable to fetch the kubeadm-config ConfigMap from cluster: {error}")
    print("[reset] Stopping the kubelet service")
    subprocess.run(["systemctl", "stop", "kubelet"], check=False)
    end_containers()
    balancer.end()
    folders = [place.MANIFESTS, place.KUBELET, place.PKI, place.ETCD]
    print(f"[reset] Deleting contents of directories: [{' '.join(map(str, folders))}]")
    for folder in folders:
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    for name in _CONFIGS:
        (place.KUBERNETES / f"{name}.conf").unlink(missing_ok=True)
    print("\nThe reset process does not perform cleanup of CNI plugin configuration,")
    print("network filtering rules and kubeconfig files.")


def _leave_etcd() -> None:
    """By any other member. Raises OSError, ApiError, and LookupError where nobody knows this node."""
    name = socket.gethostname()
    client = Client.of(place.KUBERNETES / "admin.conf")
    client.get(f"/api/v1/nodes/{name}")
    client.get(f"/api/v1/namespaces/kube-system/pods/kube-apiserver-{name}")
    manifest = yaml.safe_load((place.MANIFESTS / "kube-apiserver.yaml").read_text())
    flags = dict(word.split("=", 1) for word in manifest["spec"]["containers"][0]["command"][1:])
    local = {"advertiseAddress": flags["--advertise-address"], "bindPort": flags["--secure-port"]}
    own = f"https://{phases.authority(local)}"
    member = Client.of(place.KUBERNETES / "controller-manager.conf")
    for pod in client.get("/api/v1/namespaces/kube-system/pods?labelSelector=component%3Detcd")["items"]:
        etcd = urllib.parse.urlsplit(pod["metadata"]["annotations"]["kubeadm.kubernetes.io/etcd.advertise-client-urls"])
        host = (etcd.hostname or "").join("[]" if ":" in (etcd.hostname or "") else ("", ""))
        if (server := f"https://{host}:{local['bindPort']}") != own:
            member.server = urllib.parse.urlsplit(server)
            member.call("POST", "/standin/etcd", {"leave": own})
            return


def end_containers() -> None:
    """The API server, which lives on when the kubelet is stopped, as a container does."""
    pid = apiserver()
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    place.APISERVER_PID.unlink(missing_ok=True)
    for entry in place.CONTAINERS.iterdir() if place.CONTAINERS.is_dir() else ():
        entry.unlink()


def apiserver() -> int | None:
    """The API server's process, if it is alive."""
    try:
        pid = int(place.APISERVER_PID.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"standin-kube-apiserver" in words else None
