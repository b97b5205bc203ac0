"""haproxy on each node, before all control planes: its configuration and its static pod.

As kubespray has it (roles/kubernetes/node, loadbalancer). Clients speak TLS with the API server itself through it.
"""

from __future__ import annotations

from typing import Any

import yaml

from imgbuild.config.cluster import Cluster
from imgbuild.facts.endpoint import LOOPBACK, Reach, host_port
from imgbuild.render.templates import render

FOLDER = "/etc/imgbuild/balancer"
MANIFEST = "/etc/imgbuild/balancer.yaml"


def members(where: Reach) -> dict[str, str]:
    """Each control plane's host:port by its name; those whose address is not known are left out."""
    return {
        name: host_port(address, where.api_port)
        for name, address in where.control_planes.items()
        if address is not None
    }


def configuration(cluster: Cluster, where: Reach) -> bytes:
    """haproxy.cfg, for haproxy 2.2 and later."""
    return render(
        "node",
        "etc/imgbuild/balancer/haproxy.cfg.j2",
        bind=host_port(LOOPBACK, cluster.balancer_port),
        members=members(where),
    )


def manifest(cluster: Cluster) -> bytes:
    """The static pod. Its image reads /usr/local/etc/haproxy/haproxy.cfg, as a user without rights."""
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "balancer", "namespace": "kube-system", "labels": {"app": "imgbuild-balancer"}},
        "spec": {
            "containers": [
                {
                    "name": "balancer",
                    "image": cluster.balancer_image,
                    "imagePullPolicy": "IfNotPresent",
                    # Without a control plane too: to restart it would not help.
                    "livenessProbe": {
                        "tcpSocket": {"host": LOOPBACK, "port": cluster.balancer_port},
                        "failureThreshold": 6,
                    },
                    "resources": {"requests": {"cpu": "25m", "memory": "32Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [
                        {"mountPath": "/usr/local/etc/haproxy", "name": "configuration", "readOnly": True}
                    ],
                }
            ],
            "hostNetwork": True,
            "priorityClassName": "system-node-critical",
            "volumes": [{"name": "configuration", "hostPath": {"path": FOLDER, "type": "Directory"}}],
        },
    }
    head = b"# imgbuild: the balancer of this node, before all control planes\n"
    return head + yaml.safe_dump(pod, sort_keys=False).encode()
