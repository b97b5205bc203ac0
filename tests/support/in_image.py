"""What a disk image has of a profile, and profiles that differ in one setting."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import BaseModel

from imgbuild.config.declared import Place
from imgbuild.config.load import Loaded
from imgbuild.config.profile import Profile
from imgbuild.facts.resolved import resolve
from imgbuild.render.install import install_tree
from imgbuild.render.node import node_tree


def in_image(loaded: Loaded) -> dict[str, object]:
    """All that a disk image has of a profile, file by file."""
    resolved = resolve(loaded)
    mirrors = loaded.profile.repositories
    node, install = node_tree(resolved), install_tree(resolved)
    return {
        **{file.path: (file.content, file.mode) for file in (*node.files, *install.files)},
        **{link.path: link.target for link in node.links},
        "the units that are on": (node.enable, node.mask),
        "the kernel's command line": resolved.kernel_arguments,
        "the mirrors it is built from": (mirrors.distribution, mirrors.security),
    }


def value_at(loaded: Loaded, place: Place) -> Any:
    """What a profile has at a setting, as plain values."""
    here: Any = loaded.profile
    for part in place.path:
        here = getattr(here, part)
    if isinstance(here, BaseModel):
        return here.model_dump()
    return (
        [item.model_dump() if isinstance(item, BaseModel) else item for item in here]
        if isinstance(here, list)
        else here
    )


def with_values(loaded: Loaded, values: dict[str, Any]) -> Loaded:
    """The same profile with other values, by their keys."""
    data = loaded.profile.model_dump()
    for key, value in values.items():
        *parents, last = key.split(".")
        here = data
        for part in parents:
            here = here[part]
        here[last] = value
    return dataclasses.replace(loaded, profile=Profile.model_validate(data))
