"""What the profile adds to kubeadm's configuration: fields, arguments, files that the control plane reads, patches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from imgbuild.config.profile import Profile
from imgbuild.facts.kubernetes_types import arguments, without_null

FILES = "/etc/imgbuild/control-plane"
"""The folder of kubernetes.control_plane_files on a control plane: `kubeadm reset` empties /etc/kubernetes."""
COMPONENTS = ("apiServer", "controllerManager", "scheduler")
ETCD_DATA = "/var/lib/etcd"
"""kubeadm's own folder of etcd's data."""


@dataclass(frozen=True)
class Etcd:
    """Where the cluster's etcd is."""

    external: bool
    data: str
    """The folder of its data on each control plane, if it is not external."""


def etcd(profile: Profile) -> Etcd:
    """The cluster's etcd."""
    settings = section(profile, "etcd")
    local = settings.get("local")
    data = local.get("dataDir") if isinstance(local, dict) else None
    return Etcd(isinstance(settings.get("external"), dict), data if isinstance(data, str) else ETCD_DATA)


def section(profile: Profile, name: str) -> Mapping[str, Any]:
    """A section of kubernetes.kubeadm; empty if it is not there or no mapping."""
    value = without_null(profile.kubernetes.kubeadm).get(name)
    return value if isinstance(value, dict) else {}


def mounted(profile: Profile) -> Iterator[str]:
    """The components of the control plane that get the folder of files mounted: those whose arguments name one.

    kubeadm itself mounts the folder of an external etcd's certificates into the API server.
    """
    external = section(profile, "etcd").get("external")
    external = external if isinstance(external, dict) else {}
    certificates = [external.get(name) for name in ("caFile", "certFile", "keyFile")]
    for component in COMPONENTS:
        named = any(f"{FILES}/" in value for _, value in arguments(section(profile, component).get("extraArgs")))
        by_kubeadm = component == "apiServer" and any(str(path).startswith(f"{FILES}/") for path in certificates)
        if named and not by_kubeadm:
            yield component


def patch_target(name: str) -> str:
    """The target of a patch by its file name: what is before a suffix, a type and the extension."""
    return next((target for target in TARGETS if name.startswith(target)), "")


TARGETS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
    "kubeletconfiguration",
    "corednsdeployment",
)
"""What kubeadm can patch (cmd/kubeadm/app/phases/controlplane, etcd, kubelet, addons/dns)."""
