"""Cilium: the chart against kernel and Helm, its keys and values, and their combinations.

Charts refuse almost nothing: an unknown key, a wrong value and a combination on which the agent exits
all render. The tables are in profiles/versions/cilium.yaml.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.version import Version

from imgbuild.checks import agent, devices, dsr
from imgbuild.checks.cilium_keys import as_written, keys
from imgbuild.checks.combinations import combinations
from imgbuild.checks.context import Context
from imgbuild.checks.pins import pinned
from imgbuild.config.data import versions
from imgbuild.config.layers import closest, value_at
from imgbuild.config.target import KernelFacts
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.cilium_values import VALUES, chart_release
from imgbuild.facts.derive import minor, networks, since, version


def check(context: Context) -> None:
    """All findings about ``cilium`` and ``helm``."""
    profile = context.profile
    if profile.helm.enabled:
        pinned(context, "IB603", ("helm",), profile.helm.version, profile.helm.urls, "helm")
    chart = profile.cilium.chart
    if chart is not None:
        version_at = ("cilium", "version")
        pinned(context, "IB621", ("cilium", "chart"), profile.cilium.version, chart.urls, "Cilium's chart", version_at)
    if not profile.cilium.enabled:
        if chart is not None and not context.shipped("cilium", "chart", "sha256"):
            context.report(
                "IB622", ("cilium", "chart"), "this chart is not used: cilium.enabled is false",
                "set cilium.enabled: true, or remove the chart",
            )  # fmt: skip
        return
    if not profile.kubernetes.enabled:
        context.report(
            "IB601", ("cilium", "enabled"), "Cilium without Kubernetes: nothing would install it",
            "set cilium.enabled: false, as the layer container-host does",
        )  # fmt: skip
    # Workers need no helm: the first control plane installs the chart.
    if not profile.helm.enabled and context.cluster.first in [node for _, node in context.nodes]:
        context.report("IB602", ("helm", "enabled"), "Cilium's chart is installed by helm", "set helm.enabled: true")
    release = chart_release(profile)
    if release != version(minor(profile.cilium.version)):
        charts = versions("cilium")["charts"]
        context.report(
            "IB604", ("cilium", "version"),
            f"the charts {charts['first']} to {charts['last']} were tried, not {profile.cilium.version}",
            f"use one of those; the keys below are checked as if it were {release}",
        )  # fmt: skip
    _helm(context, str(release))
    _kernel(context, str(release))
    leaves = dict(flat(profile.cilium.values))
    wrong = {*keys(context, release, leaves), *_words(context, release, leaves)}
    _ranges(context, leaves)
    _native_cidr(context, leaves)
    _images(context, leaves)
    combinations(context, release, leaves)
    agent.rules(context, release, leaves, wrong)
    devices.check(context, leaves)
    dsr.check(context, leaves)


def flat(values: Mapping[str, object], above: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every mapping, list and plain value with its path; null removes a key, as in Helm."""
    for key, value in values.items():
        path = (*above, key)
        if value is None:
            continue
        yield path, value
        if isinstance(value, dict):
            yield from flat(value, path)


def _helm(context: Context, chart: str) -> None:
    oldest = versions("cilium")["helm"].get(chart)
    helm = context.profile.helm
    if oldest is not None and helm.enabled and version(helm.version) < version(oldest):
        context.report(
            "IB605", ("helm", "version"), f"helm {helm.version} cannot render the chart of Cilium {chart}",
            f"use helm {oldest} or later, with its URL and sha256 (3.16.4 and later were tried)",
        )  # fmt: skip


def _kernel(context: Context, chart: str) -> None:
    profile, target = context.profile, context.target
    facts = context.resolved.kernel
    if facts is None:
        return
    release = version(profile.kernel.version or facts.version)
    wanted = versions("cilium")["kernel"][chart]
    patched = target.family == "el" and profile.kernel.flavour == "distribution" and "enterprise" in wanted
    oldest = version(wanted["enterprise"] if patched else wanted["upstream"])
    if release < oldest:
        context.report(
            "IB606", ("cilium", "version"),
            f"Cilium {chart} requires kernel {oldest} or later, this node has {release}",
            "use a newer kernel.flavour, or an older cilium.version",
        )  # fmt: skip
    _ip6tables(context, facts, release)
    for key, feature in versions("cilium")["features"].items():
        if value_at(profile.cilium.values, tuple(key.split("."))) is True:
            _feature(context, key, feature, release)


def _ip6tables(context: Context, facts: KernelFacts, release: Version) -> None:
    """What the agent loads at its start (pkg/datapath/iptables/iptables.go, Start)."""
    profile, gone = context.profile, since("kernel", "no_ip6table_raw")
    if facts.ip6table_raw or release < gone or value_at(profile.cilium.values, ("ipv6", "enabled")) is not True:
        return
    fix = f"set kernel.version to one before {gone} that your mirror has"
    for name, other in context.target.kernels.items():
        if other.ip6table_raw and other.signed == facts.signed:
            settings = [f"kernel.flavour: {name}", *(
                f"cilium.values.{key}: false"
                for key, feature in versions("cilium")["features"].items()
                if value_at(profile.cilium.values, tuple(key.split("."))) is True
                and version(other.version) < version(feature["kernel"])
            )]  # fmt: skip
            fix += f"; or set {', '.join(settings)}"
    context.report(
        "IB626", (*VALUES, "ipv6", "enabled"),
        f"{profile.kernel.flavour} {release} has no module ip6table_raw: with IPv6 the agent does not start", fix,
    )  # fmt: skip


def _feature(context: Context, key: str, feature: Mapping[str, Any], release: Version) -> None:
    path = (*VALUES, *key.split("."))
    if release < version(feature["kernel"]):
        context.report(
            "IB607", path, f"{key} requires kernel {feature['kernel']}, this node has {release}: "
            f"the agent {feature['without']}", f"set cilium.values.{key}: false, or use a newer kernel",
        )  # fmt: skip
    unless = feature.get("unless")
    if unless is None or value_at(context.profile.cilium.values, tuple(unless.split("."))) is True:
        return
    for first, cured in feature["broken"]:
        if version(first) <= release < version(cured):
            context.report(
                "IB607", path, f"{key} has no effect on kernel {release}, nor on any from {first} to before {cured} "
                "(cilium#32942)",
                f"set cilium.values.{key}: false, or cilium.values.{unless}: true too, or use another kernel",
            )  # fmt: skip


def _words(context: Context, release: Version, leaves: Mapping[Path, object]) -> set[Path]:
    """Returns the paths of the values that have a finding."""
    table, wrong = versions("cilium"), set()
    for path, value in leaves.items():
        name, where = ".".join(map(str, path)), (*VALUES, *path)
        allowed = table["enums"].get(name)
        if isinstance(allowed, dict):  # by the first minor that has these values
            allowed = allowed[max((m for m in allowed if version(m) <= release), key=version, default=min(allowed))]
        if allowed is not None and value not in allowed:
            words = ", ".join(a for a in allowed if a)
            wrong.add(path)
            context.report(
                "IB615", where,
                f"{as_written(value)} is not a valid {name}: the chart accepts any value, the agent does not",
                closest(str(value), allowed) or f"write one of {words}",
            )  # fmt: skip
        for kind, fits in (
            ("boolean", isinstance(value, bool)),
            ("integer", isinstance(value, int) and not isinstance(value, bool)),
        ):
            if name in table["kinds"][kind] and not fits:
                said = "true or false" if kind == "boolean" else "an integer"
                wrong.add(path)
                context.report(
                    "IB616", where, f"{name} is {said} in the chart, not {as_written(value)}", f"write {said}"
                )
    return wrong


def _ranges(context: Context, leaves: Mapping[Path, object]) -> None:
    for key, (least, most) in versions("cilium")["ranges"].items():
        value = leaves.get(tuple(key.split(".")))
        if isinstance(value, int | float) and value and not (least <= value <= (most or value)):
            fits = f"from {least} to {most}" if most else f"{least} or more"
            context.report(
                "IB625", (*VALUES, *key.split(".")), f"{key} is {value}, and the agent refuses to start",
                f"write {fits}, or remove it",
            )  # fmt: skip


def _native_cidr(context: Context, leaves: Mapping[Path, object]) -> None:
    pods = {network.version: network for network in networks(context.profile.kubernetes.pod_cidr)}
    for family in (4, 6):
        key = f"ipv{family}NativeRoutingCIDR"
        value = leaves.get((key,))
        if value is None:
            continue
        fix = "remove it: imgbuild sets it to kubernetes.pod_cidr"
        try:
            native = ipaddress.ip_network(str(value), strict=False)
        except ValueError:
            context.report("IB617", (*VALUES, key), f"{value!r:.60} is not a network", fix)
            continue
        if native.version in pods and not pods[native.version].subnet_of(native):  # type: ignore[arg-type]
            context.report(
                "IB617", (*VALUES, key),
                f"{native} does not contain the pods' {pods[native.version]}: traffic between pods would be "
                "masqueraded", fix,
            )  # fmt: skip
    for family, network in pods.items():
        path = ("ipam", "operator", f"clusterPoolIPv{family}PodCIDRList")
        pool = leaves.get(path)
        listed = pool if isinstance(pool, list) else str(pool).split()
        if pool is not None and str(network) not in listed:
            written = ", ".join(map(str, listed))
            context.report(
                "IB618", (*VALUES, *path), f"the pool {written} is not kubernetes.pod_cidr {network}",
                "remove it: imgbuild sets it to kubernetes.pod_cidr",
            )  # fmt: skip


def _images(context: Context, leaves: Mapping[Path, object]) -> None:
    path = ("operator", "image", "repository")
    name = leaves.get(path)
    if isinstance(name, str) and name.endswith("-generic"):
        context.report(
            "IB619", (*VALUES, *path), f"the chart appends -generic itself: it would pull {name}-generic",
            f"write {name.removesuffix('-generic')}",
        )  # fmt: skip
    # The digests in a chart are those of quay.io's images; a mirror that repacks them has different ones.
    for above in ((), ("operator",)):
        repository, digest = leaves.get((*above, "image", "repository")), leaves.get((*above, "image", "useDigest"))
        if isinstance(repository, str) and not repository.startswith("quay.io/cilium/") and digest is not False:
            context.report(
                "IB620", (*VALUES, *above, "image", "repository"),
                f"{repository} is a mirror, but the chart requests quay.io's digest",
                f"set cilium.values.{'.'.join((*above, 'image', 'useDigest'))}: false unless the mirror keeps digests",
            )  # fmt: skip
