"""Values of Cilium's chart that the chart, the kernel or imgbuild does not allow together.

What the agent itself requires is a table (builder/imgbuild/checks/agent.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from packaging.version import Version

from imgbuild.checks.context import Context
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.cilium_values import VALUES, replaces_kube_proxy
from imgbuild.facts.derive import since

_CLUSTER = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def combinations(context: Context, release: Version, leaves: Mapping[Path, object]) -> None:
    """All findings about values that conflict with each other. ``leaves``: the chart's values by path."""

    def on(*path: str) -> bool:
        return leaves.get(path) is True

    def say(code: str, path: Path, message: str, hint: str) -> None:
        context.report(code, (*VALUES, *path), message, hint)

    if str(leaves.get(("bpf", "datapathMode"), "")).startswith("netkit"):
        _netkit(context, leaves, release)
    if leaves.get(("k8sServiceHostRef",)) and leaves.get(("k8sServiceHost",)):
        say("IB638", ("k8sServiceHostRef",), "the chart refuses both this and k8sServiceHost", "remove one of them")
    # imgbuild sets ipv6NativeRoutingCIDR from kubernetes.pod_cidr unless the user sets it.
    pods6 = ":" in context.profile.kubernetes.pod_cidr
    given6 = pods6 or leaves.get(("ipv6NativeRoutingCIDR",)) or on("nativeRoutingCIDRFromClusterPool")
    native = leaves.get(("routingMode",)) == "native"
    if on("ipv6", "enabled") and native and release >= since("cilium", "ipv6_native_cidr") and not given6:
        say("IB639", ("ipv6", "enabled"), "native routing with IPv6 requires ipv6NativeRoutingCIDR",
            "set it to the pods' IPv6 network")  # fmt: skip
    _idle(context, leaves, release, replaces=replaces_kube_proxy(context.profile))
    _cluster(context, leaves, release)


def _cluster(context: Context, leaves: Mapping[Path, object], release: Version) -> None:
    """The cluster's name, by default the cluster file's, and its id (pkg/clustermesh/types)."""
    name = leaves.get(("cluster", "name"))
    if release >= since("cilium", "cluster_name"):
        if name is not None and not _CLUSTER.fullmatch(str(name)):
            context.report(
                "IB640", (*VALUES, "cluster", "name"), f"{name!r:.60} is not a cluster name for Cilium since 1.16",
                "use at most 32 of a-z, 0-9 and -, with a letter or digit at each end",
            )  # fmt: skip
        elif name is None and not _CLUSTER.fullmatch(context.cluster.name):
            context.cluster_finding(
                "IB640", ("name",), f"{context.cluster.name!r:.60} is not a cluster name for Cilium since 1.16",
                "use at most 32 of a-z, 0-9 and -, with a letter or digit at each end; or give Cilium its own "
                "name in cilium.values.cluster.name",
            )  # fmt: skip
    number, most = leaves.get(("cluster", "id")), leaves.get(("clustermesh", "maxConnectedClusters"), 255)
    if isinstance(number, int) and isinstance(most, int) and not 0 <= number <= most:
        context.report(
            "IB624", (*VALUES, "cluster", "id"), f"the agent accepts a cluster id from 0 to {most}, not {number}",
            "give each cluster of the mesh its own id, starting at 1; use 0 without a mesh",
        )  # fmt: skip


def _idle(context: Context, leaves: Mapping[Path, object], release: Version, *, replaces: bool) -> None:
    """Values that have no effect, or are refused, because of another value."""
    pairs: tuple[tuple[Path, Path], ...] = (
        (("hubble", "relay", "enabled"), ("hubble", "enabled")),
        (("hubble", "ui", "enabled"), ("hubble", "relay", "enabled")),
    )
    for path, needs in pairs:
        standalone = path[1] == "ui" and leaves.get(("hubble", "ui", "standalone", "enabled")) is True
        missing = leaves.get(needs, needs == ("hubble", "enabled")) is not True
        if leaves.get(path) is True and missing and not standalone:
            context.report(
                "IB641", (*VALUES, *path), f"the chart refuses {_name(path)} without {_name(needs)}",
                f"set {_name(needs)}: true, or {_name(path)}: false",
            )  # fmt: skip
    idle: list[tuple[Path, str]] = []
    if leaves.get(("l2podAnnouncements", "enabled")) is not True:
        # interface is not a key from 1.19 on, which is reported already.
        idle += [(("l2podAnnouncements", "interfacePattern"), "without l2podAnnouncements.enabled")]
        if release <= since("cilium", "last_l2_interface"):
            idle += [(("l2podAnnouncements", "interface"), "without l2podAnnouncements.enabled")]
    if replaces:
        idle += [
            ((key, "enabled"), "with kubeProxyReplacement: true, which enables it")
            for key in ("externalIPs", "hostPort", "nodePort")
            if release <= since("cilium", f"last_own_{key}")
        ]
    if release < since("cilium", "routing_mode") and leaves.get(("routingMode",)):
        idle.append((("tunnel",), "beside routingMode"))
    if (
        since("cilium", "endpoint_slice") <= release < since("cilium", "endpoint_slice_only")
        and leaves.get(("ciliumEndpointSlice", "enabled")) is True
    ):
        idle.append((("enableCiliumEndpointSlice",), "beside ciliumEndpointSlice.enabled"))
    if not replaces and leaves.get(("loadBalancer", "acceleration")) != "disabled":
        idle.append((("loadBalancer", "acceleration"), "while kube-proxy serves Services"))
    for path, why in idle:
        if leaves.get(path) is not None:
            context.report(
                "IB614", (*VALUES, *path), f"{_name(path)} has no effect {why}", f"set {_name(path)} to null to "
                "remove it, or change the other",
            )  # fmt: skip


def _name(path: Path) -> str:
    return ".".join(map(str, path))


def _netkit(context: Context, leaves: Mapping[Path, object], release: Version) -> None:
    path: Path = (*VALUES, "bpf", "datapathMode")
    if context.target.family == "el":
        # ELRepo's kernel configs: CONFIG_NETKIT is not set; the distribution's are older than it.
        context.report("IB637", path, f"no kernel for {context.target.name} has netkit", "write veth")
    if leaves.get(("bpf", "tproxy")) is True and release >= since("cilium", "netkit_tproxy"):
        context.report(
            "IB637", path, "the chart refuses netkit with bpf.tproxy", "set bpf.tproxy: false, or write veth"
        )
