"""The values of Cilium's chart: the profile's, under the names of the chart asked for, and what follows from it.

One place, so that what is checked is what is rendered. Which chart takes which key is data
(profiles/versions/cilium.yaml), measured by rendering real charts.
"""

from __future__ import annotations

import copy
import ipaddress
from functools import cache
from typing import Any

from packaging.version import Version

from imgbuild.config.cluster import Cluster
from imgbuild.config.profile import Profile
from imgbuild.facts import derive


def chart_release(profile: Profile) -> Version:
    """The chart's minor, or the nearest of those that the tables know."""
    charts = derive.versions("cilium")["charts"]
    release = Version(derive.minor(profile.cilium.version))
    return min(max(release, Version(charts["first"])), Version(charts["last"]))


def chart_values(profile: Profile, cluster: Cluster) -> dict[str, Any]:
    """The values for this cluster, but for the API server's address, which only the node that installs them knows.

    What the profile says wins over what is derived. A key that this chart knows under an older name is written
    under that name; one that it does not know at all is left as it is: `check` reports it.
    """
    values: dict[str, Any] = copy.deepcopy(dict(profile.cilium.values))
    for new, old in _older_names(derive.minor(profile.cilium.version)):
        _rename(values, new, old)
    for key, value in _derived(profile, cluster).items():
        set_default(values, key, value)
    return values


def replaces_kube_proxy(profile: Profile) -> bool:
    """Whether Cilium serves Services in kube-proxy's place. Charts up to 1.15 have a word for it, too."""
    said = profile.cilium.values.get("kubeProxyReplacement", not profile.kubernetes.kube_proxy)
    return said in (True, "true", "strict")


@cache
def _older_names(minor: str) -> list[tuple[str, str]]:
    """The keys that charts of this minor know under an older name: new and old."""
    keys: dict[str, dict[str, Any]] = derive.versions("cilium")["keys"]
    release = derive.version(minor)
    return [
        (new, row["before"])
        for new, row in keys.items()
        if "before" in row and release < derive.version(str(row["since"]))
    ]


def _derived(profile: Profile, cluster: Cluster) -> dict[str, Any]:
    kubernetes = profile.kubernetes
    family = ipaddress.ip_network(kubernetes.pod_cidr).version
    derived: dict[str, Any] = {
        # It must hold the pod network: what goes there is not masqueraded.
        f"ipv{family}NativeRoutingCIDR": kubernetes.pod_cidr,
        f"ipam.operator.clusterPoolIPv{family}PodCIDRList": [kubernetes.pod_cidr],
        "kubeProxyReplacement": not kubernetes.kube_proxy,
        "cluster.name": cluster.name,
    }
    if len(cluster.nodes) == 1:
        derived["operator.replicas"] = 1  # the chart's second one would stay Pending: not two on one node
    if family == 6:
        derived["ipv4.enabled"] = False  # else pods get IPv4 addresses that this cluster has no Service for
        # The chart's 120 is more than 16 bits below any pod network that kubeadm takes: the operator would end.
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
    """Set a dotted key unless it is there; a parent that is not a mapping is the user's business."""
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
