"""The package part of a node: what is installed, and the scripts that install it.

The same scripts run in the chroot of an image build and on a running cloud image; docs/explanation/silences.md lists
what they guard against. The digest of this tree names the cached root file system, so it may have nothing
but what decides which packages, kernel or binaries a node gets: no sysctl, no time zone, no address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from imgbuild.config.profile import Binary, Profile
from imgbuild.facts.drivers import boot_drivers
from imgbuild.facts.live import live_image
from imgbuild.facts.packages import KUBERNETES, image_packages, node_packages
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeFile, NodeTree, own_file
from imgbuild.render.paths import INSTALL_CONF, LIBEXEC, SYSTEM
from imgbuild.render.repositories import apt_sources, key_files, repository_settings, rpm_repositories
from imgbuild.render.templates import render, static

CACHE = "/var/cache/imgbuild"

Settings = dict[str, str | list[str]]

_BROUGHT = ("cri-tools", "kubernetes-cni")  # dependencies of the packages of Kubernetes, held with them
_FAMILY = {"apt": "apt", "yum": "rpm", "dnf": "rpm"}


def install_tree(resolved: Resolved) -> NodeTree:
    """The install scripts and their settings, as files on the node.

    ``/usr/libexec/imgbuild/install`` runs the steps; in stock mode ``/usr/libexec/imgbuild/setup`` runs it, with
    what it needs to continue after a power failure.
    """
    profile = resolved.profile
    settings = _settings(resolved)
    files = [NodeFile(f"/{INSTALL_CONF}", render("node", f"{INSTALL_CONF}.j2", settings=settings))]
    files += [_script("install", "install"), _script("lib/install.sh", "lib/install.sh", mode=0o644)]
    # For programs of the node files too:
    files += [_script(f"lib/{name}.sh", f"lib/{name}.sh", mode=0o644) for name in ("login", "path")]
    files += _steps(resolved)
    files += _system_files(resolved)
    if profile.mode == "baked":  # cloud-init writes a stock node's files before it runs set-up
        ours = {file.path for file in files}
        files += [file for file in early_files(profile) if file.path not in ours]
    if profile.mode == "stock":
        files += _setup(resolved)
    return NodeTree(tuple(sorted(files, key=lambda f: f.path)))


_EARLY = (
    "/etc/cmdline.d/", "/etc/crypttab", "/etc/depmod.d/", "/etc/dracut.conf", "/etc/dracut.conf.d/",
    "/etc/initramfs-tools/", "/etc/iscsi/", "/etc/lvm/", "/etc/mdadm.conf", "/etc/mdadm/", "/etc/modprobe.d/",
    "/etc/multipath.conf", "/etc/multipath/", "/etc/nvme/", "/lib/firmware/", "/usr/lib/dracut/", "/usr/lib/firmware/",
    "/usr/share/initramfs-tools/",
)  # fmt: skip
"""What dracut and initramfs-tools read or copy when the kernel's package runs them."""


def early_files(profile: Profile) -> list[NodeFile]:
    """The user's own files that decide what is in the initramfs: they must be there before the kernel."""
    return [own_file(file) for file in profile.files if any(file.path.startswith(path) for path in _EARLY)]


def solve_tree(resolved: Resolved) -> NodeTree:
    """The same for `imgbuild lock`, which runs ``/usr/libexec/imgbuild/solve``: what would be installed."""
    family = _FAMILY[resolved.target.package_manager]
    packages = f"/{LIBEXEC}/lib/packages.sh"
    solve = static("node", f"{LIBEXEC}/install.d/{family}/solve.sh")
    tree = install_tree(resolved)
    files = [replace(file, content=file.content + solve) if file.path == packages else file for file in tree.files]
    return NodeTree((*files, _script("solve", "install.d/any/solve")))


def _script(name: str, source: str, *, mode: int = 0o755, context: Mapping[str, object] | None = None) -> NodeFile:
    path = f"{LIBEXEC}/{source}"
    content = render("node", f"{path}.j2", **context) if context is not None else static("node", path)
    return NodeFile(f"/{LIBEXEC}/{name}", content, mode)


def _steps(resolved: Resolved) -> Iterable[NodeFile]:
    """The steps that this node needs, for its family of distributions; the node gets no others."""
    profile, target = resolved.profile, resolved.target
    family = _FAMILY[target.package_manager]
    manager = target.package_manager
    yield _script("lib/packages.sh", f"install.d/{family}/packages.sh", mode=0o644)
    if manager != family:
        yield _script("lib/manager.sh", f"install.d/{manager}/manager.sh", mode=0o644)
    if family == "apt":
        context = apt_sources(resolved)
        yield _script("install.d/10-repositories", "install.d/apt/10-repositories", context=context)
    else:
        yield _script("install.d/10-repositories", "install.d/rpm/10-repositories")
    if family == "rpm" or resolved.repository_keys:
        yield _script("lib/keys.sh", "lib/keys.sh", mode=0o644)
    yield _script("lib/programs.sh", "lib/programs.sh", mode=0o644)
    yield _script("install.d/20-packages", "install.d/any/20-packages")
    yield _script("install.d/30-kernel", f"install.d/{family}/30-kernel")
    if live_image(profile):
        yield _script("install.d/35-live", f"install.d/{family}/35-live")
    containerd = "archive" if profile.containerd.source == "nerdctl-full" else "distribution"
    yield _script("install.d/40-containerd", f"install.d/any/40-containerd-{containerd}")
    if profile.kubernetes.enabled:
        yield _script("install.d/50-kubernetes", f"install.d/any/50-kubernetes-{profile.kubernetes.source}")
    if profile.helm.enabled:
        yield _script("install.d/60-helm", "install.d/any/60-helm")
    if _chart(profile) is not None:
        yield _script("install.d/65-cilium-chart", "install.d/any/65-cilium-chart")
    if profile.containerd.images:
        yield _script("install.d/70-images", "install.d/any/70-images")
    if _downloads(profile):
        yield _script("lib/archive.sh", "lib/archive.sh", mode=0o644)
    yield _script("install.d/80-list", "install.d/any/80-list")
    yield _script("install.d/90-clean", f"install.d/{family}/90-clean")


def _setup(resolved: Resolved) -> Iterable[NodeFile]:
    """What only a running cloud image needs. An image's kernel arguments are written when its disk is made."""
    profile, target = resolved.profile, resolved.target
    yield _script("setup", "setup")
    if not profile.kubernetes.enabled:  # else a node file has first boot's
        yield _script("lib/stage.sh", "lib/stage.sh", mode=0o644)
    yield _script("boot-arguments", f"install.d/{_FAMILY[target.package_manager]}/boot-arguments")
    conf = "etc/imgbuild/setup.conf"
    arguments = resolved.kernel_arguments
    yield NodeFile(f"/{conf}", render("node", f"{conf}.j2", arguments=arguments))
    unit = f"{SYSTEM}/imgbuild-setup.service"
    yield NodeFile(f"/{unit}", static("node", unit))


def _system_files(resolved: Resolved) -> Iterable[NodeFile]:
    """Files that must be there before the first package is installed."""
    target = resolved.target
    yield from key_files(resolved)
    wanted = boot_drivers(resolved.profile.kernel.initramfs_drivers)
    drivers = " ".join(dict.fromkeys((*wanted.always, *wanted.where_built)))
    if target.package_manager == "apt":
        path = "etc/initramfs-tools/conf.d/imgbuild"
        yield NodeFile(f"/{path}", static("node", path))
        path = "etc/initramfs-tools/hooks/imgbuild"
        yield NodeFile(f"/{path}", render("node", f"{path}.j2", drivers=drivers), 0o755)
        return
    repos = "etc/yum.repos.d/imgbuild.repo"
    priority = target.package_manager == "yum"
    yield NodeFile(f"/{repos}", render("node", f"{repos}.j2", repos=rpm_repositories(resolved), priority=priority))
    dracut = "etc/dracut.conf.d/zzz-imgbuild.conf"
    yield NodeFile(f"/{dracut}", render("node", f"{dracut}.j2", drivers=drivers))
    facts = resolved.kernel
    assert facts is not None  # noqa: S101 - the checks refuse a flavour that the target lacks
    kernel = "etc/sysconfig/kernel"
    default = facts.packages[0] + ("-core" if target.boot.menu == "bls" else "")
    yield NodeFile(f"/{kernel}", render("node", f"{kernel}.j2", package=default))


def _settings(resolved: Resolved) -> Settings:
    profile, target = resolved.profile, resolved.target
    facts = resolved.kernel
    assert facts is not None  # noqa: S101 - the checks refuse a flavour that the target lacks
    out: Settings = {
        "CACHE": CACHE,
        "PACKAGES": node_packages(resolved),
        "IMAGE_PACKAGES": image_packages(resolved),
        "IMAGE_UNITS": [f"{daemon}.service" for daemon in target.network_daemons],
        "KERNEL_PACKAGES": list(facts.packages),
        "KERNEL_VERSION": profile.kernel.version or "",
        "INITRAMFS_DRIVERS": list(boot_drivers(profile.kernel.initramfs_drivers).always),
        "INITRAMFS_DRIVERS_WHERE_BUILT": list(boot_drivers().where_built),
    }
    if live_image(profile):
        out["LIVE_PACKAGES"] = list(target.live.packages)
    if profile.base.remove:
        out["REMOVE_PACKAGES"] = list(profile.base.remove)
    out |= repository_settings(resolved)
    out |= _containerd(resolved)
    out |= _kubernetes(profile)
    if profile.helm.enabled:
        out |= {"HELM_VERSION": profile.helm.version, "HELM_URLS": list(profile.helm.urls)}
        out["HELM_SHA256"] = profile.helm.sha256
    chart = _chart(profile)
    if chart is not None:
        out |= {"CILIUM_VERSION": profile.cilium.version, "CILIUM_CHART_URLS": list(chart.urls)}
        out["CILIUM_CHART_SHA256"] = chart.sha256
    if profile.containerd.images:
        out["IMAGE_ARCHIVES"] = [archive.name for archive in profile.containerd.images]
    for number, archive in enumerate(profile.containerd.images):
        out |= {f"IMAGES_{number}_URLS": list(archive.urls), f"IMAGES_{number}_SHA256": archive.sha256}
    return out


def _chart(profile: Profile) -> Binary | None:
    """Cilium's chart as a file on the node; None if first boot gets it from the repository, or without Cilium."""
    return profile.cilium.chart if profile.kubernetes.enabled and profile.cilium.enabled else None


def _containerd(resolved: Resolved) -> Settings:
    profile, target = resolved.profile, resolved.target
    if profile.containerd.source == "distribution":
        return {"CONTAINERD_PACKAGES": list(target.packages.containerd or ())}
    archive = profile.containerd.nerdctl_full
    return {
        "CONTAINERD_VERSION": archive.version,
        "CONTAINERD_URLS": list(archive.urls),
        "CONTAINERD_SHA256": archive.sha256,
    }


def _kubernetes(profile: Profile) -> Settings:
    kubernetes = profile.kubernetes
    if not kubernetes.enabled:
        return {}
    out: Settings = {"KUBERNETES_VERSION": kubernetes.version}
    if kubernetes.source == "packages":
        return out | {"KUBERNETES_PACKAGES": list(KUBERNETES), "KUBERNETES_BROUGHT": list(_BROUGHT)}
    out["KUBERNETES_BINARIES"] = sorted(kubernetes.binaries)
    for name, binary in sorted(kubernetes.binaries.items()):
        out[f"{name.upper()}_URLS"] = list(binary.urls)
        out[f"{name.upper()}_SHA256"] = binary.sha256
    return out


def _downloads(profile: Profile) -> bool:
    binaries = profile.kubernetes.enabled and profile.kubernetes.source == "binaries"
    fetched = binaries or profile.containerd.images or _chart(profile)
    return profile.containerd.source == "nerdctl-full" or profile.helm.enabled or bool(fetched)
