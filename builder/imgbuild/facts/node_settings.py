"""Settings in a cluster file: parts of a profile, applied on top of it for all nodes or for one of them.

They are part of the seeds. A setting for the image, or of one node for the whole cluster, is refused with its place: it
would be lost silently, or the nodes would not match. Each setting declares its scope.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from imgbuild.config import dereference, renamed
from imgbuild.config.cluster import Cluster
from imgbuild.config.declared import nearest
from imgbuild.config.layers import Layered, report
from imgbuild.config.load import Loaded, overlaid
from imgbuild.config.profile import Profile
from imgbuild.config.setting import ANOTHER_PROFILE
from imgbuild.config.source import Document
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path, nodes
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
    common: frozenset[Mark]
    """The places of the settings of all nodes in that file."""

    def tell(self, said: Findings, findings: Findings) -> None:
        """Add the findings in ``said`` that are not about every node, with the nodes' names."""
        known = set(findings.items)
        for finding in said.items:
            if finding not in known:
                key = finding.key
                if finding.mark in self.common:
                    key = _of_all(key)
                elif finding.mark is not None and finding.mark.file == self.file and not key.startswith("nodes["):
                    key = f"nodes[{self.numbers[0]}].settings.{key}"
                about = finding.about or finding.message
                message = f"{nodes(self.names)}: {about}"
                findings.extend([replace(finding, key=key, message=message, who=self.names, about=about)])

    def add(self, findings: Findings, code: str, path: Path, message: str, hint: str) -> None:
        """An error about one of the settings."""
        said = Findings()
        report(said, self.resolved.layered, code, path, message, hint)
        self.tell(said, findings)


@dataclass(frozen=True)
class Settled:
    """A profile with the settings of a cluster file."""

    profile: Resolved
    """Without them: what the image is made from."""
    resolved: Resolved
    """With those of all nodes."""
    own: Sequence[Own]
    common: Document | None
    """The settings of all nodes; None if there are none."""

    def name_keys(self, findings: Findings) -> None:
        """Name the keys of findings about settings of all nodes as they are written: ``settings.time.zone``."""
        marks = _marks(self.common)
        for number, finding in enumerate(findings.items):
            if finding.mark in marks:
                findings.items[number] = replace(finding, key=_of_all(finding.key))

    def changed(self) -> Sequence[Path]:
        """The settings of all nodes that differ from the profile, in file order."""
        if self.common is None:
            return []
        return _changed(self.common, self.profile.profile, self.resolved.profile)


def settle(
    loaded: Loaded, cluster: Cluster, layered: Layered | None, findings: Findings,
    fill: Callable[[Loaded], Loaded] | None = None,
) -> Settled:  # fmt: skip
    """The profile with the settings of all nodes, and the profiles of nodes that have settings of their own.

    ``layered`` is the cluster file's; ``fill`` adds what the lock has for a profile with settings. Every problem goes
    to ``findings``: a key that a profile does not have, a node's that must be the same for the whole cluster or, in
    baked mode, one that is part of the image.
    """
    profile = resolve(loaded)
    if layered is None or not cluster.settings:
        return Settled(profile, profile, own_profiles(profile, cluster, layered, frozenset(), findings, fill), None)
    said = Findings()
    document = _document(layered, ("settings",), said)
    settled = Settled(profile, resolve(_overlaid(loaded, document, said, fill)), (), document)
    findings.extend(said.items)
    for path in settled.changed():
        place = nearest(Profile, path)
        if not place.cluster_wide or (place.scope == "image" and profile.profile.mode == "baked"):
            refuse_for_all(settled, path, findings)
    own = own_profiles(settled.resolved, cluster, layered, _marks(document), findings, fill)
    return replace(settled, own=own)


def refuse_for_all(settled: Settled, path: Path, findings: Findings) -> None:
    """An error about a setting of all nodes that changes the image."""
    what = "is part of the image" if nearest(Profile, path).cluster_wide else "decides which image the nodes boot from"
    stock = ", or use --mode stock" if nearest(Profile, path).cluster_wide else ""
    report(
        findings, settled.resolved.layered, "IB428", path,
        f"{format_path(path)} {what}, which does not depend on the cluster file: this value would be lost",
        f"set it in the profile{stock}",
    )  # fmt: skip


def _of_all(key: str) -> str:
    return key if key.startswith(("nodes[", "settings")) else f"settings.{key}"


def _marks(document: Document | None) -> frozenset[Mark]:
    return frozenset() if document is None else frozenset({*document.marks.values(), *document.key_marks.values()})


def own_profiles(
    everyone: Resolved, cluster: Cluster, layered: Layered | None, common: frozenset[Mark], findings: Findings,
    fill: Callable[[Loaded], Loaded] | None = None,
) -> list[Own]:  # fmt: skip
    """The profiles of the nodes that have settings, one for each distinct set of settings."""
    groups: dict[str, list[int]] = {}
    for number, node in enumerate(cluster.nodes):
        if node.settings:
            groups.setdefault(json.dumps(node.settings, sort_keys=True), []).append(number)
    if layered is None or not groups:
        return []
    out = []
    for numbers in groups.values():
        said = Findings()
        document = _document(layered, ("nodes", numbers[0], "settings"), said)
        mine = resolve(_overlaid(everyone.loaded, document, said, fill))
        each = Own(tuple(numbers), tuple(cluster.nodes[n].name for n in numbers), mine, document.name, common)
        each.tell(said, findings)
        changed = _changed(document, everyone.profile, mine.profile)
        _refuse(each, changed, findings, baked=everyone.profile.mode == "baked")
        out.append(each)
    if everyone.profile.mode == "baked":
        _file_systems(everyone, out, findings)
    return out


def _overlaid(
    loaded: Loaded, document: Document, findings: Findings, fill: Callable[[Loaded], Loaded] | None
) -> Loaded:
    """The profile with these settings, and then with what the lock has for it."""
    found = overlaid(loaded, document, findings)
    return found if fill is None else fill(found)


def _changed(document: Document, before: Profile, after: Profile) -> list[Path]:
    return [path for path in _leaves(document.data) if _at(after, path) != _at(before, path)]


def _document(layered: Layered, above: Path, findings: Findings) -> Document:
    """Settings as a document, each value with its place in the cluster file, under the keys' current names."""
    data: Any = layered.data
    for part in above:
        data = data[part]
    places = list(_every(data))
    marks = {path: mark for path in places if (mark := layered.mark((*above, *path))) is not None}
    keys = {path: mark for path in places if (mark := layered.key_marks.get((*above, *path))) is not None}
    document = renamed.with_new_names(
        Document(data, marks, keys, marks[()].file, above=above), renamed.PROFILE, findings
    )
    return dereference.in_document(document, Profile, FilePath(document.name).parent, findings)


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


def _file_systems(everyone: Resolved, own: Sequence[Own], findings: Findings) -> None:
    """The tools of a file system are in the image, if all nodes' profile uses it or names their package."""
    tools = everyone.target.packages.xfs
    if any(disk.filesystem == "xfs" for disk in everyone.profile.disks) or {*tools} <= {
        *everyone.profile.packages.install
    }:
        return
    for each in own:
        number = next((i for i, disk in enumerate(each.resolved.profile.disks) if disk.filesystem == "xfs"), None)
        if number is not None:
            each.add(
                findings, "IB477", ("disks", number, "filesystem"),
                "the image has no tools for xfs: only these nodes' settings use it",
                f"add packages: {{install: [{', '.join(tools)}]}} to the profile, or use ext4",
            )  # fmt: skip
