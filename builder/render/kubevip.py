"""kube-vip as a static pod: the virtual address is there before there is a cluster to run it.

Source: kube-vip.io/docs/installation/static (`kube-vip manifest pod --controlplane --arp --leaderElection`).
"""

from __future__ import annotations

from typing import Any

import yaml

from builder import derive
from builder.cluster import Cluster, Node, Vip
from builder.profile import Profile

_SUPER_ADMIN = "1.29"
"""From here on admin.conf has no rights before kubeadm's last steps, and super-admin.conf is there for that."""


def manifest(profile: Profile, cluster: Cluster, node: Node, vip: Vip) -> bytes:
    """/etc/kubernetes/manifests/kube-vip.yaml of one control plane."""
    release = derive.version(derive.minor(profile.kubernetes.version))
    first = node == cluster.first and release >= derive.version(_SUPER_ADMIN)
    config = f"/etc/kubernetes/{'super-admin' if first else 'admin'}.conf"
    environment = {
        "vip_arp": "true",
        "port": str(profile.kubernetes.api_port),
        "address": vip.address,
        "vip_cidr": "128" if ":" in vip.address else "32",
        "cp_enable": "true",
        "cp_namespace": "kube-system",
        "vip_leaderelection": "true",
        "vip_leaseduration": "15",
        "vip_renewdeadline": "10",
        "vip_retryperiod": "2",
    }
    if vip.interface is not None:
        environment["vip_interface"] = vip.interface
    mount = {"mountPath": "/etc/kubernetes/admin.conf", "name": "kubeconfig"}
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "kube-vip", "namespace": "kube-system"},
        "spec": {
            "containers": [
                {
                    "name": "kube-vip",
                    "image": vip.image,
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["manager"],
                    "env": [{"name": name, "value": value} for name, value in environment.items()],
                    "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
                    "volumeMounts": [mount],
                }
            ],
            # Its own API server: the address that it is to bring up cannot be the way to it.
            "hostAliases": [{"hostnames": ["kubernetes"], "ip": "127.0.0.1"}],
            "hostNetwork": True,
            "volumes": [{"name": "kubeconfig", "hostPath": {"path": config, "type": "File"}}],
        },
    }
    return b"# imgbuild: the virtual address of the control plane\n" + yaml.safe_dump(pod, sort_keys=False).encode()
