"""The kubelet's Node and the pods on it, as the API server sees them."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

import yaml

from tests.support.cluster.standins import place
from tests.support.cluster.standins.api.store import now
from tests.support.cluster.standins.client import ApiError, Client
from tests.support.cluster.standins.schema import Config

_SPACE = "/api/v1/namespaces/{}/pods"
_CILIUM = {"cniVersion": "0.3.1", "name": "cilium", "plugins": [{"type": "cilium-cni"}]}


def sync(client: Client, flags: argparse.Namespace, config: Config) -> None:
    """Once: Node and lease, this node's pods, static pods' mirrors, what crictl lists."""
    _register(client, flags, config)
    ready = _network_ready()
    _status(client, flags, ready)
    mirrors = list(_mirrors(client, flags))
    pods = client.get(f"/api/v1/pods?fieldSelector=spec.nodeName={flags.name}")["items"]
    for pod in pods:
        if pod["metadata"].get("annotations", {}).get("kubernetes.io/config.mirror"):
            if pod["metadata"]["name"] not in mirrors:
                client.call("DELETE", f"{_SPACE.format('kube-system')}/{pod['metadata']['name']}")
        elif ready or pod["spec"].get("hostNetwork"):
            _run(client, pod, flags.node_ip)
    _containers(client, pods)


def _register(client: Client, flags: argparse.Namespace, config: Config) -> None:
    path = f"/api/v1/nodes/{flags.name}"
    try:
        client.get(path)
    except ApiError as error:
        if error.code != 404:
            raise
        labels = {"kubernetes.io/hostname": flags.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        labels |= dict(pair.split("=", 1) for pair in flags.node_labels.split(",") if pair)
        taints = list(config.get("registerWithTaints") or [])
        for text in filter(None, flags.register_with_taints.split(",")):
            pair, _, effect = text.rpartition(":")
            key, _, value = pair.partition("=")
            taints.append({"key": key, "effect": effect} | ({"value": value} if value else {}))
        client.call(
            "POST",
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": flags.name, "labels": labels},
                "spec": {"taints": taints},
            },
        )


def _network_ready() -> bool:
    """As containerd has it: some CNI configuration is there."""
    return place.CNI.is_dir() and any(place.CNI.glob("*.conf*"))


def _status(client: Client, flags: argparse.Namespace, ready: bool) -> None:
    path = f"/api/v1/nodes/{flags.name}"
    state = ("True", "KubeletReady", "kubelet is posting ready status")
    if not ready:
        state = (
            "False",
            "KubeletNotReady",
            "container runtime network not ready: NetworkReady=false "
            "reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
        )
    old = client.get(path)
    have: Any = next((c for c in old.get("status", {}).get("conditions", []) if c["type"] == "Ready"), {})
    since = have.get("lastTransitionTime") if have.get("status") == state[0] else now()
    pressure = [{"type": t, "status": "False"} for t in ("MemoryPressure", "DiskPressure", "PIDPressure")]
    status = {
        "addresses": [
            *({"type": "InternalIP", "address": address} for address in flags.node_ips),
            {"type": "Hostname", "address": flags.name},
        ],
        "conditions": [
            *pressure,
            {"type": "Ready", "status": state[0], "reason": state[1], "message": state[2], "lastTransitionTime": since},
        ],
        "nodeInfo": {
            "kubeletVersion": f"v{place.version()}",
            "kernelVersion": platform.release(),
            "containerRuntimeVersion": "containerd://standin",
            "operatingSystem": "linux",
            "architecture": "amd64",
            "osImage": "stand-in",
        },
    }
    client.merge(f"{path}/status", {"status": status})
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": flags.name, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": flags.name, "renewTime": now()},
    }
    client.put(leases, flags.name, lease)


def _mirrors(client: Client, flags: argparse.Namespace) -> Any:
    """Each static pod is shown as a Pod named after the node."""
    for manifest in sorted(place.MANIFESTS.glob("*.yaml")) if place.MANIFESTS.is_dir() else ():
        try:
            pod = yaml.safe_load(manifest.read_text())
            name = f"{pod['metadata']['name']}-{flags.name}"
        except (OSError, yaml.YAMLError, TypeError, KeyError):
            continue
        yield name
        pod["metadata"] |= {
            "name": name,
            "namespace": "kube-system",
            "annotations": {**pod["metadata"].get("annotations", {}), "kubernetes.io/config.mirror": "standin"},
        }
        pod["spec"]["nodeName"] = flags.name
        pod["status"] = running(flags.node_ip)
        try:
            client.get(f"{_SPACE.format('kube-system')}/{name}")
        except ApiError as error:
            if error.code != 404:
                raise
            client.call("POST", _SPACE.format("kube-system"), pod)


def running(address: str) -> dict[str, Any]:
    """The status of a pod that runs."""
    return {
        "phase": "Running",
        "hostIP": address,
        "podIP": address,
        "startTime": now(),
        "conditions": [
            {"type": kind, "status": "True"} for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
        ],
    }


def _run(client: Client, pod: dict[str, Any], address: str) -> None:
    """Say that it runs. Cilium's agent writes its CNI configuration when it starts."""
    meta = pod["metadata"]
    if pod.get("status", {}).get("phase") != "Running":
        pod["status"] = running(address)
        client.merge(f"{_SPACE.format(meta['namespace'])}/{meta['name']}/status", {"status": pod["status"]})
    if meta.get("labels", {}).get("k8s-app") == "cilium":
        place.write(place.CNI / "05-cilium.conflist", json.dumps(_CILIUM), 0o600)


def _containers(client: Client, pods: list[dict[str, Any]]) -> None:
    """What crictl lists: one file a container."""
    wanted = {}
    for pod in pods:
        if pod.get("status", {}).get("phase") != "Running":
            continue
        for container in pod["spec"].get("containers", []):
            found = {
                "name": container["name"],
                "pod": pod["metadata"]["name"],
                "namespace": pod["metadata"]["namespace"],
                "uid": pod["metadata"]["uid"],
                "image": container.get("image", ""),
            }
            if container["name"] == "cilium-agent":
                found |= _agent(client, pod["spec"]["nodeName"])
            wanted[f"{pod['metadata']['uid']}.{container['name']}"] = json.dumps(found)
    for path in place.CONTAINERS.iterdir() if place.CONTAINERS.is_dir() else ():
        if path.name not in wanted and not path.name.startswith("."):
            path.unlink()
    for name, text in wanted.items():
        path = place.CONTAINERS / name
        if not path.exists() or path.read_text() != text:
            place.write(path, text)


def _agent(client: Client, name: str) -> dict[str, Any]:
    """What Cilium's agent knows: its configuration, the cluster's Services, its own node and those that run one."""
    try:
        config = client.get("/api/v1/namespaces/kube-system/configmaps/cilium-config")["data"]
    except ApiError:
        config = {}
    services = [
        {
            "name": s["metadata"]["name"],
            "namespace": s["metadata"]["namespace"],
            "address": s["spec"].get("clusterIP"),
            "ports": s["spec"].get("ports", []),
        }
        for s in client.get("/api/v1/services")["items"]
    ]
    agents = client.get("/api/v1/pods?labelSelector=k8s-app%3Dcilium")["items"]
    nodes = {p["spec"]["nodeName"]: p["status"]["hostIP"] for p in agents if p.get("status", {}).get("hostIP")}
    return {"config": config, "services": services, "node": name, "nodes": nodes}
