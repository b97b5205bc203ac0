"""Generic objects: list, get, create, replace, patch and delete, as the API's conventions have them."""

from __future__ import annotations

import base64
import copy
import ipaddress
import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support.cluster.standins import pki, place
from tests.support.cluster.standins.api import patch, protobuf
from tests.support.cluster.standins.api.resources import Known, Resource, known
from tests.support.cluster.standins.api.select import BadSelectorError, matches
from tests.support.cluster.standins.api.store import Conflict, Key, Object, Store
from tests.support.cluster.standins.schema import Refused

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Answer(Exception):  # noqa: N818 - an answer that is no success
    """Ends the request with this code; the text is the Status object's message."""

    def __init__(self, code: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.code, self.reason = code, reason

    def status(self) -> Object:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }


@dataclass(frozen=True)
class Target:
    """What a path names. ``name`` is "" for a collection, ``part`` is status or ""."""

    resource: Resource
    namespace: str
    name: str
    part: str

    @property
    def key(self) -> Key:
        return (self.resource.group, self.resource.plural, self.namespace, self.name)


def target_of(path: str, all_of: Known) -> Target:
    """Read the path. Raises Answer 404 for one that the server does not have."""
    found = re.fullmatch(
        r"/(?:api/v1|apis/(?P<group>[^/]+)/v1)(?:/namespaces/(?P<space>[^/]+)(?=/[^/]+))?"
        r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<part>[^/]+))?)?",
        path,
    )
    if found is None:
        raise _no_such(path)
    group, space = found["group"] or "", found["space"] or ""
    plural, name, part = found["plural"], found["name"] or "", found["part"] or ""
    if not group and space and plural == "status" and not name:  # /namespaces/NAME/status
        return Target(all_of[("", "namespaces")], "", space, "status")
    resource = all_of.get((group, plural))
    if resource is None or part not in ("", "status", "approval") or (space and not resource.namespaced):
        raise _no_such(path)
    if name and resource.namespaced and not space:
        raise _no_such(path)
    return Target(resource, space, name, part)


def _no_such(path: str) -> Answer:
    return Answer(404, "NotFound", f"the server could not find the requested resource ({path})")


def chosen(target: Target, query: dict[str, str], key: Key, found: Object) -> bool:
    """Whether a list or a watch of ``target`` has the object."""
    if key[:2] != (target.resource.group, target.resource.plural) or (target.namespace and key[2] != target.namespace):
        return False
    if target.name and key[3] != target.name:
        return False
    try:
        return matches(found, query.get("labelSelector", ""), query.get("fieldSelector", ""))
    except BadSelectorError as error:
        raise Answer(400, "BadRequest", str(error)) from error


def listed(store: Store, target: Target, query: dict[str, str]) -> list[Object]:
    resource = target.resource
    found = store.all(resource.group, resource.plural, target.namespace)
    return [o for o in found if chosen(target, query, _key_of(target, o), o)]


def _key_of(target: Target, found: Object) -> Key:
    meta = found["metadata"]
    return (target.resource.group, target.resource.plural, meta.get("namespace", ""), meta["name"])


def handle(
    store: Store, method: str, target: Target, query: dict[str, str], body: bytes, kind: str
) -> tuple[int, Object]:
    """Code and document. Raises Answer."""
    dry = query.get("dryRun") == "All"
    if method == "GET":
        return 200, _get(store, target, query)
    if method == "POST":
        return 201, _keep(store, target, _read(body), None, dry)
    old = store.get(target.key) if target.name else None
    if method == "DELETE":
        return 200, _delete(store, target, query, old, dry)
    if method == "PUT":
        if old is None:
            raise _not_found(target)
        return 200, _keep(store, target, _read(body), old, dry)
    if method != "PATCH" or not target.name:
        raise Answer(405, "MethodNotAllowed", f"{method} is not supported here")
    if old is None:
        if not kind.startswith("application/apply-patch"):
            raise _not_found(target)
        return 201, _keep(store, target, _read(body), None, dry)
    return 200, _keep(store, target, _patched(old, _read(body), kind), old, dry)


def _patched(old: Object, change: Any, kind: str) -> Object:
    kind = kind.partition(";")[0]
    try:
        if kind == "application/json-patch+json":
            fresh = patch.json_patch(old, change)
        elif kind == "application/merge-patch+json":
            fresh = patch.merge(old, change)
        elif kind in ("application/strategic-merge-patch+json", "application/apply-patch+yaml"):
            fresh = patch.strategic(old, change)
        else:
            raise Answer(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {kind}")
    except patch.BadPatchError as error:
        raise Answer(422, "Invalid", str(error)) from error
    assert isinstance(fresh, dict)
    return fresh


def _read(body: bytes) -> Any:
    try:
        if body.startswith(protobuf.MAGIC):
            return protobuf.read(body)
        return yaml.safe_load(body) if body[:1] not in (b"{", b"[") else json.loads(body)
    except (ValueError, yaml.YAMLError) as error:
        raise Answer(400, "BadRequest", f"the object provided is unrecognized: {error}") from error


def _not_found(target: Target) -> Answer:
    group = f".{target.resource.group}" if target.resource.group else ""
    return Answer(404, "NotFound", f'{target.resource.plural}{group} "{target.name}" not found')


def _get(store: Store, target: Target, query: dict[str, str]) -> Object:
    if target.name:
        found = store.get(target.key)
        if found is None:
            raise _not_found(target)
        return found
    with store.changed:
        items, revision = listed(store, target, query), store.revision
    resource = target.resource
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(revision)},
        "items": items,
    }


def _delete(store: Store, target: Target, query: dict[str, str], old: Object | None, dry: bool) -> Object:
    if not target.name:
        for found in listed(store, target, query):
            if not dry:
                store.delete(_key_of(target, found))
    elif old is None:
        raise _not_found(target)
    elif not dry:
        store.delete(target.key)
        if target.resource.plural == "namespaces":
            for group, plural in known(store):
                for found in store.all(group, plural, target.name):
                    store.delete((group, plural, target.name, found["metadata"]["name"]))
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def _keep(store: Store, target: Target, fresh: Any, old: Object | None, dry: bool) -> Object:
    """Create (``old`` is None) or replace it, after what the server checks and fills in."""
    resource = target.resource
    if not isinstance(fresh, dict) or not isinstance(fresh.get("metadata"), dict):
        raise Answer(400, "BadRequest", "an object with metadata is wanted")
    given = (fresh.setdefault("apiVersion", resource.api_version), fresh.setdefault("kind", resource.kind))
    if given != (resource.api_version, resource.kind):
        raise Answer(
            400,
            "BadRequest",
            f"{given[1]} in version {given[0]} is no {resource.kind} in version {resource.api_version}",
        )
    meta = fresh["metadata"]
    if "name" not in meta and meta.get("generateName"):
        meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
    name = meta.get("name") or target.name
    free = resource.group == "rbac.authorization.k8s.io"  # such names may have colons
    if not free and not _NAME.fullmatch(name):
        raise Answer(422, "Invalid", f'{resource.kind} "{name}" is invalid: metadata.name: Invalid value')
    meta["name"] = name
    if resource.namespaced:
        meta.setdefault("namespace", target.namespace)
    if meta.get("namespace", "") != target.namespace or (target.name and name != target.name):
        raise Answer(400, "BadRequest", "the name or namespace of the object does not match the request")
    if resource.namespaced and store.get(("", "namespaces", "", target.namespace)) is None:
        raise Answer(404, "NotFound", f'namespaces "{target.namespace}" not found')
    key: Key = (resource.group, resource.plural, target.namespace, name)
    if old is None and store.get(key) is not None:
        raise Answer(409, "AlreadyExists", f'{resource.plural} "{name}" already exists')
    fresh = _parts(target, fresh, old)
    _defaults(resource, fresh)
    if dry:
        return {**(old or {}), **fresh}
    try:
        return store.put(key, fresh)
    except Conflict as error:
        raise Answer(
            409,
            "Conflict",
            f'Operation cannot be fulfilled on {resource.plural} "{name}": the object has '
            "been modified; please apply your changes to the latest version and try again",
        ) from error


def _parts(target: Target, fresh: Object, old: Object | None) -> Object:
    """Only /status writes the status, and it writes nothing else."""
    if target.part and old is not None:
        return {**copy.deepcopy(old), "status": fresh.get("status", {})}
    if target.resource.plural == "pods" and old is None:
        fresh.setdefault("status", {"phase": "Pending"})
    elif old is not None and "status" in old:
        fresh["status"] = copy.deepcopy(old["status"])
    elif target.resource.group == "apps":
        fresh.pop("status", None)
    return fresh


def _defaults(resource: Resource, fresh: Object) -> None:
    if resource.plural == "secrets":
        plain = fresh.pop("stringData", None) or {}
        data = {**(fresh.get("data") or {}), **{k: base64.b64encode(v.encode()).decode() for k, v in plain.items()}}
        fresh["data"] = data
        fresh.setdefault("type", "Opaque")
    elif resource.plural == "namespaces":
        fresh.setdefault("status", {"phase": "Active"})
    elif resource.plural == "certificatesigningrequests":
        _approve(fresh)
    elif resource.group == "apps" and resource.kind in ("DaemonSet", "Deployment"):
        if resource.kind == "DaemonSet":
            rolling = {"maxSurge": 0, "maxUnavailable": 1}
            fresh["spec"].setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": rolling})
        else:
            share = {"maxSurge": "25%", "maxUnavailable": "25%"}
            fresh["spec"].setdefault("strategy", {"type": "RollingUpdate", "rollingUpdate": share})
        labels = (fresh["spec"].get("template", {}).get("metadata") or {}).get("labels") or {}
        wanted = fresh["spec"].get("selector", {}).get("matchLabels") or {}
        if not wanted or any(labels.get(key) != value for key, value in wanted.items()):
            raise Answer(
                422,
                "Invalid",
                f'{resource.kind} "{fresh["metadata"]["name"]}" is invalid: spec.template.'
                "metadata.labels: `selector` does not match template `labels`",
            )


def _approve(fresh: Object) -> None:
    """The approver and the signer of the controller manager: a node's client certificate, by the cluster's CA."""
    if fresh.get("status", {}).get("certificate"):
        return
    request = base64.b64decode(fresh["spec"]["request"])
    try:
        subject = pki.openssl("req", "-noout", "-subject", "-nameopt", "RFC2253", data=request).decode()
        if "O=system:nodes" not in subject or "CN=system:node:" not in subject:
            raise Answer(403, "Forbidden", f"no node's certificate: {subject.strip()}")
        certificate = pki.sign_request(place.PKI / "ca", request)
    except Refused as error:
        raise Answer(422, "Invalid", str(error)) from error
    fresh["status"] = {
        "certificate": base64.b64encode(certificate).decode(),
        "conditions": [{"type": "Approved", "status": "True", "reason": "AutoApproved"}],
    }


def seed(store: Store, services: str) -> None:
    """What every API server makes for itself."""
    for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
        if store.get(("", "namespaces", "", name)) is None:
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"}}
            store.put(("", "namespaces", "", name), space)
    key: Key = ("", "services", "default", "kubernetes")
    if store.get(key) is None:
        first = str(next(ipaddress.ip_network(services.split(",")[0]).hosts()))
        ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]
        meta = {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver"}}
        spec = {"type": "ClusterIP", "clusterIP": first, "ports": ports}
        store.put(key, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
