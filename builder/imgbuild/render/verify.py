"""What imgbuild-verify expects on the node, and the names of its checks."""

from __future__ import annotations

from collections.abc import Iterator

from imgbuild.config.profile import File, Profile
from imgbuild.facts.derive import sysctl_name
from imgbuild.facts.disks import has_disks
from imgbuild.facts.kernel_settings import SYSCTL_FILE, modules, sysctls, sysctls_of
from imgbuild.facts.resolved import Resolved
from imgbuild.facts.runtimes import snapshotters
from imgbuild.render import containerd
from imgbuild.render.paths import SYSTEM
from imgbuild.render.templates import render

CILIUM = (
    "cilium", "cilium-endpoints", "cilium-services", "cilium-datapath", "cilium-bandwidth", "cilium-health",
)  # fmt: skip
CLUSTER = ("first-boot", "node-ready", "vip", "balancer", "certificates", "no-kube-proxy", *CILIUM, "coredns", "addons")
"""Checks of the node in its cluster; skipped until first boot is done."""

UNREQUIRED = frozenset({"clock", "images", *CLUSTER})
"""Checks that report "skipped" on a healthy node too: the clock is not synchronised without a network, and a node whose
first boot is still under way (it may wait for another node) has not failed. One whose first boot failed has."""


def check_names(resolved: Resolved) -> frozenset[str]:
    """The checks that imgbuild-verify makes for this profile and that a healthy node with its seed passes."""
    return frozenset(check_list(resolved)) - UNREQUIRED - left_out(resolved).keys()


_READS = {
    "/etc/localtime": "time-zone",
    "/etc/modules-load.d/imgbuild.conf": "modules",
    SYSCTL_FILE: "sysctl:",
    "/etc/udev/rules.d/99-zz-imgbuild-rp-filter.rules": "rp-filter",
    f"/{SYSTEM}/imgbuild-rp-filter.service": "rp-filter",
    f"/{SYSTEM}/sys-fs-bpf.mount": "bpffs",
    "/etc/selinux/config": "selinux",
    "/etc/NetworkManager/conf.d/90-imgbuild.conf": "network-manager",
    "/etc/systemd/networkd.conf.d/90-imgbuild.conf": "networkd",
    "/etc/containerd/config.toml": "containerd-plugins",
    f"/{SYSTEM}/stargz-snapshotter.service.d/10-imgbuild.conf": "stargz",
    f"/{SYSTEM}/buildkit.service.d/10-imgbuild.conf": "buildkit",
    "/etc/crictl.yaml": "crictl",
}
"""These checks expect the content of imgbuild's own file. If a user's file replaces it, the content is unknown.
The checks `chrony` and `containerd-config` then verify only what does not depend on it (own_files)."""


_AFTER = {
    "/etc/NetworkManager/conf.d/90-imgbuild.conf": "network-manager",
    "/etc/systemd/networkd.conf.d/90-imgbuild.conf": "networkd",
    f"/{SYSTEM}/stargz-snapshotter.service.d/10-imgbuild.conf": "stargz",
    f"/{SYSTEM}/buildkit.service.d/10-imgbuild.conf": "buildkit",
}
"""A user's file in the same folder that is read after imgbuild's own can change what these checks look at."""


def left_out(resolved: Resolved) -> dict[str, str]:
    """The checks that are not made because of a user's file, with that file."""
    found: dict[str, str] = {}
    names = check_list(resolved)
    for file in resolved.profile.files:
        for check in _looked_at(file):
            found |= {n: file.path for n in names if n == check or (check.endswith(":") and n.startswith(check))}
    return {name: found[name] for name in names if name in found}


def _looked_at(file: File) -> Iterator[str]:
    """The checks whose expectation a user's file changes. One that ends with a colon is several."""
    if file.path in _READS:
        yield _READS[file.path]
        return
    folder, _, name = file.path.rpartition("/")
    for ours, check in _AFTER.items():
        # systemd.unit(5), NetworkManager.conf(5), sysctl.d(5): by name, whatever the folder's other files are
        if folder == ours.rpartition("/")[0] and name.endswith(".conf") and name > ours.rpartition("/")[2]:
            yield check
    if folder == "/etc/sysctl.d" and name.endswith(".conf") and name > SYSCTL_FILE.rpartition("/")[2]:
        for key, _ in sysctls_of(file.text):
            yield "sysctl:" if "*" in key else f"sysctl:{sysctl_name(key)}"
            if key.endswith("rp_filter"):
                yield "rp-filter"


def check_list(resolved: Resolved) -> list[str]:
    """All checks in the order in which the node makes them. "name:argument" calls check_name with its argument."""
    profile, target = resolved.profile, resolved.target
    # Users come with the seed, and a node may have its own: the image checks those of the seed, whoever they are.
    names = ["kernel", "boot-default", "cloud-init", "hostname", "users", "ssh-keys"]
    names += ["network", "root-grown"]
    if has_disks(profile):
        names.append("disks")
    names += ["time-zone", "chrony", "clock"]
    if modules(profile):  # bash 4.2 with -u treats an empty list as unset
        names.append("modules")
    names += [f"sysctl:{key}" for key, _, _ in sysctls(resolved)]
    names.append("rp-filter")
    if profile.bpffs.enabled:
        names.append("bpffs")
    names.append("cgroup")
    if not profile.swap.enabled:
        names.append("no-swap")
    if profile.guest_agents:
        names.append("guest-agents")
    if target.selinux and profile.selinux.mode is not None:
        names.append("selinux")
    if profile.firewall.disabled and target.services.firewall:
        names.append("firewall")
    if profile.network.unmanaged and "NetworkManager" in target.network_daemons:
        names.append("network-manager")
    if "systemd-networkd" in target.network_daemons:
        names.append("networkd")
    names += ["containerd", "containerd-plugins", "containerd-config", "cni", "crictl"]
    if any(profile.containerd.registries.values()):
        names.append("registries")
    if profile.containerd.stargz.enabled:
        names.append("stargz")
    if profile.containerd.buildkit.enabled:
        names.append("buildkit")
    if profile.kubernetes.enabled:
        names += ["kubelet", "kubeadm", "kubectl"]
    if profile.helm.enabled:
        names.append("helm")
    if profile.kubernetes.enabled:
        unmade = {"no-kube-proxy"} if profile.kubernetes.kube_proxy else set()
        unmade |= _unmade(profile)
        if profile.images.preload:
            names.append("images")
        names += [name for name in CLUSTER if name not in unmade]
    return [*names, "failed-units", "ordering-cycles"]


def _unmade(profile: Profile) -> set[str]:
    """The checks of Cilium that do not apply."""
    if not profile.cilium.enabled:
        return set(CILIUM)
    values = profile.cilium.values
    manager = values.get("bandwidthManager")
    unmade = set() if isinstance(manager, dict) and manager.get("enabled") else {"cilium-bandwidth"}
    return unmade | ({"cilium-health"} if values.get("healthChecking") is False else set())


def verify_conf(resolved: Resolved) -> bytes:
    """/etc/imgbuild/verify.conf.

    Raises:
        ImgbuildError: the version of containerd is not known (`Resolved.complete`).
    """
    profile, target = resolved.profile, resolved.target
    registries = [name for name, registry in profile.containerd.registries.items() if registry is not None]
    kernel = resolved.kernel
    efi_dir = f"/boot/efi/EFI/{target.boot.efi_vendor}"
    values: list[tuple[str, str | list[str]]] = [
        ("packages", "dpkg" if target.package_manager == "apt" else "rpm"),
        ("kernel_owner", kernel.owner if kernel else "kernel*"),
        ("kernel_version", profile.kernel.version or ""),
        ("bls", "yes" if target.boot.menu == "bls" else "no"),
        ("grub_dir", target.boot.grub_dir),
        ("grub_efi_dir", efi_dir),
        ("own_files", sorted(file.path for file in profile.files)),
        ("left_out", [word for row in left_out(resolved).items() for word in row]),
        ("zone", profile.time.zone),
        ("chrony_unit", target.services.chrony),
        ("chrony_conf", target.paths.chrony),
        ("ntp_servers", list(profile.time.ntp_servers)),
        ("guest_agents", [w for name in profile.guest_agents for w in (name, target.guest_agents[name].unit)]),
        ("ntp_rivals", list(target.services.ntp_rivals)),
        ("modules", modules(profile)),
        ("rp_filter", str(profile.network.rp_filter)),
        ("cgroup", resolved.cgroup),
        ("selinux", profile.selinux.mode or ""),
        ("firewall", list(target.services.firewall)),
        ("unmanaged", list(profile.network.unmanaged)),
        ("containerd_version", resolved.containerd or ""),
        ("containerd_plugins", _plugins(profile)),
        ("registries", sorted(registries)),
        ("stargz_root", profile.containerd.stargz.root),
        ("buildkit_root", profile.containerd.buildkit.root),
        ("buildkit_snapshotter", profile.containerd.buildkit.snapshotter),
        ("crictl_endpoint", profile.crictl.endpoint),
        ("kubernetes_version", profile.kubernetes.version),
        ("helm_version", profile.helm.version),
    ]
    return render(
        "node",
        "etc/imgbuild/verify.conf.j2",
        checks=check_list(resolved),
        values=values,
        sysctls=sysctls(resolved),
        containerd_config=containerd.expectations(resolved),
    )


def _plugins(profile: Profile) -> list[str]:
    options = profile.containerd
    names = ["cri", *snapshotters(profile), *(["stargz"] if options.stargz.enabled else [])]
    return list(dict.fromkeys(names))
