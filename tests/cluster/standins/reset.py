"""kubeadm reset: what the real one empties, and no more (neither CNI's configuration nor iptables)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.cluster.standins import place

_CONFIGS = ("admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler")


def run(cri_socket: str) -> None:
    """Always ends well, as with --force."""
    if not cri_socket.startswith("unix:///"):
        print(f"[reset] WARNING: no CRI socket: {cri_socket}")
    print("[reset] Stopping the kubelet service")
    subprocess.run(["systemctl", "stop", "kubelet"], check=False)
    end_containers()
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
