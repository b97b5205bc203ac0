"""kubeadm init, phase by phase, in the order of kubeadm 1.31."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import re
import secrets
import ssl
import time
import urllib.request
from typing import Any

import yaml

from tests.support.cluster.standins import kubeletconf, phases, place, preflight
from tests.support.cluster.standins.client import Client, kubeconfig
from tests.support.cluster.standins.phases import ADMINS, authority, endpoint
from tests.support.cluster.standins.schema import Config, Refused


def run(init: Config, cluster: Config, kubelet: Config) -> None:
    """Make a control plane. Raises Refused at the first phase that fails; what earlier ones wrote stays."""
    print(f"[init] Using Kubernetes version: v{place.version()}")
    skipped = set(init.get("skipPhases") or [])
    registration, local = init["nodeRegistration"], init["localAPIEndpoint"]
    print("[preflight] Running pre-flight checks")
    preflight.run(preflight.for_init(init, cluster), registration.get("ignorePreflightErrors") or [])
    if cluster.get("controlPlaneEndpoint") and ":" not in cluster["controlPlaneEndpoint"].rpartition("]")[2]:
        cluster["controlPlaneEndpoint"] += f":{local['bindPort']}"
    phases.certificates(registration["name"], local, cluster)
    phases.kubeconfigs(registration["name"], local, cluster, kubelet_too=True, super_admin=True)
    phases.manifests(local, cluster)
    place.write(place.ETCD / "member" / "wal" / "0.wal", "")
    kubeletconf.write(kubelet, registration, cluster)
    phases.start_kubelet()
    print("[wait-control-plane] Waiting for the kubelet to boot up the control plane as static Pods")
    wait_healthy(local, minutes(init, "controlPlaneComponentHealthCheck", 4))
    client = Client.of(place.KUBERNETES / ("super-admin.conf" if place.minor() >= 29 else "admin.conf"))
    client.server = client.server._replace(netloc=authority(local))
    if place.minor() >= 29:
        client.put("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", ADMINS, phases.admin_binding())
    phases.upload(client, cluster, kubelet)
    phases.mark_control_plane(client, registration)
    for token in init["bootstrapTokens"] or [{"token": f"{secrets.token_hex(3)}.{secrets.token_hex(8)}"}]:
        _token(client, token)
    _cluster_info(client, cluster, local)
    if "addon" not in skipped:
        _addons(client, cluster, skipped)
    print("\nYour Kubernetes control-plane has initialized successfully!")


def minutes(config: Config, name: str, default: float) -> float:
    """A timeout of the configuration, in seconds."""
    text = str((config.get("timeouts") or {}).get(name) or f"{default}m")
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([0-9.]+)(ms|h|m|s)", text))


def wait_healthy(local: Config, seconds: float) -> None:
    """The kubelet's health first, then the API server's."""
    tls = ssl.create_default_context(cafile=str(place.PKI / "ca.crt"))
    for url, what in (
        ("http://127.0.0.1:10248/healthz", "the kubelet is not healthy"),
        (f"https://{authority(local)}/livez", "couldn't initialize a Kubernetes cluster"),
    ):
        until = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5, context=tls if url.startswith("https") else None):  # noqa: S310
                    break
            except OSError as error:
                if time.monotonic() > until:
                    raise Refused(f"error execution phase wait-control-plane: {what}: {error}") from error
                time.sleep(0.5)


def _token(client: Client, token: dict[str, Any]) -> None:
    """A Secret that expires. kubeadm's default is 24 h."""
    token_id, _, secret = token["token"].partition(".")
    seconds = minutes({"timeouts": {"ttl": token.get("ttl") or "24h"}}, "ttl", 0)
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    expires = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    data = {
        "token-id": token_id,
        "token-secret": secret,
        "expiration": expires,
        "auth-extra-groups": ",".join(token.get("groups") or ["system:bootstrappers:kubeadm:default-node-token"]),
    }
    data |= {f"usage-bootstrap-{usage}": "true" for usage in token.get("usages") or ["signing", "authentication"]}
    name = f"bootstrap-token-{token_id}"
    print(f"[bootstrap-token] Using token: {token_id}.<hidden>")
    client.put(
        "/api/v1/namespaces/kube-system/secrets",
        name,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": name, "namespace": "kube-system"},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        },
    )


def _cluster_info(client: Client, cluster: Config, local: Config) -> None:
    ca = (place.PKI / "ca.crt").read_bytes()
    text = kubeconfig(endpoint(local, cluster), ca, "", {}, cluster="")
    document = yaml.safe_load(text) | {"contexts": None, "users": None, "current-context": ""}
    client.put(
        "/api/v1/namespaces/kube-public/configmaps",
        "cluster-info",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "cluster-info", "namespace": "kube-public"},
            "data": {"kubeconfig": yaml.safe_dump(document, width=1_000_000)},
        },
    )


def _addons(client: Client, cluster: Config, skipped: set[str]) -> None:
    space = "/namespaces/kube-system"
    if "addon/coredns" not in skipped:
        dns = str(next(ipaddress.ip_network(cluster["networking"]["serviceSubnet"].split(",")[0]).hosts()) + 9)
        labels = {"k8s-app": "kube-dns"}
        tolerations = [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ]
        client.put(
            f"/apis/apps/v1{space}/deployments",
            "coredns",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "coredns", "namespace": "kube-system", "labels": labels},
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [{"name": "coredns", "image": "coredns"}], "tolerations": tolerations},
                    },
                },
            },
        )
        client.put(
            f"/api/v1{space}/services",
            "kube-dns",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
                "spec": {
                    "clusterIP": dns,
                    "selector": labels,
                    "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}],
                },
            },
        )
        print("[addons] Applied essential addon: CoreDNS")
    if "addon/kube-proxy" not in skipped:
        labels = {"k8s-app": "kube-proxy"}
        client.put(
            f"/apis/apps/v1{space}/daemonsets",
            "kube-proxy",
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "hostNetwork": True,
                            "containers": [{"name": "kube-proxy", "image": "kube-proxy"}],
                            "tolerations": [{"operator": "Exists"}],
                        },
                    },
                },
            },
        )
        print("[addons] Applied essential addon: kube-proxy")
