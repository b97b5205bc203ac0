"""Checks: everything about the input that a typed profile cannot say, all at once, before anything is written.

Pure. Each finding has a stable code (docs/reference/findings.md), the key, its place and the fix.
"""

from __future__ import annotations

from builder.checks import (
    cilium,
    containerd,
    hosts,
    kernel,
    kubernetes,
    network,
    pxe,
    repositories,
    roles,
    secrets,
    users_files,
)
from builder.checks.context import Context
from builder.cluster import Cluster
from builder.cluster_secrets import Kept
from builder.findings import Findings
from builder.layers import Layered
from builder.load import Loaded

_TOPICS = (kubernetes, kernel, containerd, cilium, network, hosts, roles, users_files, repositories)


def check(
    loaded: Loaded, cluster: Cluster, cluster_layered: Layered | None, findings: Findings, kept: Kept | None = None
) -> None:
    """Add to ``findings`` all that is wrong with this profile on this target with these nodes and their secrets."""
    context = Context(loaded, cluster, cluster_layered, findings)
    for topic in _TOPICS:
        topic.check(context)
    if kept is not None:
        secrets.check(context, kept)
    pxe.check_url(context)
    if not findings.errors:  # what does not hold together has no command line
        pxe.check(context)
