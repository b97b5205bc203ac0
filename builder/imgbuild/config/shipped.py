"""The files that imgbuild ships, by name. Help and completion import this, so it imports nothing heavy."""

from __future__ import annotations

import re
from pathlib import Path

from imgbuild.config.data import data_dir

PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
"""A profile's name, which is also that of the output folder."""


def shipped(kind: str) -> list[str]:
    """The names of the files that imgbuild ships: kind is "profiles", "layers" or "targets"."""
    folder = data_dir("profiles") if kind == "profiles" else data_dir("profiles") / kind
    return sorted(p.stem for p in folder.glob("*.yaml") if p.stem != "base")


def is_shipped(path: Path, name: str) -> bool:
    """Whether a file is one that imgbuild ships. ``name``, as messages have it, is its path if a user gave that."""
    return name != str(path) and path.is_relative_to(data_dir("profiles"))
