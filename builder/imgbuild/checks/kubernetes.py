"""Kubernetes: versions against target, kernel, cgroups and containerd; networks; what kubeadm's preflight requires."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from packaging.version import Version

from imgbuild.checks.context import Context
from imgbuild.config.data import versions
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import minor, preflight, since, sysctl_name, version
from imgbuild.facts.kernel_settings import SYSCTL_FILE, sysctls_of


def check(context: Context) -> None:
    """All findings about ``kubernetes``."""
    kubernetes = context.profile.kubernetes
    if not kubernetes.enabled:
        return
    _version(context)
    _glibc(context)
    _cgroup(context)
    _kernel(context)
    _containerd(context)
    _binaries(context)
    _sysctls(context)
    _node(context)
    _services(context)


def _version(context: Context) -> None:
    release, path = context.profile.kubernetes.version, ("kubernetes", "version")
    known = sorted(versions("kubernetes")["minors"], key=version)
    if version(release) < version(known[0]):
        context.report(
            "IB201", path, f"Kubernetes {release} is older than {known[0]}, the first in the package repositories",
            f"use {known[0]} or later; the default of {context.target.name} is "
            f"{context.target.defaults.get('kubernetes', {}).get('version', known[-1])}",
        )  # fmt: skip
    elif context.resolved.kubernetes is None:
        context.report(
            "IB202", path, f"imgbuild knows Kubernetes {known[0]} to {known[-1]}, not {minor(release)}",
            "use a known one, or check its pause image and kubeadm's API yourself",
        )  # fmt: skip
    stable = [url for url in context.resolved.repository_urls["kubernetes"] if re.search(r"[:/]stable\b", url)]
    if "-" in release and stable:
        newest = versions("newest")["kubernetes"].get(minor(release)) or max(
            versions("newest")["kubernetes"].values(), key=version
        )
        context.report(
            "IB236", path, f"{release} is a pre-release, and {stable[0]} has releases alone",
            f"use {newest}; or set kubernetes.source: binaries, and run imgbuild lock, which pins them",
        )  # fmt: skip
    mirrors = context.profile.repositories
    if (
        mirrors.region == "china"
        and mirrors.kubernetes is None
        and version(release) < since("kubernetes", "mirrored_in_china")
    ):
        context.report(
            "IB203", path, f"the mirrors in China were seen with Kubernetes from 1.28 on, not {minor(release)}",
            "set repositories.kubernetes to a repository that has it, or use a later version",
        )  # fmt: skip


def _glibc(context: Context) -> None:
    """The kubelet is linked dynamically: built on a newer system than the target, it may not start there."""
    release, target = context.profile.kubernetes.version, context.target
    newer: str = versions("kubernetes")["next_glibc"]
    if version(target.glibc) >= version(newer):
        return
    facts = context.resolved.kubernetes
    if facts is None and version(release) < max(map(Version, versions("kubernetes")["minors"])):
        return  # IB201
    seen = "this release may be built on"
    if facts is not None and facts.built_on_glibc is not None:
        if facts.built_until is None or version(release) <= version(facts.built_until):
            return
        seen = (
            f"up to {facts.built_until} it was built on glibc {facts.built_on_glibc}, and later patches may be built on"
        )
    context.report(
        "IB229", ("kubernetes", "version"),
        f"it is not known whether the kubelet of {release} starts on {target.name}, with glibc {target.glibc}: {seen} "
        f"Debian 12, which makes a kubelet that needs glibc {newer}",
        "the installation starts it and exits with an error if it does not run; to be sure, use "
        f"{_known_to_start(release)}, or a target with glibc {newer} or later",
    )  # fmt: skip


def _known_to_start(release: str) -> str:
    patches: dict[str, str | None] = {m: row["built_until"] for m, row in versions("kubernetes")["minors"].items()}
    return patches.get(minor(release)) or max(filter(None, patches.values()), key=version)


def _cgroup(context: Context) -> None:
    profile = context.profile
    if context.resolved.cgroup == "v2":
        return
    if context.resolved.kernel is None and profile.kernel.cgroup == "auto" and context.target.cgroup.v2_arguments:
        return  # IB301; the kernel decides
    release = profile.kubernetes.version
    facts = context.resolved.kubernetes
    known = [version(m) for m in versions("kubernetes")["minors"]]
    verdict = facts.cgroup_v1 if facts else "never" if version(release) > max(known) else "yes"
    can_v2 = context.target.cgroup.default == "v2" or context.target.cgroup.v2_arguments is not None
    way = "set kernel.cgroup: v2" if can_v2 else "use a target with systemd 226 or later"
    path = ("kubernetes", "version")
    if verdict == "never":
        context.report(
            "IB204", path, f"Kubernetes {release} does not run on cgroup v1, with which {context.target.name} boots",
            f"{way}, or use Kubernetes 1.37 or older with kubernetes.cgroup_v1: accept",
        )  # fmt: skip
    elif verdict == "override" and profile.kubernetes.cgroup_v1 == "refuse":
        context.report(
            "IB205", path,
            f"the kubelet of {release} refuses cgroup v1, with which {context.target.name} boots",
            f"set kubernetes.cgroup_v1: accept (failCgroupV1: false), {way}, or use Kubernetes 1.34 or older",
        )  # fmt: skip


def _kernel(context: Context) -> None:
    profile = context.profile
    facts = context.resolved.kernel
    if facts is None:
        return
    release = version(profile.kernel.version or facts.version)
    for row in preflight(profile.kubernetes.version, "kernels"):
        if _known(row, release):
            continue
        # The newest: an older one may be too old for Cilium.
        kernels = {name: version(kernel.version) for name, kernel in context.target.kernels.items()}
        others = sorted((name for name in kernels if _known(row, kernels[name])), key=lambda name: kernels[name])
        taken = ", ".join([*row["lts"], f"{row['from']} and later"])
        milder = bool(row.get("warning"))
        does = "warns about" if milder else "refuses"
        context.report(
            "IB206", ("kernel", "version" if profile.kernel.version else "flavour"),
            f"kubeadm of {profile.kubernetes.version} {does} kernel {release}: it knows {taken}",
            f"set kernel.flavour to {others[-1] if others else 'a newer kernel'}, or use Kubernetes 1.31 or older",
            lesser=milder,
        )  # fmt: skip


def _known(row: dict[str, Any], release: Version) -> bool:
    return release >= version(row["from"]) or minor(str(release)) in row["lts"]


def _containerd(context: Context) -> None:
    profile = context.profile
    release, running = profile.kubernetes.version, context.resolved.containerd
    if running is None:
        return  # reported by IB502 or IB503
    path: Path = ("containerd", "source")
    if profile.containerd.source == "nerdctl-full":
        path = ("containerd", "nerdctl_full", "containerd" if profile.containerd.nerdctl_full.containerd else "version")
    fix = (
        "use a later nerdctl-full, for example the default"
        if path[-1] != "source"
        else "set containerd.source: nerdctl-full"
    )
    wanted, have = version(release), version(running)
    if wanted >= since("kubernetes", "needs_runtime_config") and have < since("containerd", "runtime_config"):
        context.report(
            "IB207", path, f"Kubernetes {release} needs CRI's RuntimeConfig: containerd {running} does not have it", fix
        )
        return
    if wanted >= since("kubernetes", "cri_v1") and have < since("containerd", "cri_v1"):
        context.report("IB207", path, f"Kubernetes {release} needs CRI v1: containerd {running} does not have it", fix)
        return
    if wanted >= since("kubernetes", "warns_without_runtime_config") and have < since("containerd", "runtime_config"):
        context.report(
            "IB208", path, f"the kubelet of {release} warns about containerd {running}: it has no RuntimeConfig, "
            "needed from 1.38 on", fix,
        )  # fmt: skip
    table = versions("kubernetes")["containerd"]
    rows = [m for m in table if version(m) <= version(minor(release))]
    if not rows:
        return
    row = table[max(rows, key=version)]
    line = minor(running)
    if have < version(row[line]) if line in row else have < max(map(Version, row)):
        said = ", ".join(f"{v} or later of {m}" for m, v in row.items())
        context.report("IB209", path, f"Kubernetes {minor(release)} works with containerd {said}, not {running}", fix)


def _binaries(context: Context) -> None:
    kubernetes = context.profile.kubernetes
    path = ("kubernetes", "binaries")
    if kubernetes.source == "packages":
        if kubernetes.binaries:
            context.report(
                "IB211", path, "these binaries are not used: kubernetes.source is packages",
                "set kubernetes.source: binaries, or remove them",
            )  # fmt: skip
        return
    absent = [b for b in ("kubeadm", "kubelet", "kubectl", "crictl") if b not in kubernetes.binaries]
    if absent:
        context.report(
            "IB210", ("kubernetes", "source"), f"kubernetes.source is binaries, but {', '.join(absent)} is missing",
            "run imgbuild lock with these options, which finds them; or give urls and sha256 for "
            f"kubernetes.binaries.{absent[0]}",
        )  # fmt: skip


def _preflight_sysctl(context: Context, path: Path, name: str, wanted: str, fix: str, where: str = "") -> None:
    if name.startswith("net.bridge."):
        context.report("IB213", path, f"{where}kubeadm up to 1.29 refuses {name} other than {wanted}", fix)
    else:
        context.report("IB212", path, f"{where}kubeadm's preflight requires {name} to be {wanted}", fix)


def _sysctls(context: Context) -> None:
    """kubeadm's preflight reads these in /proc (versions/kubeadm-preflight.yaml)."""
    profile, release = context.profile, context.profile.kubernetes.version
    spelled = {sysctl_name(key): key for key in profile.kernel.sysctl}
    values = {sysctl_name(key): value for key, value in context.resolved.sysctls.items()}
    families = (None, *context.resolved.families)
    rows = {row["key"]: row["value"] for row in preflight(release, "sysctls") if row.get("family") in families}
    for name, wanted in rows.items():
        if str(values.get(name, "")).strip() == wanted:
            continue
        path = ("kernel", "sysctl", spelled.get(name, name))
        fix = f'set kernel.sysctl."{name}": {wanted}'
        if name.startswith("net.bridge."):
            fix += " (Cilium uses no Linux bridge, so it has no other effect)"
        _preflight_sysctl(context, path, name, wanted, fix)
    for index, file in enumerate(profile.files):
        at, ours = PurePosixPath(file.path), PurePosixPath(SYSCTL_FILE)
        if at.parent != ours.parent or at.suffix != ".conf" or at.name < ours.name:
            continue  # imgbuild's own file, which is read later, decides
        last = {sysctl_name(key): value for key, value in sysctls_of(file.text)}
        for name in rows.keys() & last.keys():
            if last[name] != rows[name]:
                _preflight_sysctl(
                    context, ("files", index, file.key_of_text), name, rows[name],
                    f"remove {name} from it: imgbuild sets it to {rows[name]}", where=f"{file.path}: ",
                )  # fmt: skip
    if 6 not in context.resolved.families:
        return
    for name in ("net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6"):
        if str(values.get(name, "0")).strip() != "0":
            context.report(
                "IB218", ("kernel", "sysctl", spelled[name]),
                f"{name} turns IPv6 off, but the cluster's networks are IPv6", f'set kernel.sysctl."{name}": null',
            )  # fmt: skip
    for index, argument in enumerate(profile.kernel.arguments):
        if argument in ("ipv6.disable=1", "ipv6.disable_ipv6=1"):
            context.report(
                "IB218", ("kernel", "arguments", index),
                f"{argument} turns IPv6 off, but the cluster's networks are IPv6", "remove it",
            )  # fmt: skip


def _node(context: Context) -> None:
    profile = context.profile
    facts = context.resolved.kubernetes
    if profile.kubernetes.certificate_validity is not None and facts is not None and facts.kubeadm_api == "v1beta3":
        context.report(
            "IB219", ("kubernetes", "certificate_validity"),
            f"kubeadm {profile.kubernetes.version} cannot set how long certificates are valid: it can from 1.31 on",
            "set it to null (365 days), or use Kubernetes 1.31 or later",
        )  # fmt: skip
    if profile.swap.enabled:
        context.report(
            "IB214", ("swap", "enabled"), "the kubelet does not start with swap on", "set swap.enabled: false"
        )
    if profile.containerd.cgroup_driver == "cgroupfs":
        context.report(
            "IB215", ("containerd", "cgroup_driver"),
            "two managers of cgroups: systemd and, beside it, cgroupfs, which is unstable under load",
            "set containerd.cgroup_driver: systemd",
        )  # fmt: skip


def _services(context: Context) -> None:
    profile = context.profile
    explicit = profile.cilium.values.get("kubeProxyReplacement")
    if not profile.cilium.enabled:
        if not profile.kubernetes.kube_proxy:
            context.report(
                "IB217", ("kubernetes", "kube_proxy"), "neither kube-proxy nor Cilium: no Service will be reachable",
                "set kubernetes.kube_proxy: true, or cilium.enabled: true",
            )  # fmt: skip
    elif profile.kubernetes.kube_proxy and explicit in (True, "true", "strict"):
        context.report(
            "IB216", ("cilium", "values", "kubeProxyReplacement"),
            "kube-proxy runs as well (kubernetes.kube_proxy): both would serve each Service",
            "set kubernetes.kube_proxy: false, or remove kubeProxyReplacement: imgbuild sets it",
        )  # fmt: skip
    elif not profile.kubernetes.kube_proxy and explicit in (False, "false", "disabled"):
        context.report(
            "IB216", ("cilium", "values", "kubeProxyReplacement"),
            "kube-proxy is not installed (kubernetes.kube_proxy), and Cilium is set not to replace it",
            "remove kubeProxyReplacement: imgbuild sets it",
        )  # fmt: skip
