"""kubeadm's configuration: v1beta3 up to Kubernetes 1.30, v1beta4 from 1.31 on, without additional flags.

Source: kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4, and cmd/kubeadm/app/apis of each release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.profile import Profile
from imgbuild.config.secrets import Secrets
from imgbuild.facts.bootstrap_token import DESCRIPTION, GROUPS, USAGES
from imgbuild.facts.endpoint import NODE_IP, NODE_NAME, Reach, node_ip, own_address
from imgbuild.facts.kubeadm import COMPONENTS, FILES, mounted, patch_target, section
from imgbuild.facts.kubelet import PATCH, PATCHES, configuration, difference
from imgbuild.facts.kubernetes_types import arguments, without_null
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeFile

_CGROUP_V1 = """\
# cgroup v1 by the profile's own wish (kubernetes.cgroup_v1: accept): from 1.35 on the kubelet refuses it unless
# failCgroupV1 is false, and kubeadm's SystemVerification reports it as an error (KEP-5573).
"""
LIFETIME = "@TOKEN_TTL@"
"""Placeholder for the time until the token expires, which first boot sets. kubeadm has a field for the expiry itself
(``expires``) but never accepts it: it sets a default ``ttl`` first, and refuses both together (1.31 to 1.36)."""


INIT, JOIN = "/etc/imgbuild/kubeadm-init.yaml", "/etc/imgbuild/kubeadm-join.yaml"


def files(
    resolved: Resolved, everyone: Resolved, cluster: Cluster, node: Node, where: Reach, secrets: Secrets | None
) -> Iterator[NodeFile]:
    """What kubeadm reads on a node, for root only. A cluster without an endpoint has no configuration to join it.

    The kubelets' configuration is that of ``everyone``: all nodes get it.
    """
    patches = _patches(resolved, everyone, node)
    # Both of kubeadm's kinds have it.
    patched: dict[str, Any] = {"patches": {"directory": PATCHES}} if patches else {}
    yield from (NodeFile(path, content, 0o600) for path, content in patches.items())
    if node == cluster.first:
        init = {**_init(resolved, node, secrets), **patched}
        parts = (init, _cluster(resolved, cluster, where), configuration(everyone))
        yield NodeFile(INIT, _document("init", resolved, *parts), 0o600)
    if secrets is not None and where.endpoint is not None:
        join = {**_join(resolved, node, where.endpoint, secrets), **patched}
        yield NodeFile(JOIN, _document("join", resolved, join), 0o600)


def _init(resolved: Resolved, node: Node, secrets: Secrets | None) -> dict[str, Any]:
    """For `kubeadm init --config`, on the control plane that makes the cluster."""
    profile = resolved.profile
    kubernetes = profile.kubernetes
    init: dict[str, Any] = {
        "apiVersion": _api(resolved),
        "kind": "InitConfiguration",
        "localAPIEndpoint": _local(profile, node),
        "nodeRegistration": _registration(resolved, node),
    }
    if secrets is not None:
        init["bootstrapTokens"] = [
            {
                "token": secrets.bootstrap_token,
                "description": DESCRIPTION,
                "ttl": LIFETIME,
                "usages": list(USAGES),
                "groups": list(GROUPS),
            }
        ]
    if not kubernetes.kube_proxy:
        init["skipPhases"] = ["addon/kube-proxy"]
    timeouts = section(profile, "timeouts")
    if timeouts:
        init["timeouts"] = timeouts
    return init


def _patches(resolved: Resolved, everyone: Resolved, node: Node) -> dict[str, bytes]:
    """kubeadm's patches on a node by path: the user's, and what the kubelet's configuration has of its own."""
    out = {
        f"{PATCHES}/{name}": text.encode()
        for name, text in resolved.profile.kubernetes.patches.items()
        if node.role == "control-plane" or patch_target(name) == "kubeletconfiguration"
    }
    own = difference(configuration(everyone), configuration(resolved)) if resolved is not everyone else {}
    return {PATCH: _dumped(own), **out} if own else out


def _join(resolved: Resolved, node: Node, endpoint: str, secrets: Secrets) -> dict[str, Any]:
    """For `kubeadm join --config`. A control plane already has the cluster's CAs in /etc/kubernetes/pki."""
    profile = resolved.profile
    limit = "5m0s"
    v1beta3 = _api(resolved).endswith("v1beta3")
    discovery: dict[str, Any] = {
        "bootstrapToken": {
            "token": secrets.bootstrap_token,
            "apiServerEndpoint": endpoint,
            "caCertHashes": [secrets.ca_hash],
        }
    }
    if v1beta3:
        discovery["timeout"] = limit
    join: dict[str, Any] = {
        "apiVersion": _api(resolved),
        "kind": "JoinConfiguration",
        "discovery": discovery,
        "nodeRegistration": _registration(resolved, node),
    }
    if not v1beta3:
        join["timeouts"] = {"discovery": limit, **section(profile, "timeouts")}
    if node.role == "control-plane":
        join["controlPlane"] = {"localAPIEndpoint": _local(profile, node)}
    return join


def _document(verb: str, resolved: Resolved, *parts: dict[str, Any]) -> bytes:
    head = f"# imgbuild: kubeadm {verb} --config, Kubernetes {resolved.profile.kubernetes.version}\n"
    if resolved.cgroup_v1_override:
        head += _CGROUP_V1
    return head.encode() + b"---\n".join(map(_dumped, parts))


def _dumped(part: dict[str, Any]) -> bytes:
    return yaml.dump(part, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True).encode()


def _api(resolved: Resolved) -> str:
    facts = resolved.kubernetes
    return f"kubeadm.k8s.io/{facts.kubeadm_api if facts else 'v1beta4'}"


def _local(profile: Profile, node: Node) -> dict[str, Any]:
    address = own_address(profile, node) or NODE_IP
    return {"advertiseAddress": address, "bindPort": profile.kubernetes.api_port}


def _registration(resolved: Resolved, node: Node) -> dict[str, Any]:
    profile = resolved.profile
    registration: dict[str, Any] = {
        "name": NODE_NAME if node.shared else node.name,
        "criSocket": profile.crictl.endpoint,
    }
    taints = [taint.model_dump(exclude_defaults=True) for taint in node.taints]
    if node.role == "control-plane":
        if not profile.kubernetes.schedulable_control_plane:
            taints.insert(0, {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"})
        registration["taints"] = taints  # empty, not omitted: that would mean kubeadm's own taint
    elif taints:
        registration["taints"] = taints
    own = without_null(profile.kubernetes.node_registration)
    rows = [("node-ip", node_ip(profile, node))]
    if node.labels:
        rows.append(("node-labels", ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))))
    registration["kubeletExtraArgs"] = _arguments(resolved, [*rows, *arguments(own.pop("kubeletExtraArgs", None))])
    ignored = [*(["SystemVerification"] if resolved.cgroup_v1_override else []), *own.pop("ignorePreflightErrors", [])]
    if ignored:  # kubeadm refuses "all" beside others
        registration["ignorePreflightErrors"] = ["all"] if "all" in ignored else list(dict.fromkeys(ignored))
    return {**registration, **own}


def _arguments(resolved: Resolved, rows: Sequence[tuple[str, str]]) -> object:
    """Arguments in the form of this kubeadm's API."""
    if _api(resolved).endswith("v1beta3"):
        return dict(rows)
    return [{"name": name, "value": value} for name, value in rows]


def _cluster(resolved: Resolved, cluster: Cluster, where: Reach) -> dict[str, Any]:
    kubernetes = resolved.profile.kubernetes
    config: dict[str, Any] = {
        "apiVersion": _api(resolved),
        "kind": "ClusterConfiguration",
        "clusterName": cluster.name,
        "kubernetesVersion": f"v{kubernetes.version}",
        "imageRepository": kubernetes.image_repository,
    }
    if kubernetes.certificate_validity is not None:
        config["certificateValidityPeriod"] = f"{kubernetes.certificate_validity * 24}h0m0s"
    if where.endpoint is not None:
        config["controlPlaneEndpoint"] = where.endpoint
    config["networking"] = {
        "podSubnet": kubernetes.pod_cidr,
        "serviceSubnet": kubernetes.service_cidr,
        "dnsDomain": kubernetes.dns_domain,
    }
    return config | _own_fields(resolved)


def _own_fields(resolved: Resolved) -> dict[str, Any]:
    """The user's fields of ClusterConfiguration, and what has its own key but is among them."""
    profile = resolved.profile
    own: dict[str, Any] = {k: v for k, v in without_null(profile.kubernetes.kubeadm).items() if k != "timeouts"}
    for component in COMPONENTS:
        part = dict(section(profile, component))
        if "extraArgs" in part:
            part["extraArgs"] = _arguments(resolved, arguments(part["extraArgs"]))
        if component in mounted(profile):
            volume = {"name": "imgbuild-files", "hostPath": FILES, "mountPath": FILES, "readOnly": True}
            part["extraVolumes"] = [*part.get("extraVolumes", []), {**volume, "pathType": "Directory"}]
        if component == "apiServer" and profile.kubernetes.cert_sans:
            part["certSANs"] = list(profile.kubernetes.cert_sans)
        if part:
            own[component] = part
    local = section(profile, "etcd").get("local", {})
    if "extraArgs" in local:
        local = {**local, "extraArgs": _arguments(resolved, arguments(local["extraArgs"]))}
        own["etcd"] = {**own["etcd"], "local": local}
    return own
