"""Cilium's chart values for one cluster: the profile's, under the names of the chart asked for, and what follows.

Which chart takes which key is data (profiles/versions/cilium.yaml), measured by rendering real charts.
"""

from __future__ import annotations

import copy
import ipaddress
from functools import cache
from typing import Any

import yaml

from builder import derive
from builder.cluster import Cluster, Node
from builder.endpoint import api_server
from builder.profile import Profile


def cilium_values(profile: Profile, cluster: Cluster, node: Node | None) -> dict[str, Any]:
    """The values for ``helm upgrade --install``. ``node`` is the control plane that installs Cilium.

    What the profile says wins over what is derived. A key that this chart knows under an older name is written
    under that name; one that it does not know at all is left as it is: `check` speaks about it.
    """
    values: dict[str, Any] = copy.deepcopy(dict(profile.cilium.values))
    for new, old in _older_names(derive.minor(profile.cilium.version)):
        _rename(values, new, old)
    for key, value in _derived(profile, cluster, node).items():
        _default(values, key, value)
    return values


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


def values_yaml(profile: Profile, cluster: Cluster, node: Node | None) -> bytes:
    """/etc/imgbuild/cilium-values.yaml."""
    head = f"# imgbuild: values for the chart cilium {profile.cilium.version}\n"
    body = yaml.safe_dump(cilium_values(profile, cluster, node), sort_keys=True, allow_unicode=True)
    return (head + body).encode()


def _derived(profile: Profile, cluster: Cluster, node: Node | None) -> dict[str, Any]:
    kubernetes = profile.kubernetes
    family = ipaddress.ip_network(kubernetes.pod_cidr).version
    derived: dict[str, Any] = {
        # It must hold the pod network: what goes there is not masqueraded.
        f"ipv{family}NativeRoutingCIDR": kubernetes.pod_cidr,
        f"ipam.operator.clusterPoolIPv{family}PodCIDRList": [kubernetes.pod_cidr],
        "kubeProxyReplacement": not kubernetes.kube_proxy,
    }
    if len(cluster.nodes) == 1:
        derived["operator.replicas"] = 1  # the chart's second one would be Pending for ever: not two on one node
    if family == 6:
        derived["ipv4.enabled"] = False  # else pods get IPv4 addresses that this cluster has no Service for
        # The chart's 120 is more than 16 bits below any pod network that kubeadm takes: the operator would end.
        derived["ipam.operator.clusterPoolIPv6MaskSize"] = 64
    # The chart refuses k8sServiceHost beside k8sServiceHostRef.
    if not profile.cilium.values.get("k8sServiceHostRef"):
        derived["k8sServiceHost"], derived["k8sServicePort"] = api_server(profile, cluster, node)
    return derived


def _find(values: dict[str, Any], key: str) -> tuple[dict[str, Any], str] | None:
    """The mapping that holds the last part of a dotted key, if it is there."""
    *parents, last = key.split(".")
    here: Any = values
    for part in parents:
        here = here.get(part) if isinstance(here, dict) else None
    return (here, last) if isinstance(here, dict) and last in here else None


def _default(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key unless it is there; a parent that is no mapping is the user's business."""
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
    _default(values, old, value)
    parts = new.split(".")[:-1]
    while parts:
        place = _find(values, ".".join(parts))
        if place is None or place[0][place[1]] != {}:
            break
        del place[0][place[1]]
        parts.pop()
