"""Runs inside the guest, from the test's disk: one of the functions here, which the disk's file "act" names.

What it finds goes to the host, one JSON object a line (probe.py, which lies beside it).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from probe import run, say  # type: ignore[import-not-found] # beside it on the disk

ADMIN = ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf")
UNDONE = (
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/pki/ca.crt",
    "/var/lib/etcd/member",
    "/etc/cni/net.d/05-cilium.conflist",
    "/var/lib/imgbuild/firstboot.done",
    "/root/.kube/config",
)
"""What a node of a cluster has, and what reset must take away."""


def must(*command: str) -> str:
    """What a command says that has to end with 0."""
    code, said = run(*command, seconds=900)
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}: {said[-1500:]}")
    return str(said).strip()


def there() -> list[str]:
    return [path for path in UNDONE if Path(path).exists()]


def cluster() -> str:
    """The cluster's identity: that of a namespace that is made with it."""
    return must(*ADMIN, "get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}")


def joined() -> None:
    """A worker's first boot, however long it waits for the control plane; Ready until that one has seen it."""
    must("imgbuild-status", "--wait", "1200")
    say("joined", verify=must("imgbuild-verify"))
    own = ("kubectl", "--kubeconfig", "/etc/kubernetes/kubelet.conf", "get", "node", "worker1")
    while must(*own, "--output", "jsonpath={.metadata.labels.seen}") != "yes":
        time.sleep(5)


def made() -> None:
    """A control plane's first boot, and the worker that is to join it."""
    must("imgbuild-status", "--wait", "1200")
    must(*ADMIN, "wait", "--for=condition=Ready", "node/worker1", "--timeout=600s")
    must(*ADMIN, "label", "node", "worker1", "seen=yes")
    say("made", verify=must("imgbuild-verify"), nodes=must(*ADMIN, "get", "nodes", "--output", "name").split())


def reset() -> None:
    """imgbuild-reset on a node of a working cluster, and first boot again."""
    must("imgbuild-status", "--wait", "900")
    must("bash", "-c", "until kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /livez; do sleep 1; done")
    say("before", there=there(), cluster=cluster())
    said = must("imgbuild-reset", "--yes")
    say("reset", there=there(), said=said)
    must("systemctl", "start", "imgbuild-firstboot.service")
    must("imgbuild-status", "--wait", "900")
    say("after", there=there(), cluster=cluster(), verify=must("imgbuild-verify"))


def pod(image: str) -> None:
    """A control plane's first boot, and a container of an image that the node must have: no registry answers."""
    must("imgbuild-status", "--wait", "1200")
    must("ctr", "-n", "k8s.io", "run", "--detach", "--net-host", image, "probe")
    tasks = [line.split() for line in must("ctr", "-n", "k8s.io", "tasks", "ls").splitlines()]
    state = next((words[2] for words in tasks if words[0] == "probe"), "not there")
    pinned = must("ctr", "-n", "k8s.io", "images", "ls", "-q", 'labels."io.cri-containerd.pinned"==pinned')
    say("pod", pinned=pinned.split(), state=state, verify=must("imgbuild-verify"))


def stock() -> None:
    """A plain image's way to a node: the second boot, on the kernel that was installed in the first."""
    while not Path("/usr/bin/imgbuild-status").exists():  # the first boot, which ends in the other kernel
        time.sleep(5)
    must("imgbuild-status", "--wait", "1200")
    say("stock", verify=must("imgbuild-verify"), kernel=os.uname().release)


if __name__ == "__main__":
    acts: dict[str, Callable[..., None]] = {"joined": joined, "made": made, "pod": pod, "reset": reset, "stock": stock}
    try:
        what, *words = Path(__file__).with_name("act").read_text().split()
        acts[what](*words)
        say("done")
    except Exception as error:
        say("error", text=f"{type(error).__name__}: {error}")
        sys.exit(1)
