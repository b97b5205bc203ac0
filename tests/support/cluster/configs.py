"""kubeadm's configuration for tests of the stand-ins by themselves, written by hand and not by imgbuild."""

from __future__ import annotations

import base64
import json

import yaml

from tests.support.cluster.ground import Node
from tests.support.cluster.programs import KUBERNETES

TOKEN = "abcdef.0123456789abcdef"
ENDPOINT = "10.0.0.1:6443"
_API = "kubeadm.k8s.io/v1beta4"
_SOCKET = "unix:///run/containerd/containerd.sock"


def init_yaml(node: Node, *, ttl: str = "8760h0m0s") -> str:
    local = {"advertiseAddress": node.address, "bindPort": 6443}
    registration = {
        "name": node.name,
        "criSocket": _SOCKET,
        "taints": [],
        "kubeletExtraArgs": [{"name": "node-ip", "value": node.address}],
    }
    return yaml.safe_dump_all(
        [
            {
                "apiVersion": _API,
                "kind": "InitConfiguration",
                "bootstrapTokens": [{"token": TOKEN, "ttl": ttl}],
                "localAPIEndpoint": local,
                "nodeRegistration": registration,
                "skipPhases": ["addon/kube-proxy"],
            },
            {
                "apiVersion": _API,
                "kind": "ClusterConfiguration",
                "kubernetesVersion": f"v{KUBERNETES}",
                "controlPlaneEndpoint": ENDPOINT,
                "networking": {"podSubnet": "10.244.0.0/16"},
            },
            {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "cgroupDriver": "systemd"},
        ]
    )


def join_yaml(node: Node, pin: str, *, token: str = TOKEN, control_plane: bool = False, name: str = "") -> str:
    join = {
        "apiVersion": _API,
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": {"token": token, "apiServerEndpoint": ENDPOINT, "caCertHashes": [pin]}},
        "nodeRegistration": {
            "name": name or node.name,
            "criSocket": _SOCKET,
            "kubeletExtraArgs": [{"name": "node-ip", "value": node.address}],
        },
        "timeouts": {"discovery": "3s"},
    }
    if control_plane:
        join["controlPlane"] = {"localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": 6443}}
    return yaml.safe_dump(join)


def secret(text: str) -> dict[str, str]:
    """The data of a Secret that kubectl printed as JSON."""
    return {key: base64.b64decode(value).decode() for key, value in json.loads(text)["data"].items()}
