"""kube-vip as a static pod: the virtual address is there before there is a cluster to run it.

Source: kube-vip.io/docs/installation/static (`kube-vip manifest pod --controlplane --arp --leaderElection`).
"""

from __future__ import annotations

from typing import Any

import yaml

from imgbuild.config.cluster import Cluster, Node, Vip
from imgbuild.config.profile import Profile
from imgbuild.facts import derive
from imgbuild.facts.endpoint import vip_interface

HOSTS = "/etc/imgbuild/kube-vip.hosts"
"""kube-vip's /etc/hosts. hostAliases are for this, but the kubelet omits them from a static pod that starts before
it knows the node's addresses: always in the first patches of 1.29, sometimes in all before 1.32 (kube-vip#692,
kubernetes#119852, fixed by kubernetes#126460). The pod's own file replaces the kubelet's."""


def hosts() -> bytes:
    """kube-vip connects to the API server as `kubernetes`: the node's own, as the virtual address is not there yet."""
    return b"# imgbuild: /etc/hosts of kube-vip\n127.0.0.1 localhost kubernetes\n::1 localhost\n"


def manifest(profile: Profile, cluster: Cluster, node: Node, vip: Vip) -> bytes:
    """/etc/kubernetes/manifests/kube-vip.yaml of one control plane."""
    release = derive.version(derive.minor(profile.kubernetes.version))
    # admin.conf has no rights before kubeadm's last steps; super-admin.conf is for that time. First boot puts
    # admin.conf in its place once the cluster is made (lib/kubeadm.sh).
    first = node == cluster.first and release >= derive.since("kubernetes", "super_admin")
    config = f"/etc/kubernetes/{'super-admin' if first else 'admin'}.conf"
    environment = {
        "vip_arp": "true",
        "port": str(profile.kubernetes.api_port),
        "address": vip.address,
        "cp_enable": "true",
        "cp_namespace": "kube-system",
        "vip_leaderelection": "true",
        "vip_leaseduration": "15",
        "vip_renewdeadline": "10",
        "vip_retryperiod": "2",
    }
    interface = vip_interface(profile, vip, node)
    if interface is not None:
        environment["vip_interface"] = interface
    mounts = [
        {"mountPath": "/etc/kubernetes/admin.conf", "name": "kubeconfig"},
        {"mountPath": "/etc/hosts", "name": "hosts", "readOnly": True},
    ]
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
                    "volumeMounts": mounts,
                }
            ],
            "hostNetwork": True,
            "volumes": [
                {"name": "kubeconfig", "hostPath": {"path": config, "type": "File"}},
                {"name": "hosts", "hostPath": {"path": HOSTS, "type": "File"}},
            ],
        },
    }
    return b"# imgbuild: the virtual address of the control plane\n" + yaml.safe_dump(pod, sort_keys=False).encode()
