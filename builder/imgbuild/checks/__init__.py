"""Checks: what the types of a profile cannot express, all at once, before anything is written.

`check` reads nothing but its arguments, imgbuild's own tables and the names of time zones. build_host.py reads files
that the profile names and runs bash; the pipeline calls it separately. Each finding has a stable code
(docs/reference/findings.md), the key, its place and the fix.
"""

from __future__ import annotations

from collections.abc import Sequence

from imgbuild.checks import (
    absent,
    addons,
    addresses,
    cards,
    cause,
    cilium,
    clock,
    containerd,
    dates,
    disks,
    endpoint,
    groups,
    hosts,
    images,
    installing,
    kernel,
    kubeadm,
    kubelet,
    kubernetes,
    mirrors,
    network,
    preload,
    pxe,
    registries,
    report,
    repositories,
    repository_logins,
    roles,
    routes,
    runtimes,
    secrets,
    site,
    users_files,
)
from imgbuild.checks.context import Context
from imgbuild.config.cluster import Cluster
from imgbuild.config.kept_secrets import Kept
from imgbuild.config.layers import Layered
from imgbuild.config.moment import Moment
from imgbuild.diagnostics.findings import Findings, Path
from imgbuild.facts.node_settings import Own
from imgbuild.facts.resolved import Resolved

_PROFILE = (
    kubernetes, kernel, absent, containerd, registries, runtimes, cilium, images, preload, mirrors, network,
    users_files, disks, repositories, repository_logins, addresses, site, clock, kubelet, kubeadm, addons,
    installing, report,
)  # fmt: skip
"""What a profile decides; repeated for nodes with their own settings."""
_CLUSTER = (hosts, groups, cards, roles, endpoint)


def check(
    resolved: Resolved,
    cluster: Cluster,
    cluster_layered: Layered | None,
    findings: Findings,
    moment: Moment,
    kept: Kept | None = None,
    own: Sequence[Own] = (),
    recovered: frozenset[Path] = frozenset(),
) -> None:
    """Add to ``findings`` every error in this profile, for this target, these nodes and their secrets.

    ``moment`` is when the run happens: checks do not read the clock. ``own`` holds the profiles of the nodes that
    have their own settings; ``recovered`` holds the places in the cluster file where a default replaces an invalid
    value.
    """
    others = {number for each in own for number in each.numbers}
    numbers = [number for number in range(len(cluster.nodes)) if number not in others]
    context = Context(resolved, cluster, cluster_layered, findings, numbers, moment, recovered)

    def of_all(other: Resolved, said: Findings) -> Findings:
        context = Context(other, cluster, cluster_layered, said, numbers, moment, recovered)
        for topic in (*_PROFILE, *_CLUSTER):
            topic.check(context)
        routes.check(context, own)
        site.check_endpoint(context)
        return said

    start = len(findings.items)
    of_all(resolved, findings)
    cause.place(resolved, findings, start, lambda other: of_all(other, Findings()))
    kubelet.check_own(context, own)
    dates.check(context)  # end-of-life dates are the same for every node
    for each in own:

        def of_some(other: Resolved, numbers: Sequence[int] = each.numbers) -> Findings:
            said = Findings()
            for topic in _PROFILE:
                topic.check(Context(other, cluster, cluster_layered, said, numbers, moment, recovered))
            return said

        said = of_some(each.resolved)
        cause.place(each.resolved, said, 0, of_some)
        each.tell(said, findings)
        site.check_endpoint(Context(each.resolved, cluster, cluster_layered, findings, each.numbers, moment, recovered))
    dates.check_clock(context, makes_keys=kept is not None)
    if kept is not None:
        secrets.check(context, kept)
    pxe.check(context)
