"""Who calls, and what they may do: client certificates, bootstrap tokens until they expire, and nobody."""

from __future__ import annotations

import base64
import datetime
import re
from dataclasses import dataclass
from typing import Any

from tests.support.cluster.standins.api.store import Object, Store

BOOTSTRAPPERS = "system:bootstrappers:kubeadm:default-node-token"
_ANYBODY = ("/version", "/livez", "/readyz", "/healthz")
_CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"


@dataclass(frozen=True)
class User:
    """Name and groups."""

    name: str
    groups: tuple[str, ...]


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def of_certificate(certificate: dict[str, Any] | None) -> User | None:
    """CN and every O of what ssl's getpeercert gave."""
    if not certificate:
        return None
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    name = next((value for key, value in subject if key == "commonName"), "")
    return User(name, tuple(value for key, value in subject if key == "organizationName"))


def of_token(store: Store, token: str) -> User | None:
    """A bootstrap token that is known and has not expired."""
    found = re.fullmatch(r"([a-z0-9]{6})\.([a-z0-9]{16})", token)
    if found is None:
        return None
    secret = store.get(("", "secrets", "kube-system", f"bootstrap-token-{found[1]}"))
    if secret is None or secret.get("type") != "bootstrap.kubernetes.io/token" or expired(secret):
        return None
    data = text_of(secret)
    if data.get("token-secret") != found[2] or data.get("usage-bootstrap-authentication") != "true":
        return None
    groups = ("system:bootstrappers", *data.get("auth-extra-groups", "").split(","))
    return User(f"system:bootstrap:{found[1]}", groups)


def text_of(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}


def expired(secret: Object) -> bool:
    """Whether the time in a bootstrap token's ``expiration`` is over."""
    until = text_of(secret).get("expiration")
    if not until:
        return False
    moment = datetime.datetime.fromisoformat(until.replace("Z", "+00:00"))
    return moment <= datetime.datetime.now(datetime.UTC)


def may(store: Store, user: User, method: str, path: str) -> bool:
    """kubeadm's roles, no finer than the tests need."""
    if "system:masters" in user.groups:
        return True
    if method == "GET" and (path.startswith(_ANYBODY) or path == _CLUSTER_INFO):
        return True
    if method == "GET" and user != ANONYMOUS and re.fullmatch(r"/(api|apis|openapi)(/[^/]+){0,2}", path):
        return True  # discovery
    if "kubeadm:cluster-admins" in user.groups:  # from 1.29 on admin.conf's, bound by kubeadm with super-admin.conf
        binding = ("rbac.authorization.k8s.io", "clusterrolebindings", "", "kubeadm:cluster-admins")
        return store.get(binding) is not None
    if path == "/standin/etcd":
        return user.name == "system:kube-controller-manager"
    csr = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    if BOOTSTRAPPERS in user.groups:
        readable = re.fullmatch(r"/api/v1/(nodes/.+|namespaces/kube-system/configmaps/(kubeadm|kubelet)-config)", path)
        return path.startswith(csr) or (method == "GET" and readable is not None)
    if "system:nodes" in user.groups:
        own = re.search(r"/(nodes|pods|leases|certificatesigningrequests|events)(/|$)", path) is not None
        return own or (method == "GET" and "/secrets" not in path)
    return False
