"""What follows from a profile and its target: versions inside versions, the pause image, cgroup, kernel arguments.

One place, so that checks and rendering never disagree. Everything here is pure.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml
from packaging.version import InvalidVersion, Version

from imgbuild.config.data import data_dir
from imgbuild.config.profile import Profile
from imgbuild.config.target import KernelFacts, Target


@cache
def versions(name: str) -> dict[str, Any]:
    """A table of profiles/versions/, by its name without .yaml.

    Our own files, which need no places. A test compares with ``source.read``.
    """
    text = (data_dir("profiles") / "versions" / f"{name}.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    return table


@cache
def version(text: str) -> Version:
    """``text`` as a comparable version; what distributions append (``~rc1``, ``+dfsg``) is cut off."""
    try:
        return Version(text.split("~")[0].split("+")[0])
    except InvalidVersion:  # 6.9.7-1.el7
        digits = re.match(r"[0-9]+(\.[0-9]+)*", text)
        return Version(digits[0] if digits else "0")


def minor(text: str) -> str:
    """ "1.34.11" -> "1.34"."""
    return ".".join(text.split(".")[:2])


@dataclass(frozen=True)
class KubernetesFacts:
    """One minor of Kubernetes (profiles/versions/kubernetes.yaml)."""

    pause: str
    kubeadm_api: Literal["v1beta3", "v1beta4"]
    cgroup_v1: Literal["yes", "override", "never"]
    end_of_life: str | None
    built_on_glibc: str | None
    built_until: str | None


def kubernetes_facts(release: str) -> KubernetesFacts | None:
    """The facts of that release's minor; None: imgbuild does not know it."""
    row = versions("kubernetes")["minors"].get(minor(release))
    return KubernetesFacts(**row) if row else None


def kernel_facts(profile: Profile, target: Target) -> KernelFacts | None:
    """The kernel flavour that the profile asks for; None: the target has no such flavour."""
    return target.kernels.get(profile.kernel.flavour)


def containerd_version(profile: Profile, target: Target) -> str | None:
    """The containerd that will run; None: unknown (the profile must say)."""
    if profile.containerd.source == "distribution":
        return target.containerd_package
    archive = profile.containerd.nerdctl_full
    if archive.containerd is not None:
        return archive.containerd
    row = versions("nerdctl-full")["versions"].get(archive.version)
    return str(row["containerd"]) if row else None


def containerd_line(release: str) -> tuple[str, dict[str, Any]]:
    """The row of versions/containerd.yaml for this containerd: of its own release line, else of the nearest older."""
    lines: dict[str, dict[str, Any]] = versions("containerd")["lines"]
    older = [name for name in lines if Version(name) <= version(release)]
    name = max(older, key=Version) if older else min(lines, key=Version)
    return name, lines[name]


def preflight(release: str, section: str) -> list[dict[str, Any]]:
    """The rows of one section of versions/kubeadm-preflight.yaml that kubeadm of that release has."""
    now = Version(minor(release))
    return [
        row for row in versions("kubeadm-preflight")[section]
        if Version(row.get("since", "0")) <= now < Version(row.get("until", "99"))
    ]  # fmt: skip


def families(profile: Profile) -> frozenset[int]:
    """The address families of the cluster's networks: 4, 6 or both; none without Kubernetes."""
    kubernetes = profile.kubernetes
    if not kubernetes.enabled:
        return frozenset()
    return frozenset(ipaddress.ip_network(cidr).version for cidr in (kubernetes.pod_cidr, kubernetes.service_cidr))


_IPV6_FORWARDING = ("net.ipv6.conf.all.forwarding", "net.ipv6.conf.default.forwarding")
"""A node with IPv6 pods is a router. The first is for the interfaces that are there; the second, which kubeadm's
preflight asks for, for those to come."""


def sysctl_name(key: str) -> str:
    """A key with dots between its parts. sysctl.d(5): where the first separator is a slash, dots belong to a part."""
    first = next((c for c in key if c in "./"), ".")
    return key if first == "." else key.translate(str.maketrans("./", "/."))


def sysctls(profile: Profile) -> dict[str, str | int]:
    """What is set on the node beside rp_filter: the profile's, and what an IPv6 cluster needs unless named there."""
    own = profile.kernel.sysctl
    named = {sysctl_name(key) for key in own}
    needed = [key for key in _IPV6_FORWARDING if 6 in families(profile) and key not in named]
    return dict.fromkeys(needed, 1) | {key: value for key, value in own.items() if value is not None}


def containerd_config_version(release: str) -> Literal[2, 3]:
    """containerd 2.x reads version 3; 1.x version 2 (containerd docs/cri/config.md)."""
    return 3 if version(release) >= Version("2.0.0") else 2


_DEFAULT_SANDBOX = (  # containerd's own default at its tags: what a node without Kubernetes keeps
    ("2.3", "registry.k8s.io/pause:3.10.2"),
    ("2.2", "registry.k8s.io/pause:3.10.1"),
    ("2.0", "registry.k8s.io/pause:3.10"),
    ("1.7", "registry.k8s.io/pause:3.8"),
    ("1.6", "registry.k8s.io/pause:3.6"),
)


def sandbox_image(profile: Profile, target: Target) -> str:
    """The pause image with its tag: the one that kubeadm of this Kubernetes wants, so that both agree."""
    facts = kubernetes_facts(profile.kubernetes.version) if profile.kubernetes.enabled else None
    _, line = containerd_line(containerd_version(profile, target) or "0")
    tag = facts.pause if facts else line["sandbox"]
    name = profile.containerd.sandbox_image or f"{profile.kubernetes.image_repository}/pause"
    return f"{name}:{tag}"


def cgroup(profile: Profile, target: Target) -> Literal["v1", "v2"]:
    """The hierarchy that the node boots with.

    ``auto``: v2 where the target's systemd has it and the kernel has it in full: kubelet wants 5.8
    (kubernetes.io, "About cgroup v2"), and from 6.12 on kernel-ml has no cpuset for v1.
    """
    if profile.kernel.cgroup != "auto":
        return profile.kernel.cgroup
    if target.cgroup.default == "v2":
        return "v2"
    facts = kernel_facts(profile, target)
    if target.cgroup.v2_arguments is not None and facts is not None and version(facts.version) >= Version("5.8"):
        return "v2"
    return target.cgroup.default


def device_names(value: object) -> list[str]:
    """The interfaces that a value of Cilium's chart names: a list, or text with blanks or commas. eth+ is a pattern."""
    return [str(name) for name in value] if isinstance(value, list) else re.findall(r"[^\s,{}]+", str(value or ""))


def kernel_arguments(profile: Profile, target: Target) -> list[str]:
    """Everything behind ``root=`` on the kernel's command line, in a fixed order."""
    out = ["net.ifnames=0"] if profile.kernel.interface_names == "kernel" else []
    if cgroup(profile, target) == "v2" and target.cgroup.default == "v1":
        out += target.cgroup.v2_arguments or []
    if cgroup(profile, target) == "v1" and target.cgroup.default == "v2":
        out.append("systemd.unified_cgroup_hierarchy=0")
    return [*out, *profile.kernel.arguments]


def cloud_init_version(profile: Profile, target: Target) -> Version:
    """The cloud-init that reads the seed: the cloud image's in stock mode, the built one in baked mode."""
    return Version(target.cloud_init.stock if profile.mode == "stock" else target.cloud_init.baked)
