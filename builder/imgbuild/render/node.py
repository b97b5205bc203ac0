"""Everything from the profile that is on a node besides packages: the same in baked and in stock mode."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from imgbuild.config.profile import Profile
from imgbuild.facts.disks import has_disks
from imgbuild.facts.kernel_settings import modules, sysctls
from imgbuild.facts.resolved import Resolved
from imgbuild.render import containerd, verify
from imgbuild.render.clock import chrony_folder
from imgbuild.render.nodefile import NodeFile, NodeLink, NodeTree, own_file
from imgbuild.render.paths import LIBEXEC, SYSTEM
from imgbuild.render.templates import render, static

_SCRIPTS = ("apply", "report", "rp-filter", "verify")
_LIBRARIES = (
    "agent",
    "balancer",
    "certificates",
    "cilium",
    "clock",
    "cluster",
    "json",
    "kubeadm",
    "leave",
    "name",
    "stage",
    "xdp",
)
_FIRST_BOOT = ("firstboot", "reset", "status", "upkeep")
_STAGES = (
    "10-clock",
    "20-kernel",
    "30-containerd",
    "40-images",
    "50-kubeadm",
    "60-kubeconfig",
    "70-cilium",
    "75-addons",
    "80-verify",
)
_CHECKS = ("10-boot.sh", "20-system.sh", "30-containerd.sh", "40-kubernetes.sh")
KUBELET = "/usr/local/bin/kubelet"
"""The folder of pinned binaries; packages have their own unit and kubelet."""


def node_tree(resolved: Resolved) -> NodeTree:
    """The node's files, links and units. A user's file replaces imgbuild's at the same path.

    Raises:
        ImgbuildError: the version of containerd is not known (`Resolved.complete`).
    """
    profile = resolved.profile
    files = {f.path: f for f in _files(resolved)}
    links = list(_links(resolved))
    own = {f.path: own_file(f) for f in profile.files}
    replaced = own.keys() & {*files, *(link.path for link in links)}
    files |= own
    links = [link for link in links if link.path not in files]
    enable = _enable(resolved)
    mask = (unit for unit in _mask(resolved) if f"/{SYSTEM}/{unit}" not in files)
    tree = NodeTree(tuple(files.values()), tuple(links), tuple(enable), tuple(mask), tuple(replaced))
    conf = NodeFile("/etc/imgbuild/node.conf", _node_conf(resolved, tree))
    if conf.path not in files:
        tree = tree + NodeTree((conf,))
    return NodeTree() + tree  # sorted


def _plain(name: str, mode: int = 0o644) -> NodeFile:
    return NodeFile(f"/{name}", static("node", name), mode)


def _files(resolved: Resolved) -> Iterator[NodeFile]:
    profile, target = resolved.profile, resolved.target
    yield from (_plain(f"{LIBEXEC}/{name}", 0o755) for name in _SCRIPTS)
    yield from (_plain(f"{LIBEXEC}/checks/{name}") for name in _CHECKS)
    yield _plain(f"{LIBEXEC}/lib/kernel.sh")  # verify's, and set-up's and first boot's
    if has_disks(profile):
        yield _plain(f"{LIBEXEC}/disks", 0o755)
        yield _plain(f"{LIBEXEC}/lib/block.sh")
        yield _plain(f"{LIBEXEC}/checks/25-disks.sh")
        yield _plain(f"{SYSTEM}/imgbuild-disks.service")
        if profile.kubernetes.enabled:
            yield _plain(f"{LIBEXEC}/firstboot.d/25-disks", 0o755)
    yield _plain(f"{SYSTEM}/imgbuild-report.service")
    yield _plain(f"{SYSTEM}/imgbuild-report.timer")
    if target.boot.menu == "bls":
        yield _plain(f"{LIBEXEC}/boot-entries", 0o755)
        yield _plain(f"{SYSTEM}/imgbuild-boot-entries.service")
    yield NodeFile("/etc/imgbuild/verify.conf", verify.verify_conf(resolved))
    yield from _system(resolved)
    yield from _network(resolved)
    yield from containerd.files(resolved)
    if profile.kubernetes.enabled:
        yield from _kubernetes(resolved)


def _system(resolved: Resolved) -> Iterator[NodeFile]:
    profile, target = resolved.profile, resolved.target
    servers = profile.time.ntp_servers
    folder = chrony_folder(target)
    yield NodeFile(target.paths.chrony, render("node", "etc/chrony.conf.j2", servers=servers, folder=folder))
    # chronyd does not start if the folder is missing (glob of GLOB_ERR in conf.c).
    yield NodeFile(f"{folder}/README", b"chronyd includes every file NAME.conf in this folder.\n")
    if target.paths.timezone:
        yield NodeFile(target.paths.timezone, f"{profile.time.zone}\n".encode())
    name = "etc/modules-load.d/imgbuild.conf"
    yield NodeFile(f"/{name}", render("node", f"{name}.j2", modules=modules(profile)))
    if profile.bpffs.enabled and target.bpffs_unit:
        yield _plain(f"{SYSTEM}/sys-fs-bpf.mount")
    if target.selinux and profile.selinux.mode is not None:
        yield NodeFile("/etc/selinux/config", render("node", "etc/selinux/config.j2", mode=profile.selinux.mode))
    if target.sudo_path is not None:
        name = "etc/sudoers.d/50-imgbuild"
        content = render("node", f"{name}.j2", secure_path=f"{target.sudo_path}:/usr/local/sbin:/usr/local/bin")
        yield NodeFile(f"/{name}", content, 0o440, public=True)
    for command in _completions(profile):
        name = "usr/share/bash-completion/completions"
        yield NodeFile(f"/{name}/{command}", render("node", f"{name}/command.j2", command=command))


def _network(resolved: Resolved) -> Iterator[NodeFile]:
    profile, target = resolved.profile, resolved.target
    name = "etc/sysctl.d/99-zz-imgbuild.conf"
    reverse = {f"net.ipv4.conf.{i}.rp_filter" for i in ("all", "default")}
    settings = [(key, value) for key, _, value in sysctls(resolved) if key not in reverse]
    content = render("node", f"{name}.j2", settings=settings, rp_filter=profile.network.rp_filter)
    yield NodeFile(f"/{name}", content)
    yield _plain("etc/udev/rules.d/99-zz-imgbuild-rp-filter.rules")
    yield _plain(f"{SYSTEM}/imgbuild-rp-filter.service")
    unmanaged = profile.network.unmanaged
    if unmanaged and "NetworkManager" in target.network_daemons:
        name = "etc/NetworkManager/conf.d/90-imgbuild.conf"
        yield NodeFile(f"/{name}", render("node", f"{name}.j2", unmanaged=unmanaged))
    if "systemd-networkd" in target.network_daemons:
        yield _plain("etc/systemd/networkd.conf.d/90-imgbuild.conf")
        if unmanaged:
            name = "etc/systemd/network/05-imgbuild-unmanaged.network"
            yield NodeFile(f"/{name}", render("node", f"{name}.j2", unmanaged=unmanaged))


def _kubernetes(resolved: Resolved) -> Iterator[NodeFile]:
    profile, target = resolved.profile, resolved.target
    yield from (_plain(f"{LIBEXEC}/checks/{name}") for name in ("50-cluster.sh", "55-cilium.sh", "60-deep.sh"))
    yield from (_plain(f"{LIBEXEC}/{name}", 0o755) for name in _FIRST_BOOT)
    yield from (_plain(f"{LIBEXEC}/firstboot.d/{name}", 0o755) for name in _STAGES)
    yield from (_plain(f"{LIBEXEC}/lib/{name}.sh") for name in _LIBRARIES)
    yield _plain(f"{SYSTEM}/imgbuild-firstboot.service")
    yield _plain(f"{SYSTEM}/imgbuild-firstboot.timer")
    yield _plain(f"{SYSTEM}/imgbuild-upkeep.service")
    yield _plain(f"{SYSTEM}/imgbuild-upkeep.timer")
    yield _plain("etc/profile.d/imgbuild.sh")
    if profile.kubernetes.source != "binaries":
        return
    name = f"{SYSTEM}/kubelet.service"
    yield NodeFile(f"/{name}", render("node", f"{name}.j2", kubelet=KUBELET))
    name = f"{SYSTEM}/kubelet.service.d/10-kubeadm.conf"
    content = render("node", f"{name}.j2", kubelet=KUBELET, environment=target.paths.environment)
    yield NodeFile(f"/{name}", content)


def _completions(profile: Profile) -> list[str]:
    commands = ["crictl"]
    if profile.containerd.source == "nerdctl-full":
        commands.append("nerdctl")
    if profile.kubernetes.enabled:
        commands += ["kubeadm", "kubectl"]
    if profile.helm.enabled:
        commands.append("helm")
    return commands


def _links(resolved: Resolved) -> Iterable[NodeLink]:
    profile = resolved.profile
    yield NodeLink("/etc/localtime", posixpath.join("../usr/share/zoneinfo", profile.time.zone))
    yield NodeLink("/usr/bin/imgbuild-verify", "../libexec/imgbuild/verify")
    if profile.kubernetes.enabled:
        for name in ("reset", "status"):
            yield NodeLink(f"/usr/bin/imgbuild-{name}", f"../libexec/imgbuild/{name}")
    cni = containerd.cni_link(resolved)
    if cni is not None:
        yield cni


def _enable(resolved: Resolved) -> Iterator[str]:
    """In the order in which apply starts them."""
    profile, target = resolved.profile, resolved.target
    if target.boot.menu == "bls":
        yield "imgbuild-boot-entries.service"
    yield target.services.chrony
    yield "imgbuild-rp-filter.service"
    if profile.bpffs.enabled and target.bpffs_unit:
        yield "sys-fs-bpf.mount"
    for agent in profile.guest_agents:
        yield from target.guest_agents[agent].enable
    if has_disks(profile):
        yield "imgbuild-disks.service"
    if profile.containerd.stargz.enabled:
        yield "stargz-snapshotter.service"
    yield "containerd.service"
    if profile.containerd.buildkit.enabled:
        yield "buildkit.service"
    if profile.kubernetes.enabled:
        yield "kubelet.service"
        yield "imgbuild-firstboot.timer"
        yield "imgbuild-upkeep.timer"
    yield "imgbuild-report.timer"


def _mask(resolved: Resolved) -> Iterator[str]:
    profile, target = resolved.profile, resolved.target
    yield from target.services.ntp_rivals
    yield from target.services.updaters
    if not any(argument.startswith("crashkernel=") for argument in profile.kernel.arguments):
        yield from target.services.crash_dump
    if profile.firewall.disabled:
        yield from target.services.firewall
    if not profile.swap.enabled:
        yield "swap.target"  # nothing else pulls in swap units, neither fstab's nor those found on GPT


def _node_conf(resolved: Resolved, tree: NodeTree) -> bytes:
    profile, target = resolved.profile, resolved.target
    paths = sorted(f.path for f in tree.files)

    def below(*prefixes: str) -> list[str]:
        return [path for path in paths if path.startswith(prefixes)]

    restart = [(target.services.chrony, [target.paths.chrony])]
    for unit, prefixes in (
        ("stargz-snapshotter.service", ("/etc/containerd-stargz-grpc/",)),
        ("containerd.service", ("/etc/containerd/config.toml", "/etc/containerd/conf.d/")),
        ("buildkit.service", ("/etc/buildkit/",)),
    ):
        if unit in tree.enable:
            restart.append((unit, below(*prefixes, f"/{SYSTEM}/{unit}.d/")))
    daemons = {"NetworkManager": "/etc/NetworkManager/", "systemd-networkd": "/etc/systemd/network"}
    reload = [(f"{d}.service", below(daemons[d])) for d in target.network_daemons if d in daemons]
    return render(
        "node",
        "etc/imgbuild/node.conf.j2",
        zone=profile.time.zone,
        rp_filter=profile.network.rp_filter,
        selinux=profile.selinux.mode if target.selinux else None,
        swap=profile.swap.enabled,
        grub_dir=target.boot.grub_dir if target.boot.menu == "bls" else None,
        modules=modules(profile),
        stop=[unit for unit in tree.mask if unit.endswith((".service", ".timer"))],
        links=tree.links,
        mask=tree.mask,
        enable=tree.enable,
        restart=restart,
        reload=[(unit, files) for unit, files in reload if files],
    )
