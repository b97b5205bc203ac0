"""The packages that a node asks for by name. Installing them and the packages of a lock follow from the same."""

from __future__ import annotations

from collections.abc import Iterator

from imgbuild.facts.live import live_image
from imgbuild.facts.resolved import Resolved

KUBERNETES = ("kubelet", "kubeadm", "kubectl")


def node_packages(resolved: Resolved) -> list[str]:
    """Those of every node, in the image and on a cloud image."""
    profile, target = resolved.profile, resolved.target
    names = list(target.packages.base)
    if profile.kubernetes.enabled:
        names += target.packages.kubernetes
    if profile.containerd.source == "nerdctl-full" and profile.containerd.stargz.enabled:
        names += target.packages.stargz
    for agent in profile.guest_agents:
        names += target.guest_agents[agent].packages
    if any(disk.filesystem == "xfs" for disk in profile.disks):
        names += target.packages.xfs
    if target.selinux and profile.selinux.mode != "disabled":
        names += target.packages.selinux
    return list(dict.fromkeys([*names, *profile.packages.install]))


def image_packages(resolved: Resolved) -> list[str]:
    """Those that an image gets besides: a cloud image has them."""
    installer = resolved.target.live.installer if live_image(resolved.profile) else []
    return list(dict.fromkeys([*resolved.target.packages.image, *installer]))


def requested(resolved: Resolved) -> list[str]:
    """All that an image asks for, sorted: NAME, NAME=VERSION, NAME/SUITE; -NAME of what is removed."""
    return sorted(set(_requested(resolved)))


def _requested(resolved: Resolved) -> Iterator[str]:
    profile, target = resolved.profile, resolved.target
    yield from node_packages(resolved)
    yield from image_packages(resolved)
    if resolved.kernel is not None:
        version = f"={profile.kernel.version}" if profile.kernel.version else ""
        suite = f"/{resolved.kernel.release}" if resolved.kernel.release else ""
        yield from (f"{name}{version}{suite}" for name in resolved.kernel.packages)
    if live_image(profile):
        yield from target.live.packages
    if profile.containerd.source == "distribution":
        yield from target.packages.containerd or ()
    if profile.kubernetes.enabled and profile.kubernetes.source == "packages":
        yield from (f"{name}={profile.kubernetes.version}" for name in KUBERNETES)
    yield from (f"-{name}" for name in profile.base.remove)
