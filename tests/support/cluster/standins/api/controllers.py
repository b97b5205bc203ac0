"""What controller-manager and scheduler do: pods of Deployments and DaemonSets, Jobs, definitions of custom resources,
nodes that are silent, old tokens.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import datetime
import hashlib
import hmac
import json
import threading
import traceback
import uuid
from typing import Any

from tests.support.cluster.standins.api import access
from tests.support.cluster.standins.api.resources import CRD, established
from tests.support.cluster.standins.api.store import Conflict, Key, Object, Store, now

GRACE_SECONDS = 40
"""After which a silent node is no longer Ready. Kubernetes waits as long, and 50 s from 1.32 on."""
_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def run(store: Store, stop: threading.Event) -> None:
    """Until ``stop``, twice a second."""
    while not stop.wait(0.5):
        with contextlib.suppress(Conflict):
            try:
                step(store)
            except Exception:  # one bad object must not end the others' control
                traceback.print_exc()


def step(store: Store) -> None:
    """Once through all of it."""
    _tokens(store)
    _nodes(store)
    for plural in ("daemonsets", "deployments"):
        for owner in store.all("apps", plural):
            _pods(store, owner)
            _status(store, plural, owner)
    _replica_sets(store)
    _jobs(store)
    _definitions(store)
    _orphans(store)


def _replica_sets(store: Store) -> None:
    """One for each Deployment: helm looks there whether its pods are ready (pkg/kube/ready.go, deploymentReady)."""
    for owner in store.all("apps", "deployments"):
        meta, template = owner["metadata"], copy.deepcopy(owner["spec"]["template"])
        status = owner.get("status", {})
        key: Key = ("apps", "replicasets", meta["namespace"], meta["name"])
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
        labels = (template.get("metadata") or {}).get("labels") or {}
        fresh: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": meta["name"],
                "namespace": meta["namespace"],
                "labels": labels,
                "ownerReferences": [{**reference, "controller": True}],
            },
            "spec": {
                "replicas": owner["spec"].get("replicas", 1),
                "selector": owner["spec"]["selector"],
                "template": template,
            },
            "status": {name: status.get(name, 0) for name in ("replicas", "readyReplicas", "availableReplicas")},
        }
        old = store.get(key)
        fresh["status"]["observedGeneration"] = old["metadata"]["generation"] if old is not None else 0
        if old is None or any(old[part] != fresh[part] for part in ("spec", "status")):
            store.put(key, fresh)


def _jobs(store: Store) -> None:
    """Each is done at once, unless it is suspended."""
    for job in store.all("batch", "jobs"):
        if not job.get("status", {}).get("succeeded") and not job["spec"].get("suspend"):
            job["status"] = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
            store.put(("batch", "jobs", job["metadata"]["namespace"], job["metadata"]["name"]), job)


def _definitions(store: Store) -> None:
    for found in store.all(CRD.group, CRD.plural):
        if not established(found):
            kinds = ("NamesAccepted", "Established")
            found["status"] = {"conditions": [{"type": kind, "status": "True"} for kind in kinds]}
            store.put((CRD.group, CRD.plural, "", found["metadata"]["name"]), found)


def _tokens(store: Store) -> None:
    """The token cleaner, and the signer of cluster-info."""
    info_key: Key = ("", "configmaps", "kube-public", "cluster-info")
    info = store.get(info_key)
    live: dict[str, str] = {}
    for secret in store.all("", "secrets", "kube-system"):
        if secret.get("type") != "bootstrap.kubernetes.io/token":
            continue
        data = access.text_of(secret)
        if access.expired(secret):
            store.delete(("", "secrets", "kube-system", secret["metadata"]["name"]))
        elif data.get("usage-bootstrap-signing") == "true":
            live[data["token-id"]] = data["token-secret"]
    if info is None:
        return
    kubeconfig = info["data"]["kubeconfig"]
    signed = {f"jws-kubeconfig-{i}": jws(kubeconfig, i, s) for i, s in live.items()}
    wanted = {"kubeconfig": kubeconfig, **signed}
    if info["data"] != wanted:
        store.put(info_key, {**info, "data": wanted})


def jws(content: str, token_id: str, secret: str) -> str:
    """The detached signature of cluster-info's kubeconfig, HS256 by the token's secret."""

    def plain(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    head = plain(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    signed = f"{head}.{plain(content.encode())}".encode()
    return f"{head}..{plain(hmac.new(secret.encode(), signed, hashlib.sha256).digest())}"


def _nodes(store: Store) -> None:
    for node in store.all("", "nodes"):
        name = node["metadata"]["name"]
        lease = store.get(("coordination.k8s.io", "leases", "kube-node-lease", name))
        since = (lease or {}).get("spec", {}).get("renewTime") or node["metadata"]["creationTimestamp"]
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(since.replace("Z", "+00:00"))
        ready = condition(node, "Ready")
        if ready and ready["status"] != "Unknown" and age.total_seconds() > GRACE_SECONDS:
            ready |= {
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": now(),
            }
            ready = condition(node, "Ready")
        taints = [t for t in node.get("spec", {}).get("taints", []) if t["key"] != _NOT_READY["key"]]
        if not ready or ready["status"] != "True":
            taints.append(dict(_NOT_READY))
        node.setdefault("spec", {})["taints"] = taints
        store.put(("", "nodes", "", name), node)


def condition(found: Object, kind: str) -> Any:
    """The object's condition of that type, itself and no copy, or None."""
    return next((c for c in found.get("status", {}).get("conditions", []) if c["type"] == kind), None)


def _tolerates(pod_spec: Object, taint: Object) -> bool:
    return any(
        (t.get("operator") == "Exists" and t.get("key") in (None, "", taint["key"]))
        or (t.get("key") == taint["key"] and t.get("value", "") == taint.get("value", ""))
        for t in pod_spec.get("tolerations", [])
    )


def _owned(store: Store, owner: Object) -> list[Object]:
    uid = owner["metadata"]["uid"]
    pods = store.all("", "pods", owner["metadata"]["namespace"])
    return [p for p in pods if any(r["uid"] == uid for r in p["metadata"].get("ownerReferences", []))]


def _pods(store: Store, owner: Object) -> None:
    """As many pods as there should be, of this template, each bound to a node that takes it."""
    meta, template = owner["metadata"], owner["spec"]["template"]
    daemon = owner["kind"] == "DaemonSet"
    spec = template["spec"]
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
    pods = _owned(store, owner)
    for pod in pods:
        if pod["metadata"]["labels"].get("pod-template-hash") != digest:
            store.delete(_pod_key(pod))
    pods = [p for p in pods if p["metadata"]["labels"].get("pod-template-hash") == digest]
    nodes = store.all("", "nodes")
    selector = (spec.get("nodeSelector") or {}).items()
    # The DaemonSet controller tolerates not-ready by itself.
    fit = [
        n
        for n in nodes
        if selector <= (n["metadata"].get("labels") or {}).items()
        and all(
            _tolerates(spec, t) or (daemon and t["key"] == _NOT_READY["key"])
            for t in n.get("spec", {}).get("taints", [])
            if t["effect"] != "PreferNoSchedule"
        )
    ]
    names = [n["metadata"]["name"] for n in fit]
    if daemon:
        for pod in pods:
            if pod["spec"]["nodeName"] not in names:
                store.delete(_pod_key(pod))
        have = {p["spec"]["nodeName"] for p in pods}
        missing: list[str] = [name for name in names if name not in have]
    else:
        wanted = owner["spec"].get("replicas", 1)
        for pod in pods[wanted:]:
            store.delete(_pod_key(pod))
        for at, pod in enumerate(pods):
            if not pod["spec"].get("nodeName") and names:
                pod["spec"]["nodeName"] = names[at % len(names)]
                store.put(_pod_key(pod), pod)
        missing = [""] * (wanted - len(pods))
    for node in missing:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{meta['name']}-{uuid.uuid4().hex[:5]}",
                "namespace": meta["namespace"],
                "labels": {**(template.get("metadata", {}).get("labels") or {}), "pod-template-hash": digest},
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": owner["kind"],
                        "name": meta["name"],
                        "uid": meta["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": {**spec, **({"nodeName": node} if node else {})},
            "status": {"phase": "Pending"},
        }
        store.put(_pod_key(pod), pod)


def _pod_key(pod: Object) -> Key:
    return ("", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"])


def _status(store: Store, plural: str, owner: Object) -> None:
    meta = owner["metadata"]
    key: Key = ("apps", plural, meta["namespace"], meta["name"])
    pods = _owned(store, owner)
    ready = sum(1 for pod in pods if (condition(pod, "Ready") or {}).get("status") == "True")
    if plural == "daemonsets":
        counts = ("currentNumberScheduled", "desiredNumberScheduled", "updatedNumberScheduled")
        status: Object = {name: len(pods) for name in counts}
        status |= {
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": len(pods) - ready,
            "numberMisscheduled": 0,
        }
    else:
        enough = ready >= owner["spec"].get("replicas", 1)
        status = {
            "replicas": len(pods),
            "updatedReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": len(pods) - ready,
            "conditions": [
                {
                    "type": "Available",
                    "status": "True" if enough else "False",
                    "reason": "MinimumReplicas" + ("Available" if enough else "Unavailable"),
                }
            ],
        }
    status["observedGeneration"] = meta["generation"]
    fresh = store.get(key)
    if fresh is not None and fresh.get("status") != status:
        store.put(key, {**fresh, "status": status})


def _orphans(store: Store) -> None:
    """The garbage collector: pods whose owner is gone, and pods of nodes that are gone."""
    owners = {o["metadata"]["uid"] for plural in ("daemonsets", "deployments") for o in store.all("apps", plural)}
    nodes = {n["metadata"]["name"] for n in store.all("", "nodes")}
    for found in store.all("apps", "replicasets"):
        if any(reference["uid"] not in owners for reference in found["metadata"].get("ownerReferences", [])):
            store.delete(("apps", "replicasets", found["metadata"]["namespace"], found["metadata"]["name"]))
    for pod in store.all("", "pods"):
        references = pod["metadata"].get("ownerReferences", [])
        node = pod["spec"].get("nodeName")
        if (references and not any(r["uid"] in owners for r in references)) or (node and node not in nodes):
            store.delete(_pod_key(pod))
