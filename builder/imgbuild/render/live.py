"""The files that only a live root has: not the disk image, and no seed."""

from __future__ import annotations

from collections.abc import Iterator

from imgbuild.facts.disks import folders_in_use
from imgbuild.facts.live import MARK
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.paths import LIBEXEC, SYSTEM
from imgbuild.render.report import UNIT, reporter
from imgbuild.render.templates import render, static

_INSTALLER = ("block", "install-report", "install-seed", "install-target", "install-write", "path")
_MEDIUM_SEED = "imgbuild-medium-seed.service"
_LOGS = "/var/log/pods"
"""Where the kubelet keeps what containers print."""


def live_tree(resolved: Resolved) -> NodeTree:
    """What is placed over the node's files in its live root."""
    return NodeTree(tuple(_diskless(resolved)), enable=("imgbuild-diskless.service",)) + _installer() + _reporter()


def _diskless(resolved: Resolved) -> Iterator[NodeFile]:
    """A live root's own folders are in memory or on a snapshot, where containerd cannot mount a container's root."""
    profile, target = resolved.profile, resolved.target
    yield NodeFile(MARK, f"The live root of {target.name}.\n".encode())
    folders = list(folders_in_use(profile))
    if target.live.snapshot_mib is not None and profile.kubernetes.enabled:
        folders.append(_LOGS)
    conf = "etc/imgbuild/diskless.conf"
    yield NodeFile(f"/{conf}", render("node", f"{conf}.j2", folders=folders, size=profile.pxe.memory_disk))
    yield NodeFile(f"/{LIBEXEC}/diskless", static("node", f"{LIBEXEC}/diskless"), 0o755)
    unit = f"{SYSTEM}/imgbuild-diskless.service"
    yield NodeFile(f"/{unit}", static("node", unit))
    if target.boot.menu == "bls":  # /boot is empty
        drop_in = f"{SYSTEM}/imgbuild-boot-entries.service.d/live.conf"
        yield NodeFile(f"/{drop_in}", static("node", drop_in))


def _installer() -> NodeTree:
    """What installs the image to a disk when the kernel was started with systemd.unit=imgbuild-install.target."""
    programs = [f"{LIBEXEC}/{name}" for name in ("install-disk", "medium-seed")]
    files = [NodeFile(f"/{name}", static("node", name), 0o755) for name in programs]
    names = [f"{LIBEXEC}/lib/{name}.sh" for name in _INSTALLER]
    units = ("imgbuild-install.target", "imgbuild-install.service", _MEDIUM_SEED)
    names += [f"{SYSTEM}/{unit}" for unit in units]
    made = (*files, *(NodeFile(f"/{name}", static("node", name)) for name in names))
    return NodeTree(made, enable=(_MEDIUM_SEED,))


def _reporter() -> NodeTree:
    """What tells the server that booted it how far it is, also while it installs."""
    return NodeTree(tuple(reporter()), enable=(UNIT,))
