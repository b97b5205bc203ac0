"""The configuration of containerd and of the other programs that pull images."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from packaging.version import Version

from imgbuild.config.profile import Profile
from imgbuild.diagnostics.errors import ImgbuildError
from imgbuild.facts.derive import containerd_line, since, version
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeFile, NodeLink
from imgbuild.render.templates import render, static

SYSTEM = "etc/systemd/system"


def files(resolved: Resolved) -> Iterator[NodeFile]:
    """Everything below /etc/containerd, and stargz and buildkit where they are enabled."""
    profile = resolved.profile
    yield NodeFile("/etc/containerd/config.toml", config(resolved))
    for name, registry in profile.containerd.registries.items():
        if registry is not None:
            content = render(
                "node",
                "etc/containerd/certs.d/hosts.toml.j2",
                name=name,
                # With its own server, _default would send requests for every unknown registry there.
                server=None if name == "_default" else registry.server,
                mirrors=registry.mirrors,
            )
            yield NodeFile(f"/etc/containerd/certs.d/{name}/hosts.toml", content)
    yield NodeFile("/etc/crictl.yaml", _crictl(profile))
    if profile.containerd.stargz.enabled:
        yield from _stargz(profile)
    if profile.containerd.buildkit.enabled:
        yield from _buildkit(profile)


def config(resolved: Resolved) -> bytes:
    """/etc/containerd/config.toml in the version that this containerd reads."""
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
        systemd_cgroup=options.cgroup_driver == "systemd",
        stargz=options.stargz.enabled,
        stargz_root=options.stargz.root,
    )


def _exports(release: Version) -> bool:
    """Whether this containerd has ``exports`` of proxy plugins."""
    old = release.release[:2] <= (1, 6)
    return release >= since("containerd", "exports_1_6" if old else "exports_1_7")


def expectations(content: bytes) -> list[tuple[str, str, str]]:
    """Section, key and value of each key of a config.toml, as `containerd config dump` writes them without quotes.

    The file's version is left out: containerd writes its own.
    """
    return [row for row in _flat(tomllib.loads(content.decode()), "") if row[:2] != ("", "version")]


def _flat(table: dict[str, Any], section: str) -> Iterator[tuple[str, str, str]]:
    for key, value in table.items():
        below = f"{section}.{key}" if section else key
        if isinstance(value, dict):
            yield from _flat(value, below)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                yield from _flat(item, below)
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


def _mirrors(profile: Profile) -> list[tuple[str, list[dict[str, Any]]]]:
    """Registries with their mirrors as host[/path], the only form that stargz and buildkit accept."""
    found = []
    for name, registry in sorted(profile.containerd.registries.items()):
        if registry is None or not registry.mirrors or name == "_default":
            continue
        urls = [urlsplit(url) for url in registry.mirrors]
        rows = [{"host": url.netloc + url.path.rstrip("/"), "plain": url.scheme == "http"} for url in urls]
        found.append((name, rows))
    return found


def _stargz(profile: Profile) -> Iterator[NodeFile]:
    stargz = profile.containerd.stargz
    name = "containerd.service.d/10-imgbuild-stargz.conf"
    yield NodeFile(f"/{SYSTEM}/{name}", static("node", f"{SYSTEM}/{name}"))
    name = "stargz-snapshotter.service.d/10-imgbuild.conf"
    content = render("node", f"{SYSTEM}/{name}.j2", root=stargz.root, log_level=stargz.log_level)
    yield NodeFile(f"/{SYSTEM}/{name}", content)
    content = render("node", "etc/containerd-stargz-grpc/config.toml.j2", registries=_mirrors(profile))
    yield NodeFile("/etc/containerd-stargz-grpc/config.toml", content)


def _buildkit(profile: Profile) -> Iterator[NodeFile]:
    buildkit = profile.containerd.buildkit
    name = "buildkit.service.d/10-imgbuild.conf"
    content = render("node", f"{SYSTEM}/{name}.j2", root=buildkit.root, snapshotter=buildkit.snapshotter)
    yield NodeFile(f"/{SYSTEM}/{name}", content)
    registries = _mirrors(profile)
    plain = sorted({row["host"].partition("/")[0] for _, rows in registries for row in rows if row["plain"]})
    content = render("node", "etc/buildkit/buildkitd.toml.j2", registries=registries, plain=plain)
    yield NodeFile("/etc/buildkit/buildkitd.toml", content)
