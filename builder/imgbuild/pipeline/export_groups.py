"""The folder export/ of the output: a group for each system, which a build without an export keeps as it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.export.given import Files
from imgbuild.outputs.manifest import EXPORT, GroupRecord, read_manifest, run_id
from imgbuild.outputs.tree import group_run, output_folder, swap_group
from imgbuild.pipeline import Input

Exports = Callable[[Input], Mapping[str, Files]]
"""The files of each system, by its name."""
_MADE_FROM = "made_from"


def no_exports(ready: Input) -> Mapping[str, Files]:
    """What a build exports: nothing."""
    return {}


def write_exports(folder: Path, run: str, made: Mapping[str, Files]) -> dict[str, GroupRecord]:
    """Write each system's files as a group, and return their records for the manifest.

    ``run`` is the id of the run whose nodes they describe.

    Raises:
        HostError: a folder cannot be written, or has something that imgbuild did not make.
    """
    out: dict[str, GroupRecord] = {}
    if not made:
        return out
    with output_folder(folder / EXPORT, tuple(made)) as place:
        for name, files in made.items():
            own = run_id(part for path in sorted(files) for part in (path.encode(), files[path].content))
            written = swap_group(place, name, files, own)
            out[f"{EXPORT}/{name}"] = GroupRecord(own, {_MADE_FROM: run}, written=written)
    return out


def kept_exports(folder: Path, run: str, steps: Steps, again: Collection[str]) -> dict[str, GroupRecord]:
    """The records of earlier exports that are still there, without those that are made ``again``.

    A note names those of other nodes than this ``run``'s.
    """
    try:
        old = read_manifest(folder)["groups"]
    except HostError:
        return {}
    out: dict[str, GroupRecord] = {}
    for name, group in old.items():
        system = name.removeprefix(f"{EXPORT}/")
        if system in (name, *again) or group_run(folder, name) != group.get("run"):
            continue
        sums = {path.removeprefix(f"{name}/"): about["sha256"] for path, about in group["files"].items()}
        out[name] = GroupRecord(group["run"], {_MADE_FROM: group.get(_MADE_FROM)}, sums)
        if group.get(_MADE_FROM) != run:
            steps.note(f"{folder / name} has other seeds than these nodes: run imgbuild export again")
    return out
