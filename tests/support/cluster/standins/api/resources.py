"""Which resources there are, and discovery and OpenAPI documents that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.cluster.standins.api.store import Object, Store


@dataclass(frozen=True)
class Resource:
    """One kind of object. ``group`` is "" for core."""

    group: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"


CRD = Resource("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", False, ("crd", "crds"))
_ALL = (
    Resource("", "namespaces", "Namespace", False, ("ns",)),
    Resource("", "nodes", "Node", False, ("no",)),
    Resource("", "pods", "Pod", True, ("po",)),
    Resource("", "services", "Service", True, ("svc",)),
    Resource("", "endpoints", "Endpoints", True, ("ep",)),
    Resource("", "configmaps", "ConfigMap", True, ("cm",)),
    Resource("", "secrets", "Secret"),
    Resource("", "serviceaccounts", "ServiceAccount", True, ("sa",)),
    Resource("", "events", "Event", True, ("ev",)),
    Resource("apps", "deployments", "Deployment", True, ("deploy",)),
    Resource("apps", "daemonsets", "DaemonSet", True, ("ds",)),
    Resource("apps", "replicasets", "ReplicaSet", True, ("rs",)),
    Resource("batch", "jobs", "Job"),
    Resource("batch", "cronjobs", "CronJob", True, ("cj",)),
    Resource("certificates.k8s.io", "certificatesigningrequests", "CertificateSigningRequest", False, ("csr",)),
    Resource("coordination.k8s.io", "leases", "Lease"),
    Resource("networking.k8s.io", "ingressclasses", "IngressClass", False),
    Resource("networking.k8s.io", "networkpolicies", "NetworkPolicy", True, ("netpol",)),
    Resource("policy", "poddisruptionbudgets", "PodDisruptionBudget", True, ("pdb",)),
    Resource("rbac.authorization.k8s.io", "roles", "Role"),
    Resource("rbac.authorization.k8s.io", "rolebindings", "RoleBinding"),
    Resource("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", False),
    Resource("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", False),
    CRD,
)
Known = Mapping[tuple[str, str], Resource]
"""Resources by group and plural."""
RESOURCES: Known = {(resource.group, resource.plural): resource for resource in _ALL}
"""Those that every API server has."""
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def known(store: Store) -> Known:
    """With those of the definitions that are established. Only their version v1 is served."""
    found = dict(RESOURCES)
    for definition in store.all(CRD.group, CRD.plural):
        spec = definition["spec"]
        if established(definition):
            names, group = spec["names"], spec["group"]
            namespaced = spec["scope"] == "Namespaced"
            found[(group, names["plural"])] = Resource(group, names["plural"], names["kind"], namespaced)
    return found


def established(definition: Object) -> bool:
    conditions = definition.get("status", {}).get("conditions", [])
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _groups(all_of: Known) -> list[str]:
    return sorted({resource.group for resource in all_of.values() if resource.group})


def discovery(path: str, all_of: Known) -> dict[str, Any] | None:
    """The document at ``path`` (without its trailing slash), or None if there is none."""
    groups = _groups(all_of)
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in groups]}
    parts = path.strip("/").split("/")
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in groups:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1])}
    group = {"/api/v1": ""}.get(path, parts[1] if len(parts) == 3 and parts[0] == "apis" and parts[2] == "v1" else None)
    if group is None or (group and group not in groups):
        return None
    listed: list[dict[str, Any]] = []
    for resource in (r for r in all_of.values() if r.group == group):
        entry = {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": _VERBS,
        }
        status = {**entry, "name": f"{resource.plural}/status", "singularName": "", "verbs": ["get", "patch", "update"]}
        if resource.plural in ("pods", "services") or resource.group in ("apps", "batch"):
            entry["categories"] = ["all"]
        listed += [{**entry, "shortNames": list(resource.short)}, status]
    version = f"{group}/v1" if group else "v1"
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": listed}


def _group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def openapi(path: str, all_of: Known) -> dict[str, Any] | None:
    """OpenAPI v3 as far as kubectl and helm look: that the server validates fields itself (fieldValidation)."""
    roots = {"api/v1": "", **{f"apis/{name}/v1": name for name in _groups(all_of)}}
    if path == "/openapi/v3":
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}?hash=standin"} for root in roots}}
    group = roots.get(path.removeprefix("/openapi/v3/"))
    if group is None:
        return None
    root = path.removeprefix("/openapi/v3")
    paths = {}
    for resource in (r for r in all_of.values() if r.group == group):
        kind = {"group": group, "version": "v1", "kind": resource.kind}
        space = "/namespaces/{namespace}" if resource.namespaced else ""
        validation = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
        operation = {"parameters": [validation], "x-kubernetes-group-version-kind": kind, "responses": {}}
        paths[f"{root}{space}/{resource.plural}/{{name}}"] = {
            "patch": {**operation, "x-kubernetes-action": "patch"},
            "put": {**operation, "x-kubernetes-action": "put"},
        }
    return {"openapi": "3.0.0", "info": {"title": "stand-in", "version": "v1"}, "paths": paths, "components": {}}
