"""Workers that share a seed (``count``): what several machines cannot have in common, and how long they can join."""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgbuild.checks.context import Context
from imgbuild.config.cluster import Node
from imgbuild.diagnostics.findings import Path


def check(context: Context) -> None:
    """All findings about ``count`` and ``unknown_machines``."""
    _unknown_machines(context)
    cluster, say = context.cluster, context.cluster_finding
    groups = [(number, node) for number, node in enumerate(cluster.nodes) if node.shared]
    for number, node in groups:
        if node.role != "worker":
            say(
                "IB231", ("nodes", number, "count"),
                "control planes cannot share a seed: each is a member of etcd with its own name and address",
                "write each control plane as a node, or role: worker",
            )  # fmt: skip
        for path, what in _of_one(node):
            say(
                "IB232", ("nodes", number, *path),
                f"up to {node.count} machines share this seed, and only one can have {what}",
                "remove it: the machines use DHCP; or remove count: and write each machine as a node",
            )  # fmt: skip
    if not groups:
        return
    first: Path = ("nodes", groups[0][0], "count")
    if not context.profile.kubernetes.enabled:
        say(
            "IB235", first, "without Kubernetes there is no first boot, which gives each machine its name",
            "set kubernetes.enabled: true, or remove count: and write each machine as a node",
        )  # fmt: skip
    given = context.cluster_layered.data if context.cluster_layered is not None else {}
    if "token_ttl" not in given:
        say(
            "IB233", first,
            f"machines that start more than {cluster.token_ttl} after the token was made cannot join with this seed",
            "set token_ttl (at most 90d), and renew the seed before it ends: imgbuild token --render",
        )  # fmt: skip


def _unknown_machines(context: Context) -> None:
    nodes, say = context.cluster.nodes, context.cluster_finding
    takers = [number for number, node in enumerate(nodes) if node.unknown_machines]
    for number in takers:
        path: Path = ("nodes", number, "unknown_machines")
        if not nodes[number].shared or nodes[number].role != "worker":
            say(
                "IB234", path, "unknown machines can only become one of several workers",
                "set role: worker and count:, or remove unknown_machines",
            )  # fmt: skip
        elif number != takers[0]:
            say("IB234", path, f"{nodes[takers[0]].name} takes unknown machines already", "keep one of them")


def _of_one(node: Node) -> Iterator[tuple[Path, str]]:
    """What only one machine can have."""
    if node.mac is not None:
        yield ("mac",), "its MAC"
    if node.network is not None:
        yield ("network",), "its cards and addresses"
    kubernetes = node.settings.get("kubernetes")
    for key in ("advertise_address", "node_ip"):
        value = kubernetes.get(key) if isinstance(kubernetes, dict) else None
        if isinstance(value, str) and re.fullmatch(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", value):
            yield ("settings", "kubernetes", key), "its address"
