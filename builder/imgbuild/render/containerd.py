"""The configuration of containerd and of the other programs that pull images."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from packaging.version import Version

from imgbuild.config.profile import Profile
from imgbuild.diagnostics.errors import ImgbuildError
from imgbuild.facts.derive import containerd_line, since, version
from imgbuild.facts.drop_ins import FOLDER, drop_ins, merged
from imgbuild.facts.registries import authorities
from imgbuild.facts.resolved import Resolved
from imgbuild.facts.runtimes import default_runtime, runtimes, snapshotters
from imgbuild.render import registries
from imgbuild.render.nodefile import NodeFile, NodeLink
from imgbuild.render.paths import SYSTEM
from imgbuild.render.templates import render, static


def files(resolved: Resolved) -> Iterator[NodeFile]:
    """Everything below /etc/containerd, and stargz and buildkit where they are enabled.

    Raises:
        ImgbuildError: the version of containerd is not known (`Resolved.complete`).
    """
    profile = resolved.profile
    yield NodeFile("/etc/containerd/config.toml", config(resolved))
    yield from registries.hosts(profile)
    yield NodeFile("/etc/crictl.yaml", _crictl(profile))
    if profile.containerd.stargz.enabled:
        yield from _stargz(profile)
    if profile.containerd.buildkit.enabled:
        yield from _buildkit(profile)


def config(resolved: Resolved) -> bytes:
    """/etc/containerd/config.toml in the version that this containerd reads.

    Raises:
        ImgbuildError: the version of containerd is not known (`Resolved.complete`).
    """
    profile = resolved.profile
    release = resolved.containerd
    if release is None:  # check reports it with its place
        raise ImgbuildError(
            "containerd.nerdctl_full.containerd must be set to the version of containerd in this archive"
        )
    options = profile.containerd
    return render(
        "node",
        "etc/containerd/config.toml.j2",
        containerd=release,
        config_version=containerd_line(release)[1]["config"],
        bin_dirs=version(release) >= since("containerd", "bin_dirs"),
        exports=_exports(version(release)),
        root=options.root,
        state=options.state,
        sandbox=resolved.sandbox_image,
        snapshotter=options.snapshotter,
        snapshotters=snapshotters(profile),
        known=runtimes(profile),
        default_runtime=default_runtime(profile),
        drop_ins=f"{FOLDER}/*.toml",
        stargz=options.stargz.enabled,
        stargz_root=options.stargz.root,
    )


def _exports(release: Version) -> bool:
    """Whether this containerd has ``exports`` of proxy plugins."""
    old = release.release[:2] <= (1, 6)
    return release >= since("containerd", "exports_1_6" if old else "exports_1_7")


def expectations(resolved: Resolved) -> list[tuple[str, str, str]]:
    """Section, key and value of each key of config.toml and of the user's drop-ins that it imports.

    As `containerd config dump` writes them without quotes. Version and imports are left out: it writes its own.

    Raises:
        ImgbuildError: the version of containerd is not known (`Resolved.complete`).
    """
    release = version(resolved.containerd or "0")
    table = merged(tomllib.loads(config(resolved).decode()), drop_ins(resolved.profile), release)
    return [row for row in _flat(table, "") if row[:2] not in (("", "version"), ("", "imports"))]


def _flat(table: dict[str, Any], section: str) -> Iterator[tuple[str, str, str]]:
    for key, value in table.items():
        below = f"{section}.{key}" if section else key
        if isinstance(value, dict):
            yield from _flat(value, below)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            if len(value) == 1:  # the node does not tell several apart
                yield from _flat(value[0], below)
        else:
            yield section, key, _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value)


def cni_link(resolved: Resolved) -> NodeLink | None:
    """/opt/cni/bin has one owner: the kubernetes-cni package, or a link to the archive's or distribution's plugins.

    A container that mounts /opt/cni/bin from the host (Cilium's agent) gets the link's target.
    """
    profile, target = resolved.profile, resolved.target
    if profile.kubernetes.enabled and profile.kubernetes.source == "packages":
        return None
    if profile.containerd.source == "nerdctl-full":
        return NodeLink("/opt/cni/bin", "/usr/local/libexec/cni")
    return NodeLink("/opt/cni/bin", target.paths.cni) if target.paths.cni else None


def _crictl(profile: Profile) -> bytes:
    return render("node", "etc/crictl.yaml.j2", endpoint=profile.crictl.endpoint, timeout=profile.crictl.timeout)


def _stargz(profile: Profile) -> Iterator[NodeFile]:
    stargz = profile.containerd.stargz
    name = "containerd.service.d/10-imgbuild-stargz.conf"
    yield NodeFile(f"/{SYSTEM}/{name}", static("node", f"{SYSTEM}/{name}"))
    name = "stargz-snapshotter.service.d/10-imgbuild.conf"
    more = {"authorities": registries.AUTHORITIES if authorities(profile) else None}
    content = render("node", f"{SYSTEM}/{name}.j2", root=stargz.root, log_level=stargz.log_level, **more)
    yield NodeFile(f"/{SYSTEM}/{name}", content)
    yield registries.stargz_file(profile)


def _buildkit(profile: Profile) -> Iterator[NodeFile]:
    buildkit = profile.containerd.buildkit
    name = "buildkit.service.d/10-imgbuild.conf"
    content = render("node", f"{SYSTEM}/{name}.j2", root=buildkit.root, snapshotter=buildkit.snapshotter)
    yield NodeFile(f"/{SYSTEM}/{name}", content)
    yield registries.buildkit_file(profile)
