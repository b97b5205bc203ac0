"""Read a cluster file: an error in one node does not prevent the others from being checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TypeVar

from imgbuild.config import misplaced, renamed
from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.fields import Model
from imgbuild.config.layers import Layered
from imgbuild.config.recover import recover
from imgbuild.config.source import read
from imgbuild.config.validate import validate
from imgbuild.diagnostics.findings import Findings, Path

_START = "start it with name: lab, and below it nodes: [{name: cp1, role: control-plane}]"
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class ClusterFile:
    """A cluster file as read. ``recovered``: where a default replaces an invalid value, which is already reported."""

    cluster: Cluster
    layered: Layered
    recovered: frozenset[Path] = frozenset()


def load_cluster(path: FilePath, findings: Findings) -> ClusterFile | None:
    """Read a cluster file; every problem goes to ``findings``: errors there mean that nothing may be built.

    An error in one node does not prevent the others from being checked. None if no nodes could be read.
    """
    before = len(findings.errors)
    document = read(path, findings, start=_START)
    if document is None or misplaced.report(document, "cluster", findings):
        return None
    layered = Layered()
    layered.lay(renamed.with_new_names(document, renamed.CLUSTER, findings))
    cluster = validate(Cluster, layered.data, layered, findings)
    if cluster is not None and len(findings.errors) == before:
        return ClusterFile(cluster, layered)
    return _recovered(layered)


def _recovered(layered: Layered) -> ClusterFile | None:
    """The cluster without invalid values; a node keeps its name, even an invalid one, and its place in the file."""
    raw = layered.data.get("nodes")
    if not isinstance(raw, list) or not raw:
        return None
    recovered: set[Path] = set()
    nodes = []
    for number, item in enumerate(raw):
        said = item.get("name") if isinstance(item, dict) else None
        spare = {"name": "x", "role": "worker"}
        node = _fitting(Node, item, spare, ("nodes", number), recovered)
        nodes.append(node.model_copy(update={"name": said if isinstance(said, str) else f"nodes[{number}]"}))
    whole: dict[str, object] = {"name": "x", "nodes": [Node(name="x", role="worker")]}
    cluster = _fitting(Cluster, {**layered.data, "nodes": whole["nodes"]}, whole, (), recovered)
    return ClusterFile(cluster.model_copy(update={"nodes": nodes}), layered, frozenset(recovered))


def _fitting(model: type[M], raw: object, spare: Mapping[str, object], above: Path, recovered: set[Path]) -> M:
    """``raw`` as a model, without invalid keys; ``spare`` has the required ones."""
    found, places = recover(model, raw, spare)
    recovered |= {(*above, *place) for place in places}
    return found if found is not None else model.model_validate(spare)
