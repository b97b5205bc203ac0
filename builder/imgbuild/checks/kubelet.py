"""Values below ``kubernetes.kubelet`` with which the kubelet does not start, or does something else than was meant.

Sources, Kubernetes 1.24 to 1.37: pkg/kubelet/apis/config/validation/validation.go (ValidateKubeletConfiguration);
pkg/kubelet/eviction/helpers.go (ParseThresholdConfig) and eviction/api/types.go; cmd/kubelet/app/server.go
(parseResourceList); pkg/kubelet/cm/cpumanager/cpu_manager.go and memorymanager/memory_manager.go;
pkg/kubelet/cm/container_manager_linux.go (setupKernelTunables).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from imgbuild.checks.context import Context
from imgbuild.checks.kubernetes_fields import DURATION, QUANTITY, FieldCheck
from imgbuild.config.layers import closest, value_at
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import minor, since, sysctl_name, version
from imgbuild.facts.kubelet import configuration
from imgbuild.facts.kubernetes_types import without_null
from imgbuild.facts.node_settings import Own

_KUBELET: Path = ("kubernetes", "kubelet")
_SIGNALS = (
    "memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree",
    "containerfs.available", "containerfs.inodesFree", "pid.available", "allocatableMemory.available",
)  # fmt: skip
_DEFAULT_EVICTIONS = ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available")
_RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")
_EVICTIONS = ("evictionHard", "evictionSoft", "evictionSoftGracePeriod", "evictionMinimumReclaim")
_NAMES = {
    **dict.fromkeys(_EVICTIONS, (_SIGNALS, "is not a signal for evictions", "IB263")),
    **dict.fromkeys(("kubeReserved", "systemReserved"), (_RESERVABLE, "cannot be reserved", "IB263")),
}
_ENFORCED = (
    "pods", "system-reserved", "kube-reserved", "system-reserved-compressible", "kube-reserved-compressible", "none",
)  # fmt: skip
_ONE_OF = {
    ("topologyManagerPolicy",): ("none", "best-effort", "restricted", "single-numa-node"),
    ("topologyManagerScope",): ("container", "pod"),
    ("cpuManagerPolicy",): ("none", "static"),
    ("memoryManagerPolicy",): ("None", "Static"),
    ("hairpinMode",): ("promiscuous-bridge", "hairpin-veth", "none"),
    ("authorization", "mode"): ("Webhook", "AlwaysAllow"),
    ("configMapAndSecretChangeDetectionStrategy",): ("Get", "Cache", "Watch"),
}
_RANGES = {
    "containerLogMaxFiles": (2, None),
    "containerLogMaxWorkers": (1, None),
    "eventBurst": (0, None),
    "eventRecordQPS": (0, None),
    "healthzPort": (0, 65535),
    "imageGCHighThresholdPercent": (0, 100),
    "imageGCLowThresholdPercent": (0, 100),
    "iptablesDropBit": (0, 31),
    "iptablesMasqueradeBit": (0, 31),
    "kubeAPIBurst": (0, None),
    "kubeAPIQPS": (0, None),
    "maxOpenFiles": (0, None),
    "maxParallelImagePulls": (1, None),
    "maxPods": (0, None),
    "nodeLeaseDurationSeconds": (1, None),
    "nodeStatusMaxImages": (-1, None),
    "oomScoreAdj": (-1000, 1000),
    "podsPerCore": (0, None),
    "port": (1, 65535),
    "readOnlyPort": (0, 65535),
    "registryBurst": (0, None),
    "registryPullQPS": (0, None),
}
_PROTECTED = {
    "vm.overcommit_memory": ("1", True),
    "vm.panic_on_oom": ("0", False),
    "kernel.panic": ("10", True),
    "kernel.panic_on_oops": ("1", True),
    "kernel.keys.root_maxkeys": ("1000000", False),
    "kernel.keys.root_maxbytes": ("25000000", False),
}
"""What protectKernelDefaults requires, and whether it has to be set: the kernel's own default may be another."""
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def check(context: Context) -> None:
    """All findings about ``kubernetes.kubelet``."""
    kubernetes = context.profile.kubernetes
    if not kubernetes.kubelet:
        return
    if not kubernetes.enabled:
        context.report(
            "IB266",
            _KUBELET,
            "these fields are not used: kubernetes.enabled is false",
            "set it to true, or remove them",
        )
        return
    # What follows reads the values by their types.
    config = without_null(FieldCheck(context, "KubeletConfiguration", _KUBELET, _NAMES).check(kubernetes.kubelet))
    _evictions(context, config)
    _reservations(context, config)
    _choices(context, config)
    _pairs(context, config)
    _managers(context, config)
    _surroundings(context, config)


def check_own(context: Context, own: Sequence[Own]) -> None:
    """Kubelets that differ from that of the profile: kubeadm patches their configuration from 1.25 on."""
    shared = configuration(context.resolved)
    for each in own:
        release = each.resolved.profile.kubernetes.version
        differs = each.resolved.profile.kubernetes.enabled and configuration(each.resolved) != shared
        if differs and version(minor(release)) < since("kubernetes", "kubelet_patch"):
            path = _KUBELET if each.resolved.profile.kubernetes.kubelet else ("containerd", "cgroup_driver")
            each.add(
                context.findings, "IB449", path,
                f"kubeadm {release} gives every kubelet the same configuration: it patches it from 1.25 on",
                "set it in the profile, or use Kubernetes 1.25 or later",
            )  # fmt: skip


def _refuse(context: Context, path: Path, message: str, hint: str) -> None:
    context.report("IB263", (*_KUBELET, *path), message, hint)


def _evictions(context: Context, config: Mapping[str, Any]) -> None:
    for section in _EVICTIONS:
        for signal, value in config.get(section, {}).items():
            path = (section, signal)
            if section == "evictionSoftGracePeriod":
                if not DURATION.fullmatch(value):
                    _refuse(context, path, "a grace period is a duration", "write a number with its unit: 90s, 2m")
            elif not _threshold(value):
                _refuse(
                    context, path, "a threshold is a quantity or a percentage",
                    'write a number with a unit, or a percentage, in quotes: 500Mi, "10%"',
                )  # fmt: skip
    soft, grace = config.get("evictionSoft", {}), config.get("evictionSoftGracePeriod", {})
    for signal in soft:
        if signal not in grace:
            _refuse(
                context, ("evictionSoft", signal), f"{signal} has no grace period",
                f"set kubernetes.kubelet.evictionSoftGracePeriod: {{{signal}: 90s}}",
            )  # fmt: skip
    hard = config.get("evictionHard")
    absent = [signal for signal in _DEFAULT_EVICTIONS if signal not in (hard or {})]
    off = any(value in ("0%", "100%") for value in (hard or {}).values())
    if hard and absent and not off and not config.get("mergeDefaultEvictionSettings"):
        merge = version(minor(context.profile.kubernetes.version)) >= since("kubernetes", "merges_evictions")
        context.report(
            "IB264", (*_KUBELET, "evictionHard"),
            f"the defaults for {', '.join(absent)} no longer hold: evictionHard replaces all of them",
            "set kubernetes.kubelet.mergeDefaultEvictionSettings: true" if merge else "write them as well: "
            'memory.available: 100Mi, nodefs.available: "10%", nodefs.inodesFree: "5%", imagefs.available: "15%"',
        )  # fmt: skip


def _threshold(value: str) -> bool:
    if value.endswith("%"):
        try:
            return 0 <= float(value[:-1]) <= 100
        except ValueError:
            return False
    return QUANTITY.fullmatch(value) is not None and not value.startswith("-") and _size(value) > 0


_FACTORS: dict[str, float] = {unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_FACTORS |= {unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)}
_FACTORS |= {"": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def _size(value: str) -> float:
    """A quantity as a number."""
    number, unit = re.findall(r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)(.*)", value)[0]
    return float(number) * _FACTORS[unit]


def _reservations(context: Context, config: Mapping[str, Any]) -> None:
    for section in ("kubeReserved", "systemReserved"):
        for name, value in config.get(section, {}).items():
            if not QUANTITY.fullmatch(value) or value.startswith("-"):
                hint = "write a number, with a unit if it needs one, in quotes: 500m, 1Gi"
                _refuse(context, (section, name), "a reservation is a quantity", hint)
    enforced: list[str] = config.get("enforceNodeAllocatable", [])
    for index, name in enumerate(enforced):
        path = ("enforceNodeAllocatable", index)
        cgroup = f"{name.split('-')[0]}ReservedCgroup"
        if name not in _ENFORCED:
            hint = closest(name, _ENFORCED) or f"write one of {', '.join(_ENFORCED)}"
            _refuse(context, path, f"{name} is not enforced by any kubelet", hint)
        elif name in enforced[:index]:
            _refuse(context, path, f"duplicate {name}", "remove one of them")
        elif name == "none" and len(enforced) > 1:
            _refuse(context, path, "none must be the only one", "remove it, or the others")
        elif "-reserved" in name and not config.get(cgroup):
            _refuse(
                context, path, f"{name} is enforced on a cgroup, and {cgroup} is not set",
                f"set kubernetes.kubelet.{cgroup}, or remove {name} here",
            )  # fmt: skip
    if config.get("reservedSystemCPUs"):
        both = [name for name in ("systemReservedCgroup", "kubeReservedCgroup") if config.get(name)]
        if not re.fullmatch(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", config["reservedSystemCPUs"]):
            _refuse(context, ("reservedSystemCPUs",), "not a list of CPUs", "write numbers and ranges: 0-3,8")
        for name in both:
            _refuse(context, (name,), f"{name} cannot be used with reservedSystemCPUs", "remove one of the two")


def _choices(context: Context, config: Mapping[str, Any]) -> None:
    for path, choices in _ONE_OF.items():
        value = value_at(config, path)
        if value is not None and value not in choices:
            name, hint = ".".join(path), closest(str(value), choices) or f"write {' or '.join(choices)}"
            _refuse(context, path, f"{name} must be one of {', '.join(choices)}", hint)
    swap = value_at(config, ("memorySwap", "swapBehavior"))
    limited = ("NoSwap", "LimitedSwap")
    old = version(minor(context.profile.kubernetes.version)) < since("kubernetes", "no_swap")
    allowed = ("LimitedSwap", "UnlimitedSwap") if old else limited
    if swap and swap not in allowed:
        _refuse(context, ("memorySwap", "swapBehavior"), f"the kubelet accepts {' and '.join(allowed)}",
                closest(swap, allowed) or f"write {allowed[0]}")  # fmt: skip
    for name, (least, most) in _RANGES.items():
        value = config.get(name)
        if value is not None and (value < least or (most is not None and value > most)):
            limit = f"at least {least}" if most is None else f"{least} to {most}"
            _refuse(context, (name,), f"{name} must be {limit}", f"write {limit}")
    factor = config.get("memoryThrottlingFactor")
    if factor is not None and not 0 < factor <= 1:
        _refuse(
            context, ("memoryThrottlingFactor",), "memoryThrottlingFactor must be over 0 and at most 1", "write 0.9"
        )
    if "containerLogMaxSize" in config and not _threshold(config["containerLogMaxSize"]):
        _refuse(context, ("containerLogMaxSize",), "not a size", "write a number with a unit: 10Mi, 100Mi")
    if seconds(config.get("containerLogMonitorInterval"), 10) < 3:
        _refuse(context, ("containerLogMonitorInterval",), "the least is 3s", "write 3s or more")


def seconds(value: str | None, default: float) -> float:
    """A duration of Go in seconds."""
    if value is None:
        return default
    parts = re.findall(r"([0-9.]+)(ns|us|µs|ms|s|m|h)", value)
    return (-1 if value.startswith("-") else 1) * sum(float(number) * _UNITS[unit] for number, unit in parts)


def _pairs(context: Context, config: Mapping[str, Any]) -> None:
    low, high = config.get("imageGCLowThresholdPercent", 80), config.get("imageGCHighThresholdPercent", 85)
    if low >= high:
        name = "imageGCLowThresholdPercent" if "imageGCLowThresholdPercent" in config else "imageGCHighThresholdPercent"
        _refuse(
            context, (name,), f"images are removed from {high} % down to {low} %: the second must be less",
            "set imageGCLowThresholdPercent to less than imageGCHighThresholdPercent (by default 80 and 85)",
        )  # fmt: skip
    oldest, youngest = seconds(config.get("imageMaximumGCAge"), 0), seconds(config.get("imageMinimumGCAge"), 120)
    if 0 < oldest <= youngest:
        hint = "set imageMaximumGCAge to more than imageMinimumGCAge (by default 2m)"
        _refuse(context, ("imageMaximumGCAge",), "it must be more than imageMinimumGCAge", hint)
    all_of_it = seconds(config.get("shutdownGracePeriod"), 0)
    if seconds(config.get("shutdownGracePeriodCriticalPods"), 0) > all_of_it:
        hint = "set kubernetes.kubelet.shutdownGracePeriod to at least as much: it includes the critical pods' part"
        _refuse(context, ("shutdownGracePeriodCriticalPods",), "it is longer than shutdownGracePeriod", hint)
    if config.get("maxParallelImagePulls", 1) > 1 and config.get("serializeImagePulls", True):
        hint = "set kubernetes.kubelet.serializeImagePulls: false"
        _refuse(context, ("maxParallelImagePulls",), "images are pulled one at a time (serializeImagePulls)", hint)
    if config.get("systemCgroups") and not config.get("cgroupRoot"):
        _refuse(context, ("systemCgroups",), "cgroupRoot is not set", "set kubernetes.kubelet.cgroupRoot: /")
    if config.get("enableSystemLogQuery") and config.get("enableSystemLogHandler", True) is False:
        hint = "set kubernetes.kubelet.enableSystemLogHandler: true"
        _refuse(context, ("enableSystemLogQuery",), "it needs enableSystemLogHandler", hint)


def _managers(context: Context, config: Mapping[str, Any]) -> None:
    reserved = [config.get(section, {}).get("cpu") for section in ("kubeReserved", "systemReserved")]
    if (
        config.get("cpuManagerPolicy") == "static"
        and not config.get("reservedSystemCPUs")
        and not any(value and QUANTITY.fullmatch(value) and _size(value) > 0 for value in reserved)
    ):
        hint = "set kubernetes.kubelet.systemReserved: {cpu: 500m}, or reservedSystemCPUs"
        _refuse(context, ("cpuManagerPolicy",), "the policy static needs reserved CPUs", hint)
    if config.get("memoryManagerPolicy") == "Static" and not config.get("reservedMemory"):
        hint = "set kubernetes.kubelet.reservedMemory: [{numaNode: 0, limits: {memory: 1Gi}}], as much as is reserved"
        _refuse(context, ("memoryManagerPolicy",), "the policy Static needs reservedMemory", hint)


def _surroundings(context: Context, config: Mapping[str, Any]) -> None:
    """What the kubelet requires of the rest of the node, or promises to others."""
    profile = context.profile
    if config.get("protectKernelDefaults"):
        values = {sysctl_name(key): str(value).strip() for key, value in context.resolved.sysctls.items()}
        for name, (wanted, must) in _PROTECTED.items():
            if values.get(name, "" if must else wanted) != wanted:
                _refuse(
                    context, ("protectKernelDefaults",), f"the kubelet then requires {name} to be {wanted}",
                    f'set kernel.sysctl."{name}": {wanted}',
                )  # fmt: skip
    if config.get("serverTLSBootstrap"):
        context.report(
            "IB264", (*_KUBELET, "serverTLSBootstrap"),
            "nothing approves the kubelets' server certificates: kubectl logs and exec fail until you do",
            "add a controller that approves them, or remove it",
        )  # fmt: skip
    if config.get("memorySwap") and not profile.swap.enabled:
        context.report(
            "IB264", (*_KUBELET, "memorySwap"), "the node has no swap (swap.enabled)",
            "remove it: Kubernetes with swap is not supported by imgbuild",
        )  # fmt: skip
    _addresses(context, config)


def _addresses(context: Context, config: Mapping[str, Any]) -> None:
    """Cilium's operator gives each node a network of a fixed size (ipam.mode cluster-pool, the chart's default)."""
    profile = context.profile
    if "maxPods" not in config or not profile.cilium.enabled:
        return
    ipam = profile.cilium.values.get("ipam")
    ipam = ipam if isinstance(ipam, dict) else {}
    operator = ipam.get("operator")
    size = operator.get("clusterPoolIPv4MaskSize", 24) if isinstance(operator, dict) else 24
    if ipam.get("mode", "cluster-pool") != "cluster-pool" or 4 not in context.resolved.families:
        return
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= 32:
        return
    # The first and the last address, the router's and the health check's are not for pods.
    free = 2 ** (32 - size) - 4
    if config["maxPods"] > free:
        needed = 32 - (config["maxPods"] + 3).bit_length()
        context.report(
            "IB264", (*_KUBELET, "maxPods"),
            f"Cilium gives each node a /{size}, which has addresses for {max(free, 0)} pods",
            f"set cilium.values.ipam.operator.clusterPoolIPv4MaskSize: {needed}, or maxPods to {max(free, 0)} at most",
        )  # fmt: skip
