"""The files that imgbuild ships, by name. Help and completion import this, so it imports nothing heavy."""

from __future__ import annotations

import re
from functools import cache

from imgbuild.config.data import data_dir

PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
"""A profile's name, which is also that of the output folder."""


def shipped(kind: str) -> list[str]:
    """The names of the files that imgbuild ships: kind is "profiles", "layers" or "targets"."""
    folder = data_dir("profiles") if kind == "profiles" else data_dir("profiles") / kind
    return sorted(p.stem for p in folder.glob("*.yaml") if p.stem != "base")


@cache
def is_shipped(file: str) -> bool:
    """Whether ``file``, as messages name it, is one that imgbuild ships."""
    names = {f"profiles/{name}.yaml" for name in (*shipped("profiles"), "base")}
    below = {f"profiles/{kind}/{name}.yaml" for kind in ("layers", "targets") for name in shipped(kind)}
    return file in names | below
