"""What comes from the cluster file and from one node of it. It travels in the seed, in both modes."""

from __future__ import annotations

from typing import Any

import yaml

from builder import derive
from builder.cluster import Cluster, Node
from builder.nodefile import NodeFile, NodeTree
from builder.profile import Profile
from builder.render.cilium import advertise_address, values_yaml
from builder.render.templates import render
from builder.target import Target

_CGROUP_V1 = """\
# cgroup v1 by the profile's own wish (kubernetes.cgroup_v1: accept): from 1.35 on the kubelet refuses it unless
# failCgroupV1 is false, and kubeadm's SystemVerification reports it as an error (KEP-5573).
"""


def seed_tree(profile: Profile, target: Target, cluster: Cluster, node: Node) -> NodeTree:
    """The node's own files: kubeadm's configuration and Cilium's values on a control plane, what verify expects."""
    files = [NodeFile("/etc/imgbuild/seed.conf", _seed_conf(profile, node))]
    if node.role == "control-plane" and profile.kubernetes.enabled:
        files.append(NodeFile("/etc/imgbuild/kubeadm.yaml", kubeadm_yaml(profile, target, cluster, node)))
        if profile.cilium.enabled:
            files.append(NodeFile("/etc/imgbuild/cilium-values.yaml", values_yaml(profile, cluster, node)))
    return NodeTree(tuple(sorted(files, key=lambda f: f.path)))


def kubeadm_yaml(profile: Profile, target: Target, cluster: Cluster, node: Node) -> bytes:
    """For `kubeadm init --config`: v1beta3 up to 1.30, v1beta4 from 1.31 on (no flags beside it)."""
    override = cgroup_v1_override(profile, target)
    parts = [
        _init(profile, node, override),
        _cluster(profile, cluster),
        _kubelet(profile, override),
    ]
    head = f"# imgbuild: kubeadm init --config, Kubernetes {profile.kubernetes.version}\n"
    if override:
        head += _CGROUP_V1
    return (head + "---\n".join(_dump(part) for part in parts)).encode()


def cgroup_v1_override(profile: Profile, target: Target) -> bool:
    """Whether this kubelet must be told to run on cgroup v1, and the user said so."""
    facts = derive.kubernetes_facts(profile.kubernetes.version)
    return (
        derive.cgroup(profile, target) == "v1"
        and profile.kubernetes.cgroup_v1 == "accept"
        and facts is not None
        and facts.cgroup_v1 == "override"
    )


def _api(profile: Profile) -> str:
    facts = derive.kubernetes_facts(profile.kubernetes.version)
    return f"kubeadm.k8s.io/{facts.kubeadm_api if facts else 'v1beta4'}"


def _init(profile: Profile, node: Node, override: bool) -> dict[str, Any]:
    kubernetes = profile.kubernetes
    registration: dict[str, Any] = {"name": node.name, "criSocket": profile.crictl.endpoint}
    if kubernetes.schedulable_control_plane:
        registration["taints"] = []  # null would be kubeadm's own taint
    if override:
        registration["ignorePreflightErrors"] = ["SystemVerification"]
    endpoint: dict[str, Any] = {"bindPort": kubernetes.api_port}
    address = advertise_address(profile, node)
    if address:
        endpoint = {"advertiseAddress": address, **endpoint}
    init: dict[str, Any] = {
        "apiVersion": _api(profile),
        "kind": "InitConfiguration",
        "localAPIEndpoint": endpoint,
        "nodeRegistration": registration,
    }
    if not kubernetes.kube_proxy:
        init["skipPhases"] = ["addon/kube-proxy"]
    return init


def _cluster(profile: Profile, cluster: Cluster) -> dict[str, Any]:
    kubernetes = profile.kubernetes
    config: dict[str, Any] = {
        "apiVersion": _api(profile),
        "kind": "ClusterConfiguration",
        "clusterName": cluster.name,
        "kubernetesVersion": f"v{kubernetes.version}",
        "imageRepository": kubernetes.image_repository,
    }
    if cluster.endpoint:
        config["controlPlaneEndpoint"] = cluster.endpoint
    config["networking"] = {
        "podSubnet": kubernetes.pod_cidr,
        "serviceSubnet": kubernetes.service_cidr,
        "dnsDomain": kubernetes.dns_domain,
    }
    return config


def _kubelet(profile: Profile, override: bool) -> dict[str, Any]:
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": profile.containerd.cgroup_driver,
    }
    if override:
        config["failCgroupV1"] = False
    if profile.swap.enabled:
        config["failSwapOn"] = False
    return config


def _dump(part: dict[str, Any]) -> str:
    return yaml.safe_dump(part, sort_keys=False, allow_unicode=True)


def _seed_conf(profile: Profile, node: Node) -> bytes:
    # Only type and key: sshd and cloud-init may write the comment otherwise.
    keys = [(user.name, " ".join(key.split()[:2])) for user in profile.users for key in user.ssh_keys]
    return render(
        "node",
        "etc/imgbuild/seed.conf.j2",
        hostname=node.name,
        users=[user.name for user in profile.users],
        keys=keys,
    )
