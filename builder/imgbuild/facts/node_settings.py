"""Settings that one node has for itself: a fragment of a profile, laid over the profile for that node alone.

They travel in the node's seed. What lies in the image or holds for the whole cluster is refused with its place: it
would be lost without a word, or the nodes would not fit together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imgbuild.config import renamed
from imgbuild.config.cluster import Cluster
from imgbuild.config.layers import Layered
from imgbuild.config.load import overlaid
from imgbuild.config.source import Document
from imgbuild.diagnostics.findings import Findings, Path, few, format_path
from imgbuild.facts.resolved import Resolved, resolve
from imgbuild.render.install import install_tree
from imgbuild.render.node import node_tree

_ANOTHER_IMAGE = "build these nodes from another profile, with the same cluster file and --secrets"
_ONE_CLUSTER = "set it in the profile: all nodes share it"
WHOLE: dict[Path, str] = {
    **dict.fromkeys((("target",), ("firmware",), ("mode",), ("base",), ("image",)), _ANOTHER_IMAGE),
    ("pxe",): "set it in the profile: one boot menu serves all nodes",
    ("cilium",): "set it in the profile: one chart serves all nodes; a CiliumNodeConfig in the cluster is for one node",
    # The kubelet's configuration is the cluster's: kubeadm join takes it from there.
    ("containerd", "cgroup_driver"): _ONE_CLUSTER,
    **{
        ("kubernetes", key): _ONE_CLUSTER
        for key in (
            "enabled", "version", "image_repository", "pod_cidr", "service_cidr", "dns_domain", "api_port",
            "kube_proxy", "cgroup_v1", "certificate_validity",
        )
    },
}  # fmt: skip
"""What cannot differ between the nodes of one run, and what to do instead."""

SEED: tuple[Path, ...] = (
    ("users",), ("run",), ("cloud",), ("kubernetes", "advertise_address"), ("kubernetes", "schedulable_control_plane"),
)  # fmt: skip
"""What the seed alone carries: no image has anything of it."""


@dataclass(frozen=True)
class Own:
    """The profile of all nodes that have the same settings."""

    numbers: tuple[int, ...]
    """Their places in the cluster file."""
    names: tuple[str, ...]
    resolved: Resolved
    file: str
    """The cluster file's name."""

    @property
    def who(self) -> str:
        """The nodes as messages call them."""
        return f"node{'s' if len(self.names) > 1 else ''} {few(self.names, 3)}"

    def tell(self, said: Findings, findings: Findings) -> None:
        """Add what is ``said`` of this profile and not of every node, with the nodes' names."""
        known = set(findings.items)
        for finding in said.items:
            if finding not in known:
                key = finding.key
                if finding.mark is not None and finding.mark.file == self.file and not key.startswith("nodes["):
                    key = f"nodes[{self.numbers[0]}].settings.{key}"
                findings.extend([replace(finding, key=key, message=f"{self.who}: {finding.message}")])

    def add(self, findings: Findings, code: str, path: Path, message: str, hint: str) -> None:
        """An error about one of the settings."""
        said = Findings()
        said.add(code, message, hint=hint, key=format_path(path), mark=self.resolved.layered.mark(path))
        self.tell(said, findings)


def own_profiles(everyone: Resolved, cluster: Cluster, layered: Layered | None, findings: Findings) -> list[Own]:
    """The profiles of the nodes that have settings, one for each different fragment.

    Everything that does not do goes to ``findings``: what is no profile's, holds for the whole cluster or, in baked
    mode, changes what lies in the image.
    """
    groups: dict[str, list[int]] = {}
    for number, node in enumerate(cluster.nodes):
        if node.settings:
            groups.setdefault(json.dumps(node.settings, sort_keys=True), []).append(number)
    if layered is None or not groups:
        return []
    shared = in_image(everyone) if everyone.profile.mode == "baked" and everyone.complete else None
    out = []
    for numbers in groups.values():
        said = Findings()
        document = renamed.with_new_names(_document(layered, numbers[0]), renamed.PROFILE, said)
        mine = resolve(overlaid(everyone.loaded, document, said))
        each = Own(tuple(numbers), tuple(cluster.nodes[n].name for n in numbers), mine, document.name)
        each.tell(said, findings)
        changed = [path for path in _leaves(document.data) if _at(mine.profile, path) != _at(everyone.profile, path)]
        _whole(each, changed, findings)
        if shared is not None:
            _image(everyone, each, [path for path in changed if not _below(path, (*WHOLE, *SEED))], shared, findings)
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
    """Every setting: a mapping is several, a list is one."""
    for key, child in value.items():
        if isinstance(child, dict) and child:
            yield from _leaves(child, (*path, key))
        else:
            yield (*path, key)


def _at(here: Any, path: Path) -> Any:
    """What a profile has at ``path``; None: nothing."""
    for part in path:
        here = here.get(part) if isinstance(here, dict) else getattr(here, str(part), None)
    return here


def _below(path: Path, places: Iterable[Path]) -> Path | None:
    """The one of ``places`` that ``path`` is or lies below."""
    return next((place for place in places if path[: len(place)] == place), None)


def _whole(own: Own, changed: Sequence[Path], findings: Findings) -> None:
    for path in changed:
        place = _below(path, WHOLE)
        if place is not None:
            message = f"{format_path(path)} cannot be set for a single node"
            own.add(findings, "IB440", path, message, WHOLE[place])


def _cgroups(everyone: Resolved, own: Sequence[Own], cluster: Cluster, findings: Findings) -> None:
    """failCgroupV1 is in the kubelets' one configuration, which the first control plane makes by its own profile."""
    first = cluster.nodes.index(cluster.first) if cluster.first is not None else -1
    makes = next((each.resolved for each in own if first in each.numbers), everyone)
    for each in own:
        if each.resolved.cgroup_v1_override and not makes.cgroup_v1_override:
            each.add(
                findings, "IB443", ("kernel", "cgroup"),
                "runs on cgroup v1, and the kubelets' configuration, made on a node with v2, does not allow it",
                "take v2 for this node too, or Kubernetes 1.34 or older",
            )  # fmt: skip


def in_image(resolved: Resolved) -> dict[str, object]:
    """All that a disk image has of a profile, file by file, under the names that messages use."""
    mirrors = resolved.profile.repositories
    node, install = node_tree(resolved), install_tree(resolved)
    return {
        **{file.path: (file.content, file.mode) for file in (*node.files, *install.files)},
        **{link.path: link.target for link in node.links},
        "the units that are on": (node.enable, node.mask),
        "the kernel's command line": resolved.kernel_arguments,
        "the mirrors it is built from": (mirrors.distribution, mirrors.security),
    }


def _image(
    everyone: Resolved, own: Own, changed: Sequence[Path], shared: Mapping[str, object], findings: Findings
) -> None:
    """Baked: one image serves all nodes, and a setting that changes it would be lost. Each is tried alone."""
    loaded, other = everyone.loaded, own.resolved.profile
    alone = {path: resolve(replace(loaded, profile=_with(loaded.profile, other, path))) for path in changed}
    found = {path: _different(shared, in_image(mine)) for path, mine in alone.items() if mine.complete}
    if found and not any(found.values()) and own.resolved.complete:  # only together they change something
        found = dict.fromkeys(found, _different(shared, in_image(own.resolved)))
    for path, names in found.items():
        if names:
            own.add(
                findings, "IB441", path,
                f"{format_path(path)} changes the image, which all nodes share: {few(names, 2)}",
                f"set it in the profile, take --mode stock, or {_ANOTHER_IMAGE}",
            )  # fmt: skip


def _with(here: Any, other: Any, path: Path) -> Any:
    """``here`` with what ``other`` has at ``path``: models and mappings of a profile."""
    part, *rest = path
    old, new = _at(here, (part,)), _at(other, (part,))
    if rest and old is not None and new is not None:
        new = _with(old, new, tuple(rest))
    return {**here, part: new} if isinstance(here, dict) else here.model_copy(update={str(part): new})


def _different(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The names of what differs; what imgbuild keeps for itself comes last."""
    names = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    return sorted(names, key=lambda name: name.startswith(("/etc/imgbuild/", "/usr/libexec/imgbuild/")))
