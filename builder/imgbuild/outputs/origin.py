"""Which profile an output folder was made from, so that another profile of the same name does not overwrite it."""

from __future__ import annotations

import os
from pathlib import Path

from imgbuild.config.data import data_dir
from imgbuild.config.layers import find
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.outputs.manifest import read_manifest

KEY = "profile_file"


def origin(profile: str, folder: Path) -> str:
    """The profile as the manifest of ``folder`` names it: a shipped one's name, else its path from that folder.

    Not an absolute path: the same checkout in another place gives the same manifest.
    """
    found = find(("profiles",), profile)
    path = found[0] if found is not None else Path(profile)
    if path.is_relative_to(data_dir("profiles")):
        return path.stem
    return os.path.relpath(path.resolve(), folder.resolve())


def refuse_another(profile: str, folder: Path) -> None:
    """Check that ``folder`` was not made from another profile than ``profile``, which is still there.

    If the file no longer exists, it was moved, renamed or deleted: then nothing is lost by overwriting.

    Raises:
        UsageError: it was.
    """
    try:
        before = read_manifest(folder).get(KEY)
    except HostError:  # an empty folder, or one that the next step refuses
        return
    if not isinstance(before, str) or before == origin(profile, folder):
        return
    shipped = find(("profiles",), before)
    if shipped is not None and shipped[0].is_relative_to(data_dir("profiles")):
        shown = f"the shipped profile {before}"
    else:
        there = Path(os.path.normpath(folder.resolve() / before))
        if not there.is_file():
            return
        shown = os.path.relpath(there)
    hint = (
        f"give this output another name, for example --name {folder.name}-2, or delete {folder} if you no longer "
        "need it"
    )
    raise UsageError(f"{folder} was made from {shown}, not from {profile}: it would be overwritten", hint)
