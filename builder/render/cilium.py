"""Cilium's chart values for one cluster: those of the profile, and what only the cluster file knows."""

from __future__ import annotations

from typing import Any

import yaml

from builder.cilium_values import chart_values, set_default
from builder.cluster import Cluster, Node
from builder.endpoint import Reach, api_server, reach
from builder.profile import Profile


def cilium_values(profile: Profile, cluster: Cluster, node: Node | None, where: Reach | None = None) -> dict[str, Any]:
    """The values for ``helm upgrade --install``. ``node`` is the control plane that installs Cilium.

    ``where``: by default as ``profile`` and the cluster file have it.
    """
    values = chart_values(profile)
    for key, value in _derived(profile, cluster, node, where or reach(profile, cluster)).items():
        set_default(values, key, value)
    return values


def values_yaml(profile: Profile, cluster: Cluster, node: Node | None, where: Reach) -> bytes:
    """/etc/imgbuild/cilium-values.yaml."""
    head = f"# imgbuild: values for the chart cilium {profile.cilium.version}\n"
    body = yaml.safe_dump(cilium_values(profile, cluster, node, where), sort_keys=True, allow_unicode=True)
    return (head + body).encode()


def _derived(profile: Profile, cluster: Cluster, node: Node | None, where: Reach) -> dict[str, Any]:
    derived: dict[str, Any] = {}
    if len(cluster.nodes) == 1:
        derived["operator.replicas"] = 1  # the chart's second one would stay Pending: not two on one node
    # The chart refuses k8sServiceHost beside k8sServiceHostRef.
    if not profile.cilium.values.get("k8sServiceHostRef"):
        derived["k8sServiceHost"], derived["k8sServicePort"] = api_server(profile, where, node)
    return derived
