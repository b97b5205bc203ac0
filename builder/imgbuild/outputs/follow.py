"""Which files of a node depend on a setting: what differs when the profile is rendered with another value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from imgbuild.config.cluster import DEFAULT
from imgbuild.config.declared import nearest, others
from imgbuild.config.load import Loaded
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.resolved import Resolved, resolve
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.install import install_tree
from imgbuild.render.node import node_tree
from imgbuild.render.userdata import user_data


@dataclass(frozen=True)
class Follows:
    """The names of what differs, and the values that were tried; empty if none could be tried."""

    names: tuple[str, ...]
    tried: tuple[Any, ...]


def follows(loaded: Loaded, path: Path) -> Follows:
    """What differs on a node with other values at ``path``, by the setting's type or its example.

    Raises:
        ImgbuildError: the version of containerd is not known (`Resolved.complete`).
    """
    now = _at(loaded.profile.model_dump(), path)
    before = _on_node(resolve(loaded))
    names: set[str] = set()
    tried = []
    for value in others(nearest(Profile, path), now):
        changed = _with(loaded, path, value)
        after = _on_node(changed) if changed is not None else None
        if before is not None and after is not None:
            tried.append(value)
            names |= {name for name in {*before, *after} if before.get(name) != after.get(name)}
    return Follows(tuple(sorted(names)), tuple(tried))


def _on_node(resolved: Resolved) -> Mapping[str, object] | None:
    """Everything that a single node gets from a profile, by display name; None if it cannot be rendered."""
    if not resolved.complete:
        return None
    node = DEFAULT.nodes[0]
    trees = (node_tree(resolved), install_tree(resolved), seed_tree(resolved, DEFAULT, node))
    return {
        **{file.path: (file.content, file.mode) for tree in trees for file in tree.files},
        **{link.path: link.target for tree in trees for link in tree.links},
        "the units that are enabled or masked": (trees[0].enable, trees[0].mask),
        "the kernel's command line": resolved.kernel_arguments,
        "user-data": user_data(resolved, DEFAULT, node, []),
    }


def _with(loaded: Loaded, path: Path, value: Any) -> Resolved | None:
    """The same with another value; None if that is not a valid profile."""
    data = loaded.profile.model_dump()
    here = _at(data, path[:-1])
    if not isinstance(here, dict | list):
        return None
    here[path[-1]] = value  # type: ignore[index]
    try:
        return resolve(replace(loaded, profile=Profile.model_validate(data)))
    except ValidationError:
        return None


def _at(here: Any, path: Path) -> Any:
    for part in path:
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            return None
    return here
