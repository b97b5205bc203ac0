"""A balancer on each node: what it needs to know, and what it does not go with."""

from __future__ import annotations

from imgbuild.checks.context import Context
from imgbuild.facts.endpoint import reach

WAYS = "vip:, balancer: local, or endpoint: to a load balancer"
"""The three ways to several control planes."""

_TAKEN = {
    2379: "etcd", 2380: "etcd", 2381: "etcd", 10250: "the kubelet", 10255: "the kubelet", 10256: "kube-proxy",
    10257: "kube-controller-manager", 10259: "kube-scheduler", 4240: "Cilium", 4244: "Cilium", 4245: "Cilium",
    9878: "Cilium", 9879: "Cilium", 9890: "Cilium", 9891: "Cilium", 9893: "Cilium", 9901: "Cilium", 9962: "Cilium",
    9963: "Cilium", 9964: "Cilium",
}  # fmt: skip
"""Ports of what runs in the host's network: kubernetes.io, "Ports and Protocols"; Cilium's "System Requirements"."""
_NODE_PORTS = range(30000, 32768)


def check(context: Context) -> None:
    """All findings about ``balancer``."""
    cluster, say = context.cluster, context.cluster_finding
    if cluster.balancer is None:
        given = context.cluster_layered.data if context.cluster_layered is not None else {}
        for key in ("balancer_port", "balancer_image"):
            if key in given:
                say("IB469", (key,), f"{key} has no effect without a balancer", f"set balancer: local, or remove {key}")
        return
    for key in ("endpoint", "vip"):
        if getattr(cluster, key) is not None:
            say(
                "IB464", ("balancer",),
                f"each node has a balancer of its own, and {key} is another way to the same control planes",
                f"remove {key}:, or balancer:",
            )  # fmt: skip
    port, api = cluster.balancer_port, context.profile.kubernetes.api_port
    owner = "the API server" if port == api else "a NodePort" if port in _NODE_PORTS else _TAKEN.get(port)
    if owner is not None:
        free = next(p for p in (7443, 7444) if p != api)
        say(
            "IB429", ("balancer_port",), f"{port} is a port of {owner}, on the same node",
            f"set balancer_port to a free port, such as {free}",
        )  # fmt: skip
    if any("network" in path for path in context.cluster_recovered):
        return
    planes = reach(context.profile, cluster).control_planes
    for number, node in enumerate(cluster.nodes):
        if node.role == "control-plane" and planes[node.name] is None:
            say(
                "IB465", ("nodes", number),
                "its address is not known, so no node's balancer could forward to it",
                "give it a static address, or settings: {kubernetes: {advertise_address: ADDRESS}} with the one that "
                "DHCP always gives it",
            )  # fmt: skip
