"""The kubelets' configuration: one for the cluster, and for a node that differs a patch of kubeadm.

`kubeadm init` uploads the KubeletConfiguration that it is given, and every node that joins gets that one. kubeadm
applies its patches to the file that it writes on the node (kubeletconfiguration, from 1.25 on).
"""

from __future__ import annotations

from typing import Any

from imgbuild.facts.kubernetes_types import without_null
from imgbuild.facts.resolved import Resolved

PATCHES = "/etc/imgbuild/patches"
"""The folder that kubeadm gets its patches from (patches.directory)."""
PATCH = f"{PATCHES}/kubeletconfiguration+merge.yaml"
"""imgbuild's own patch: a merge patch (RFC 7386). kubeadm applies patches by name, so it is the first of its target."""


def configuration(resolved: Resolved) -> dict[str, Any]:
    """The KubeletConfiguration of a profile: what follows from its other keys, and the user's own fields."""
    profile = resolved.profile
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": profile.containerd.cgroup_driver,
    }
    if resolved.cgroup_v1_override:
        config["failCgroupV1"] = False
    if profile.swap.enabled:
        config["failSwapOn"] = False
    own: dict[str, Any] = without_null(profile.kubernetes.kubelet)
    return config | own


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The merge patch that makes ``after`` of ``before``; empty if they are the same."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            below = difference(old, value)
            if below:
                patch[key] = below
        elif key not in before or old != value:
            patch[key] = value
    return patch
