"""Everything that follows from one profile and its target, computed once: versions, cgroup, kernel, repositories.

One place, so that checks, rendering and outputs never disagree. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from packaging.version import Version

from imgbuild.config.data import versions
from imgbuild.config.fields import Hierarchy
from imgbuild.config.layers import Layered
from imgbuild.config.load import Loaded
from imgbuild.config.profile import Profile
from imgbuild.config.target import KernelFacts, Target
from imgbuild.facts.cilium_values import profile_values
from imgbuild.facts.derive import (
    KubernetesFacts,
    containerd_line,
    kubernetes_facts,
    networks,
    since,
    sysctl_name,
    version,
)
from imgbuild.facts.repositories import Key, repository_keys, repository_urls


@dataclass(frozen=True)
class Resolved:
    """A profile on its target, with what follows from it.

    A fact is None if imgbuild does not know it: the checks report that, and nothing is rendered (``complete``).
    """

    loaded: Loaded
    kernel: KernelFacts | None
    """The kernel flavour that the profile requests; None if the target has no such flavour."""
    containerd: str | None
    """The version of the containerd that will run; None if unknown: the profile must set it."""
    kubernetes: KubernetesFacts | None
    """The facts of the profile's Kubernetes minor; None for an unknown minor."""
    cgroup: Hierarchy
    """The cgroup hierarchy that the node boots with."""
    cgroup_v1_override: bool
    """Whether the kubelet must be configured to run on cgroup v1, and the user accepts it."""
    kernel_arguments: Sequence[str]
    """Everything after ``root=`` on the kernel's command line, in a fixed order."""
    families: frozenset[int]
    """The address families of the cluster's networks: 4, 6 or both; none without Kubernetes."""
    sysctls: Mapping[str, str | int]
    """The node's sysctls except rp_filter: the profile's, and those an IPv6 cluster needs unless set there."""
    sandbox_image: str
    """The pause image with its tag: the one that kubeadm of this Kubernetes expects, so that both agree."""
    cloud_init: Version
    """The cloud-init that reads the seed: the cloud image's in stock mode, the built one in baked mode."""
    repository_urls: Mapping[str, list[str]]
    """The base URLs of each repository that the node uses; an empty list leaves the system's own alone."""
    repository_keys: Mapping[str, list[Key]]
    """The keys of each of these repositories: the profile's own, else the target's."""

    @property
    def name(self) -> str:
        """The profile's name, which is that of the output folder."""
        return self.loaded.name

    @property
    def profile(self) -> Profile:
        """The profile itself."""
        return self.loaded.profile

    @property
    def target(self) -> Target:
        """The target's facts."""
        return self.loaded.target

    @property
    def layered(self) -> Layered:
        """Where each value of the profile came from."""
        return self.loaded.layered

    @cached_property
    def cilium(self) -> Mapping[str, object]:
        """The values of Cilium's chart, without what the cluster file adds; each node needs them."""
        return profile_values(self.profile)

    @property
    def complete(self) -> bool:
        """Whether the profile can be rendered, whatever other errors it has."""
        return self.kernel is not None and self.containerd is not None


def resolve(loaded: Loaded) -> Resolved:
    """The facts of a profile as it was read."""
    profile, target = loaded.profile, loaded.target
    kernel = target.kernels.get(profile.kernel.flavour)
    containerd = _containerd(profile, target)
    hierarchy = _cgroup(profile, target, kernel)
    families = _families(profile)
    kubernetes = kubernetes_facts(profile.kubernetes.version)
    urls = repository_urls(profile, target)
    return Resolved(
        loaded=loaded,
        kernel=kernel,
        containerd=containerd,
        kubernetes=kubernetes,
        cgroup=hierarchy,
        cgroup_v1_override=(
            hierarchy == "v1"
            and profile.kubernetes.cgroup_v1 == "accept"
            and kubernetes is not None
            and kubernetes.cgroup_v1 == "override"
        ),
        kernel_arguments=tuple(_kernel_arguments(profile, target, hierarchy)),
        families=families,
        sysctls=_sysctls(profile, families),
        sandbox_image=_sandbox_image(profile, containerd, kubernetes),
        cloud_init=Version(target.cloud_init.stock if profile.mode == "stock" else target.cloud_init.baked),
        repository_urls=urls,
        repository_keys=repository_keys(profile, target, urls),
    )


def _containerd(profile: Profile, target: Target) -> str | None:
    if profile.containerd.source == "distribution":
        return target.containerd_package
    archive = profile.containerd.nerdctl_full
    if archive.containerd is not None:
        return archive.containerd
    row = versions("nerdctl-full")["versions"].get(archive.version)
    return str(row["containerd"]) if row else None


def _families(profile: Profile) -> frozenset[int]:
    kubernetes = profile.kubernetes
    if not kubernetes.enabled:
        return frozenset()
    every = (*networks(kubernetes.pod_cidr), *networks(kubernetes.service_cidr))
    return frozenset(network.version for network in every)


_IPV6_FORWARDING = ("net.ipv6.conf.all.forwarding", "net.ipv6.conf.default.forwarding")
"""A node with IPv6 pods is a router. The first is for existing interfaces; the second, which kubeadm's
preflight requires, for later ones."""


def _sysctls(profile: Profile, families: frozenset[int]) -> dict[str, str | int]:
    own = profile.kernel.sysctl
    named = {sysctl_name(key) for key in own}
    needed = [key for key in _IPV6_FORWARDING if 6 in families and key not in named]
    return dict.fromkeys(needed, 1) | {key: value for key, value in own.items() if value is not None}


def _sandbox_image(profile: Profile, containerd: str | None, kubernetes: KubernetesFacts | None) -> str:
    facts = kubernetes if profile.kubernetes.enabled else None
    _, line = containerd_line(containerd or "0")
    tag = facts.pause if facts else line["sandbox"]
    name = profile.containerd.sandbox_image or f"{profile.kubernetes.image_repository}/pause"
    return f"{name}:{tag}"


def _cgroup(profile: Profile, target: Target, kernel: KernelFacts | None) -> Hierarchy:
    """``auto``: v2 where the target's systemd has it and the kernel has it in full.

    kubelet requires 5.8 (kubernetes.io, "About cgroup v2"), and from 6.12 on kernel-ml has no cpuset for v1.
    """
    if profile.kernel.cgroup != "auto":
        return profile.kernel.cgroup
    if target.cgroup.default == "v2":
        return "v2"
    if (
        target.cgroup.v2_arguments is not None
        and kernel is not None
        and version(kernel.version) >= since("kernel", "cgroup_v2")
    ):
        return "v2"
    return target.cgroup.default


def _kernel_arguments(profile: Profile, target: Target, hierarchy: Hierarchy) -> list[str]:
    out = ["net.ifnames=0"] if profile.kernel.interface_names == "kernel" else []
    if hierarchy == "v2" and target.cgroup.default == "v1":
        out += target.cgroup.v2_arguments or []
    if hierarchy == "v1" and target.cgroup.default == "v2":
        out.append("systemd.unified_cgroup_hierarchy=0")
    return [*out, *profile.kernel.arguments]
