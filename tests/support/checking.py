"""One request against the real profiles, and the findings it gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgbuild.checks import build_host, check
from imgbuild.config.cluster import DEFAULT
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.load import load
from imgbuild.config.moment import Moment, read_moment
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.findings import Path as KeyPath
from imgbuild.diagnostics.severity import Severity
from imgbuild.facts.node_settings import settle
from imgbuild.outputs.lint import pxe, users_files
from imgbuild.outputs.pxenet import boot_arguments
from imgbuild.pipeline import Request
from imgbuild.render.install import install_tree
from imgbuild.render.network import network_config
from imgbuild.render.node import node_tree

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1bnVzZWRrZXlvZnRoZXRlc3RzdW51c2Vka2V5 test"
ADMIN = f"users=[{{name: admin, sudo: true, ssh_keys: ['{KEY}']}}]"
"""A user who can log in, so that IB450 keeps quiet."""


def findings(
    profile: str,
    sets: Sequence[str] = (),
    layers: Sequence[str] = (),
    cluster: Path | None = None,
    mode: str | None = None,
    moment: Moment | None = None,
) -> list[Finding]:
    """All findings of one request, as `imgbuild check` collects them.

    Without a moment what only the day says is left out: tests/unit/checks/test_dates.py looks at that.
    """
    found = Findings()
    loaded = load(profile, layers, [ADMIN, *sets], mode, found)
    nodes, layered, recovered = DEFAULT, None, frozenset[KeyPath]()
    if cluster is not None:
        read = load_cluster(cluster, found)
        if read is not None:
            nodes, layered, recovered = read.cluster, read.layered, read.recovered
    if loaded is not None:
        settled = settle(loaded, nodes, layered, found)
        resolved, own = settled.resolved, settled.own
        check(resolved, nodes, layered, found, moment or read_moment(), own=own, recovered=recovered)
        if not found.errors:
            networks = {node.name: network_config(resolved, node) for node in nodes.nodes}
            pxe.lint(resolved, nodes, layered, found, boot_arguments(resolved.target, nodes, networks), keys=False)
            for given in (resolved, *(each.resolved for each in own)):
                if given.profile.files:  # rendering takes time
                    users_files.lint(given, install_tree(given), node_tree(given), found)
        settled.name_keys(found)
    return [f for f in found.items if moment is not None or not dated(f)]


def look(request: Request, findings: Findings) -> None:
    """All findings about a request's input but for those of rendered bytes: many times faster than `prepare`."""
    loaded = load(request.profile, request.layers, request.sets, request.mode, findings)
    nodes, layered, recovered = DEFAULT, None, frozenset[KeyPath]()
    if request.cluster is not None:
        read = load_cluster(request.cluster, findings)
        if read is not None:
            nodes, layered, recovered = read.cluster, read.layered, read.recovered
    if loaded is not None:
        settled = settle(loaded, nodes, layered, findings)
        check(settled.resolved, nodes, layered, findings, request.moment, own=settled.own, recovered=recovered)
        build_host.check(settled.resolved, findings, base=True)
        settled.name_keys(findings)


def dated(finding: Finding) -> bool:
    """Whether only the day makes it: an end of life, or a shipped key that expires."""
    return finding.code == "IB228" or (finding.code == "IB438" and finding.severity is Severity.WARNING)


def codes(found: Sequence[Finding]) -> set[str]:
    """The codes alone."""
    return {f.code for f in found}


def well_formed(found: Sequence[Finding]) -> None:
    """Each finding has a place, a key, a message without a line break, and a fix."""
    for finding in found:
        assert finding.mark is not None, finding
        assert finding.mark.line >= 1 and finding.mark.column >= 1
        assert finding.key and finding.message and finding.hint, finding
        assert "\n" not in finding.message
