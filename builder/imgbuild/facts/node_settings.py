"""Settings of a single node: a part of a profile, applied on top of the profile for that node only.

They are part of the node's seed. A setting for the image or for the whole cluster is refused with its place: it would
be lost silently, or the nodes would not match. Each setting declares its scope.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imgbuild.config import renamed
from imgbuild.config.cluster import Cluster
from imgbuild.config.declared import nearest
from imgbuild.config.layers import Layered, report
from imgbuild.config.load import overlaid
from imgbuild.config.profile import Profile
from imgbuild.config.setting import ANOTHER_PROFILE
from imgbuild.config.source import Document
from imgbuild.diagnostics.findings import Findings, Path, format_path, nodes
from imgbuild.facts.resolved import Resolved, resolve


@dataclass(frozen=True)
class Own:
    """The profile of all nodes that have the same settings."""

    numbers: tuple[int, ...]
    """Their places in the cluster file."""
    names: tuple[str, ...]
    resolved: Resolved
    file: str
    """The cluster file's name."""

    def tell(self, said: Findings, findings: Findings) -> None:
        """Add the findings in ``said`` that are not about every node, with the nodes' names."""
        known = set(findings.items)
        for finding in said.items:
            if finding not in known:
                key = finding.key
                if finding.mark is not None and finding.mark.file == self.file and not key.startswith("nodes["):
                    key = f"nodes[{self.numbers[0]}].settings.{key}"
                about = finding.about or finding.message
                message = f"{nodes(self.names)}: {about}"
                findings.extend([replace(finding, key=key, message=message, who=self.names, about=about)])

    def add(self, findings: Findings, code: str, path: Path, message: str, hint: str) -> None:
        """An error about one of the settings."""
        said = Findings()
        report(said, self.resolved.layered, code, path, message, hint)
        self.tell(said, findings)


def own_profiles(everyone: Resolved, cluster: Cluster, layered: Layered | None, findings: Findings) -> list[Own]:
    """The profiles of the nodes that have settings, one for each distinct set of settings.

    Every problem goes to ``findings``: a key that a profile does not have, one that must be the same for the whole
    cluster or, in baked mode, one that is part of the image.
    """
    groups: dict[str, list[int]] = {}
    for number, node in enumerate(cluster.nodes):
        if node.settings:
            groups.setdefault(json.dumps(node.settings, sort_keys=True), []).append(number)
    if layered is None or not groups:
        return []
    out = []
    for numbers in groups.values():
        said = Findings()
        document = renamed.with_new_names(_document(layered, numbers[0]), renamed.PROFILE, said)
        mine = resolve(overlaid(everyone.loaded, document, said))
        each = Own(tuple(numbers), tuple(cluster.nodes[n].name for n in numbers), mine, document.name)
        each.tell(said, findings)
        changed = [path for path in _leaves(document.data) if _at(mine.profile, path) != _at(everyone.profile, path)]
        _refuse(each, changed, findings, baked=everyone.profile.mode == "baked")
        out.append(each)
    _cgroups(everyone, out, cluster, findings)
    return out


def _document(layered: Layered, number: int) -> Document:
    """The settings of one node as a document, each value with its place in the cluster file."""
    above: Path = ("nodes", number, "settings")
    data = layered.data["nodes"][number]["settings"]
    places = list(_every(data))
    marks = {path: mark for path in places if (mark := layered.mark((*above, *path))) is not None}
    keys = {path: mark for path in places if (mark := layered.key_marks.get((*above, *path))) is not None}
    return Document(data, marks, keys, marks[()].file)


def _every(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _every(child, (*path, key))


def _leaves(value: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """Every setting: a mapping counts as several, a list as one."""
    for key, child in value.items():
        if isinstance(child, dict) and child:
            yield from _leaves(child, (*path, key))
        else:
            yield (*path, key)


def _at(here: Any, path: Path) -> Any:
    """What a profile has at ``path``; None if nothing."""
    for part in path:
        here = here.get(part) if isinstance(here, dict) else getattr(here, str(part), None)
    return here


def _refuse(own: Own, changed: Sequence[Path], findings: Findings, *, baked: bool) -> None:
    """Settings that must be the same for all nodes, in file order; then, with an image, those that are part of it."""
    places = {path: nearest(Profile, path) for path in changed}
    for path, place in places.items():
        if place.scope == "cluster":
            message = f"{format_path(path)} cannot be set for a single node"
            own.add(findings, "IB440", path, message, place.instead)
    for path, place in places.items():
        if place.scope == "image" and baked:
            own.add(
                findings, "IB441", path,
                f"{format_path(path)} is part of the image, which all nodes share: a node's own value would be lost",
                f"set it in the profile, use --mode stock, or {ANOTHER_PROFILE}",
            )  # fmt: skip


def _cgroups(everyone: Resolved, own: Sequence[Own], cluster: Cluster, findings: Findings) -> None:
    """failCgroupV1 is in the configuration of all kubelets, made by the first control plane from its profile."""
    first = cluster.nodes.index(cluster.first) if cluster.first is not None else -1
    makes = next((each.resolved for each in own if first in each.numbers), everyone)
    for each in own:
        if each.resolved.cgroup_v1_override and not makes.cgroup_v1_override:
            each.add(
                findings, "IB443", ("kernel", "cgroup"),
                "runs on cgroup v1, and the kubelets' configuration, made on a node with v2, does not allow it",
                "use cgroup v2 for this node too, or Kubernetes 1.34 or older",
            )  # fmt: skip
