"""The values of Cilium's chart: the profile's, under the names of the requested chart, and what follows from it.

One place, so that what is checked is what is rendered. Which chart reads which key is data
(profiles/versions/cilium.yaml), measured by rendering real charts.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from packaging.version import Version

from imgbuild.config.cluster import Cluster
from imgbuild.config.data import versions
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Path
from imgbuild.facts import derive

VALUES: Path = ("cilium", "values")
"""The key of the profile that has them."""


def chart_release(profile: Profile) -> Version:
    """The chart's minor, or the nearest of those that the tables know."""
    charts = versions("cilium")["charts"]
    release = derive.version(derive.minor(profile.cilium.version))
    return min(max(release, derive.version(charts["first"])), derive.version(charts["last"]))


def chart_values(profile: Profile, cluster: Cluster) -> dict[str, Any]:
    """The values for this cluster, without the API server's address, which only the node that installs them knows.

    The profile's values override derived ones. A key that this chart knows under an older name is written
    under that name; an unknown key is kept: `check` reports it.
    """
    values = profile_values(profile)
    set_default(values, "cluster.name", cluster.name)
    if cluster.machines == 1:
        set_default(values, "operator.replicas", 1)  # a second one would stay Pending: two cannot be on one node
    return values


def profile_values(profile: Profile) -> dict[str, Any]:
    """Those that follow from the profile, for any cluster."""
    values: dict[str, Any] = copy.deepcopy(dict(profile.cilium.values))
    for new, old in _older_names(derive.minor(profile.cilium.version)):
        _rename(values, new, old)
    for key, value in _derived(profile).items():
        set_default(values, key, value)
    return values


def replaces_kube_proxy(profile: Profile) -> bool:
    """Whether Cilium serves Services instead of kube-proxy. Charts up to 1.15 also accept a word for true."""
    said = profile.cilium.values.get("kubeProxyReplacement", not profile.kubernetes.kube_proxy)
    return said in (True, "true", "strict")


@cache
def _older_names(minor: str) -> list[tuple[str, str]]:
    """The keys that charts of this minor know under an older name: new and old."""
    keys: dict[str, dict[str, Any]] = versions("cilium")["keys"]
    release = derive.version(minor)
    return [
        (new, row["before"])
        for new, row in keys.items()
        if "before" in row and release < derive.version(str(row["since"]))
    ]


def _derived(profile: Profile) -> dict[str, Any]:
    kubernetes = profile.kubernetes
    pods = {network.version: str(network) for network in derive.networks(kubernetes.pod_cidr)}
    derived: dict[str, Any] = {
        # It must contain the pod network: traffic to it is not masqueraded.
        **{f"ipv{family}NativeRoutingCIDR": network for family, network in pods.items()},
        **{f"ipam.operator.clusterPoolIPv{family}PodCIDRList": [network] for family, network in pods.items()},
        "kubeProxyReplacement": not kubernetes.kube_proxy,
    }
    if 4 not in pods:
        derived["ipv4.enabled"] = False  # else pods get IPv4 addresses, but this cluster has no IPv4 Services
    if 6 in pods:
        # The chart's 120 is more than 16 bits below any pod network that kubeadm accepts: the operator would exit.
        derived["ipam.operator.clusterPoolIPv6MaskSize"] = 64
    return derived


def _find(values: dict[str, Any], key: str) -> tuple[dict[str, Any], str] | None:
    """The mapping that holds the last part of a dotted key, if it is there."""
    *parents, last = key.split(".")
    here: Any = values
    for part in parents:
        here = here.get(part) if isinstance(here, dict) else None
    return (here, last) if isinstance(here, dict) and last in here else None


def set_default(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key unless it is set; a parent that is not a mapping is left alone."""
    *parents, last = key.split(".")
    here = values
    for part in parents:
        below = here.setdefault(part, {})
        if not isinstance(below, dict):
            return
        here = below
    here.setdefault(last, value)


def _rename(values: dict[str, Any], new: str, old: str) -> None:
    """Move a value to its older name, unless the user wrote that one too; empty parents go."""
    found = _find(values, new)
    if found is None:
        return
    holder, last = found
    value = holder.pop(last)
    set_default(values, old, value)
    parts = new.split(".")[:-1]
    while parts:
        place = _find(values, ".".join(parts))
        if place is None or place[0][place[1]] != {}:
            break
        del place[0][place[1]]
        parts.pop()
