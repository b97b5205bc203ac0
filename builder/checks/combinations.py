"""Values of Cilium's chart that do not go together: the agent's own messages, before there is an agent (facts, 4.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from packaging.version import Version

from builder.checks.context import Context
from builder.derive import minor
from builder.findings import Path

_VALUES: Path = ("cilium", "values")
_CLUSTER = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def combinations(context: Context, leaves: Mapping[Path, object]) -> None:
    """All findings about values that fight each other. ``leaves``: the chart's values by path."""
    release = Version(minor(context.profile.cilium.version))

    def on(*path: str) -> bool:
        return leaves.get(path) is True

    def say(code: str, path: Path, message: str, hint: str) -> None:
        context.error(code, (*_VALUES, *path), message, hint)

    default = "disabled" if leaves.get(("tunnel",)) == "disabled" and release < Version("1.15") else "tunnel"
    native = leaves.get(("routingMode",)) == "native" or default == "disabled"
    protocol = leaves.get(("tunnelProtocol",)) or leaves.get(("tunnel",)) or "vxlan"
    # imgbuild sets kubeProxyReplacement from kubernetes.kube_proxy unless it is said.
    replaces = leaves.get(("kubeProxyReplacement",), not context.profile.kubernetes.kube_proxy) in (
        True,
        "true",
        "strict",
    )
    masquerade = on("bpf", "masquerade")
    # imgbuild sets ipv4.enabled and ipv6NativeRoutingCIDR from kubernetes.pod_cidr unless they are said.
    pods6 = ":" in context.profile.kubernetes.pod_cidr

    if not native and on("autoDirectNodeRoutes"):
        say("IB630", ("autoDirectNodeRoutes",), "direct node routes with tunnelling: the agent ends at once",
            "set routingMode: native, or autoDirectNodeRoutes: false")  # fmt: skip
    mode = leaves.get(("loadBalancer", "mode"))
    if not native and mode in ("dsr", "hybrid"):
        if protocol == "vxlan":
            say("IB631", ("loadBalancer", "mode"), f"{mode} cannot be used with vxlan tunnelling",
                "set routingMode: native, or tunnelProtocol: geneve, or loadBalancer.mode: snat")  # fmt: skip
        elif leaves.get(("loadBalancer", "dsrDispatch")) != "geneve":
            say("IB631", ("loadBalancer", "mode"), f"{mode} with geneve tunnelling needs geneve dispatch",
                "set loadBalancer.dsrDispatch: geneve")  # fmt: skip
    if on("installNoConntrackIptablesRules"):
        path: Path = ("installNoConntrackIptablesRules",)
        if not native:
            say("IB632", path, "it requires the agent to run in direct routing mode", "set routingMode: native")
        if not replaces:
            say("IB632", path, "it requires Cilium in kube-proxy's place", "set kubernetes.kube_proxy: false")
        if leaves.get(("enableIPv4Masquerade",)) is not False and not masquerade:
            say("IB632", path, "it requires masquerading in BPF", "set bpf.masquerade: true")
        if leaves.get(("ipv4", "enabled"), not pods6) is False:
            say("IB632", path, "it requires IPv4", "set it to false")
    if masquerade and not replaces:
        say("IB633", ("bpf", "masquerade"), "masquerading in BPF requires Cilium in kube-proxy's place",
            "set kubernetes.kube_proxy: false, or bpf.masquerade: false")  # fmt: skip
    _host_routing(context, leaves, replaces=replaces, native=native)
    if on("egressGateway", "enabled") and not (masquerade and replaces):
        say("IB635", ("egressGateway", "enabled"), "it needs bpf.masquerade and Cilium in kube-proxy's place",
            "set bpf.masquerade: true and kubernetes.kube_proxy: false")  # fmt: skip
    if on("disableEndpointCRD") and on("ciliumEndpointSlice", "enabled"):
        say("IB636", ("ciliumEndpointSlice", "enabled"), "slices need the endpoints that disableEndpointCRD leaves out",
            "set one of them to false")  # fmt: skip
    if str(leaves.get(("bpf", "datapathMode"), "")).startswith("netkit"):
        _netkit(context, leaves, release)
    if leaves.get(("k8sServiceHostRef",)) and leaves.get(("k8sServiceHost",)):
        say("IB638", ("k8sServiceHostRef",), "the chart refuses both this and k8sServiceHost", "take one out")
    given6 = pods6 or leaves.get(("ipv6NativeRoutingCIDR",)) or on("nativeRoutingCIDRFromClusterPool")
    if on("ipv6", "enabled") and native and release >= Version("1.18") and not given6:
        say("IB639", ("ipv6", "enabled"), "native routing with IPv6 needs ipv6NativeRoutingCIDR",
            "give the pods' IPv6 network")  # fmt: skip
    _idle(context, leaves, release, replaces=replaces)
    if on("bandwidthManager", "bbr") and not on("bandwidthManager", "enabled"):
        say("IB634", ("bandwidthManager", "bbr"), "bbr does nothing without the bandwidth manager",
            "set bandwidthManager.enabled: true")  # fmt: skip
    name = leaves.get(("cluster", "name"))
    if name is not None and release >= Version("1.16") and not _CLUSTER.fullmatch(str(name)):
        say(
            "IB640",
            ("cluster", "name"),
            f"{name!r:.60} is no cluster name since 1.16",
            "take at most 32 of a-z, 0-9 and -",
        )


def _idle(context: Context, leaves: Mapping[Path, object], release: Version, *, replaces: bool) -> None:
    """What does nothing, or is refused, because of another value."""
    pairs: tuple[tuple[Path, Path], ...] = (
        (("hubble", "relay", "enabled"), ("hubble", "enabled")),
        (("hubble", "ui", "enabled"), ("hubble", "relay", "enabled")),
    )
    for path, needs in pairs:
        standalone = path[1] == "ui" and leaves.get(("hubble", "ui", "standalone", "enabled")) is True
        missing = leaves.get(needs, needs == ("hubble", "enabled")) is not True
        if leaves.get(path) is True and missing and not standalone:
            context.error(
                "IB641", (*_VALUES, *path), f"the chart refuses {_name(path)} without {_name(needs)}",
                f"set {_name(needs)}: true, or {_name(path)}: false",
            )  # fmt: skip
    idle: list[tuple[Path, str]] = []
    if leaves.get(("l2podAnnouncements", "enabled")) is not True:
        # interface is no key from 1.19 on, which is said already.
        idle += [(("l2podAnnouncements", "interfacePattern"), "without l2podAnnouncements.enabled")]
        if release <= Version("1.18"):
            idle += [(("l2podAnnouncements", "interface"), "without l2podAnnouncements.enabled")]
    if replaces:
        last = {"externalIPs": "1.16", "hostPort": "1.17", "nodePort": "1.18"}
        idle += [
            ((key, "enabled"), "with kubeProxyReplacement: true, which has it on")
            for key, minor_ in last.items()
            if release <= Version(minor_)
        ]
    if release < Version("1.15") and leaves.get(("routingMode",)):
        idle.append((("tunnel",), "beside routingMode"))
    if Version("1.16") <= release < Version("1.18") and leaves.get(("ciliumEndpointSlice", "enabled")) is True:
        idle.append((("enableCiliumEndpointSlice",), "beside ciliumEndpointSlice.enabled"))
    if not replaces and leaves.get(("loadBalancer", "acceleration")) != "disabled":
        idle.append((("loadBalancer", "acceleration"), "while kube-proxy serves Services"))
    for path, why in idle:
        if leaves.get(path) is not None:
            context.warning(
                "IB614", (*_VALUES, *path), f"{_name(path)} does nothing {why}", f"set {_name(path)} to null to take "
                "it out, or change the other",
            )  # fmt: skip


def _name(path: Path) -> str:
    return ".".join(map(str, path))


def _host_routing(context: Context, leaves: Mapping[Path, object], *, replaces: bool, native: bool) -> None:
    """BBR and BIG TCP need BPF host routing, else they switch themselves off."""
    legacy = leaves.get(("bpf", "hostLegacyRouting")) is True
    why = ""
    if legacy:
        why = "bpf.hostLegacyRouting is true"
    elif leaves.get(("bpf", "masquerade")) is not True:
        why = "bpf.masquerade is off"
    elif not replaces:
        why = "kube-proxy serves Services"
    encrypted = leaves.get(("encryption", "enabled")) is True
    for path in (("bandwidthManager", "bbr"), ("enableIPv4BIGTCP",), ("enableIPv6BIGTCP",)):
        if leaves.get(path) is not True:
            continue
        name, big = ".".join(path), path[0] != "bandwidthManager"
        if why:
            context.error(
                "IB634", (*_VALUES, *path), f"{name} needs BPF host routing, and {why}: the agent goes without it",
                "bpf.masquerade: true, bpf.hostLegacyRouting: false, kubernetes.kube_proxy: false; or set it false",
            )  # fmt: skip
        if big and not native:
            context.error(
                "IB634", (*_VALUES, *path), f"{name} is not supported in tunnelling mode", "set routingMode: native"
            )
        if big and encrypted:
            context.error("IB634", (*_VALUES, *path), f"{name} is not supported with encryption", "set it false")


def _netkit(context: Context, leaves: Mapping[Path, object], release: Version) -> None:
    path: Path = (*_VALUES, "bpf", "datapathMode")
    if context.target.family == "el":
        # ELRepo's kernel configs: CONFIG_NETKIT is not set; the distribution's are older than it.
        context.error("IB637", path, f"no kernel for {context.target.name} has netkit", "write veth")
    if leaves.get(("bpf", "tproxy")) is True and release >= Version("1.19"):
        context.error("IB637", path, "the chart refuses netkit with bpf.tproxy", "set bpf.tproxy: false, or write veth")
