"""Cilium's chart values as a control plane installs them."""

from __future__ import annotations

from typing import Any

import yaml

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.profile import Profile
from imgbuild.facts.cilium_values import chart_values, set_default
from imgbuild.facts.endpoint import Reach, api_server, reach


def cilium_values(profile: Profile, cluster: Cluster, node: Node | None, where: Reach | None = None) -> dict[str, Any]:
    """The values for ``helm upgrade --install``. ``node`` is the control plane that installs Cilium.

    ``where``: by default as ``profile`` and the cluster file have it.
    """
    values = chart_values(profile, cluster)
    # The chart refuses k8sServiceHost beside k8sServiceHostRef.
    if not profile.cilium.values.get("k8sServiceHostRef"):
        host, port = api_server(profile, where or reach(profile, cluster), node)
        set_default(values, "k8sServiceHost", host)
        set_default(values, "k8sServicePort", port)
    return values


def values_yaml(profile: Profile, cluster: Cluster, node: Node | None, where: Reach) -> bytes:
    """/etc/imgbuild/cilium-values.yaml."""
    head = f"# imgbuild: values for the chart cilium {profile.cilium.version}\n"
    body = yaml.safe_dump(cilium_values(profile, cluster, node, where), sort_keys=True, allow_unicode=True)
    return (head + body).encode()
