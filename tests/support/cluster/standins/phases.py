"""What kubeadm init and join have in common."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster.standins import pki, place
from tests.support.cluster.standins.client import ApiError, Client, certificate_user, kubeconfig
from tests.support.cluster.standins.schema import Config, Refused

ADMINS = "kubeadm:cluster-admins"
ETCD_CLIENT = "/CN=kube-etcd-healthcheck-client"
_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
_CAS = (("ca", "kubernetes"), ("front-proxy-ca", "front-proxy-ca"), ("etcd/ca", "etcd-ca"))


def authority(local: Config) -> str:
    """host:port of this node's own API server."""
    address = local["advertiseAddress"]
    return f"[{address}]:{local['bindPort']}" if ":" in address else f"{address}:{local['bindPort']}"


def endpoint(local: Config, cluster: Config) -> str:
    """The cluster's https URL."""
    return f"https://{cluster.get('controlPlaneEndpoint') or authority(local)}"


def certificates(node: str, local: Config, cluster: Config, *, make: bool = True) -> None:
    """Every CA is used again where it lies there, else (with ``make``) made; the other certificates are signed."""
    print(f'[certs] Using certificateDir folder "{place.PKI}"')
    for stem, name in _CAS:
        if make:
            pki.ensure_ca(place.PKI / stem, name)
        else:
            pki.check_ca(place.PKI / stem)
    if not make and not (place.PKI / "sa.key").exists():
        raise Refused(f"failure loading key for service account: couldn't load the private key file {place.PKI}/sa.key")
    pki.ensure_service_account(place.PKI)
    etcd = ["DNS:localhost", f"DNS:{node}", f"IP:{local['advertiseAddress']}", "IP:127.0.0.1", "IP:::1"]
    for stem, ca, subject, sans in (
        ("apiserver", "ca", "/CN=kube-apiserver", _sans(node, local, cluster)),
        ("apiserver-kubelet-client", "ca", f"/O={admins()}/CN=kube-apiserver-kubelet-client", None),
        ("front-proxy-client", "front-proxy-ca", "/CN=front-proxy-client", None),
        ("etcd/server", "etcd/ca", f"/CN={node}", etcd),
        ("etcd/peer", "etcd/ca", f"/CN={node}", etcd),
        ("etcd/healthcheck-client", "etcd/ca", ETCD_CLIENT, None),
        ("apiserver-etcd-client", "etcd/ca", "/CN=kube-apiserver-etcd-client", None),
    ):
        print(f'[certs] Generating "{stem}" certificate and key')
        certificate, key = pki.sign(place.PKI / ca, subject, sans)
        pki.keep(place.PKI / f"{stem}.key", key)
        pki.keep(place.PKI / f"{stem}.crt", certificate, 0o644)


def admins() -> str:
    """The group of admin.conf."""
    return ADMINS if place.minor() >= 29 else "system:masters"


def _sans(node: str, local: Config, cluster: Config) -> list[str]:
    services = ipaddress.ip_network(cluster["networking"]["serviceSubnet"].split(",")[0])
    domain = cluster["networking"]["dnsDomain"]
    names = [node, "kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{domain}"]
    names += [str(next(services.hosts())), local["advertiseAddress"]]
    host = str(cluster.get("controlPlaneEndpoint") or "").rpartition(":")[0].strip("[]")
    names += ([host] if host else []) + list((cluster.get("apiServer") or {}).get("certSANs") or [])
    out = []
    for name in dict.fromkeys(names):
        try:
            out.append(f"IP:{ipaddress.ip_address(name)}")
        except ValueError:
            out.append(f"DNS:{name}")
    return out


def kubeconfigs(node: str, local: Config, cluster: Config, *, kubelet_too: bool, super_admin: bool) -> None:
    """admin.conf, super-admin.conf (from 1.29, on the first control plane only) and the others."""
    name = cluster.get("clusterName") or "kubernetes"
    shared, own = endpoint(local, cluster), f"https://{authority(local)}"
    wanted = [
        ("admin.conf", "kubernetes-admin", admins(), shared),
        ("controller-manager.conf", "system:kube-controller-manager", "", own),
        ("scheduler.conf", "system:kube-scheduler", "", own),
    ]
    if kubelet_too:
        wanted.append(("kubelet.conf", f"system:node:{node}", "system:nodes", shared))
    if super_admin and place.minor() >= 29:
        wanted.append(("super-admin.conf", "kubernetes-super-admin", "system:masters", shared))
    for file, user, group, server in wanted:
        print(f'[kubeconfig] Writing "{file}" kubeconfig file')
        place.write(place.KUBERNETES / file, user_kubeconfig(place.PKI / "ca", user, group, server, name))


def user_kubeconfig(ca: Path, user: str, group: str, server: str, cluster: str) -> str:
    """With a client certificate by the CA at ``ca``.crt and .key."""
    certificate, key = pki.sign(ca, (f"/O={group}" if group else "") + f"/CN={user}")
    public = ca.with_suffix(".crt").read_bytes()
    return kubeconfig(server, public, user, certificate_user(certificate, key), cluster)


PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
"""The static pods of a control plane, in the order of an init."""


def manifests(local: Config, cluster: Config, names: tuple[str, ...] = PODS) -> None:
    """Static pods. Only the API server's is looked into, by the kubelet stand-in."""
    flags = {
        "advertise-address": local["advertiseAddress"],
        "secure-port": str(local["bindPort"]),
        "tls-cert-file": str(place.PKI / "apiserver.crt"),
        "tls-private-key-file": str(place.PKI / "apiserver.key"),
        "client-ca-file": str(place.PKI / "ca.crt"),
        "service-cluster-ip-range": cluster["networking"]["serviceSubnet"],
    }
    repository = cluster.get("imageRepository") or "registry.k8s.io"
    # GetProxyEnvVars (cmd/kubeadm/app/util/env.go): all but etcd get kubeadm's own.
    proxy = [{"name": key, "value": value} for key, value in os.environ.items() if key.lower().endswith("_proxy")]
    for name in names:
        command = [name] + ([f"--{key}={value}" for key, value in flags.items()] if name == "kube-apiserver" else [])
        pod: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "kube-system",
                "labels": {"component": name, "tier": "control-plane"},
            },
            "spec": {
                "containers": [{"name": name, "image": f"{repository}/{name}:v{place.version()}", "command": command}],
                "hostNetwork": True,
            },
        }
        if name != "etcd" and proxy:
            pod["spec"]["containers"][0]["env"] = proxy
        if name == "etcd":
            address = authority(local).rpartition(":")[0]
            url = f"https://{address}:2379"
            pod["metadata"]["annotations"] = {"kubeadm.kubernetes.io/etcd.advertise-client-urls": url}
        print(f'[control-plane] Creating static Pod manifest for "{name}"')
        place.write(place.MANIFESTS / f"{name}.yaml", yaml.safe_dump(pod))


def start_kubelet() -> None:
    print("[kubelet-start] Starting the kubelet")
    for command in (["daemon-reload"], ["restart", "kubelet"]):
        done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"[kubelet-start] WARNING: unable to start the kubelet service: {done.stderr.strip()}")


def admin_binding() -> Config:
    """The group of admin.conf may do everything."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ADMINS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": ADMINS}],
    }


def upload(client: Client, cluster: Config, kubelet: Config) -> None:
    """ConfigMaps kubeadm-config and kubelet-config, which joining nodes read."""
    for name, key, value in (
        ("kubeadm-config", "ClusterConfiguration", cluster),
        ("kubelet-config", "kubelet", kubelet),
    ):
        print(f'[upload-config] Storing the configuration in ConfigMap "{name}" in the "kube-system" Namespace')
        client.put(
            "/api/v1/namespaces/kube-system/configmaps",
            name,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": "kube-system"},
                "data": {key: yaml.safe_dump(value)},
            },
        )


def mark_control_plane(client: Client, registration: Config) -> None:
    """The label, and the taint unless the configuration gives its own (an empty list: none)."""
    name = registration["name"]
    wait_for_node(client, name)
    print(f"[mark-control-plane] Marking the node {name} as control-plane")
    taints: list[Any] = registration["taints"] if registration.get("taints") is not None else [_TAINT]
    node = client.get(f"/api/v1/nodes/{name}")
    have = [t for t in node["spec"].get("taints", []) if t["key"] not in {t["key"] for t in taints}]
    labels = {
        "node-role.kubernetes.io/control-plane": "",
        "node.kubernetes.io/exclude-from-external-load-balancers": "",
    }
    client.merge(f"/api/v1/nodes/{name}", {"metadata": {"labels": labels}, "spec": {"taints": have + taints}})


def wait_for_node(client: Client, name: str) -> None:
    """Until the kubelet has registered it. Refused after a minute."""
    until = time.monotonic() + 60
    while True:
        try:
            client.get(f"/api/v1/nodes/{name}")
        except ApiError as error:
            if time.monotonic() > until:
                raise Refused(f"error execution phase mark-control-plane: {error}") from error
            time.sleep(0.5)
        else:
            return
