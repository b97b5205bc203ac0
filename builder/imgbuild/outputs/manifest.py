"""manifest.json: what was made, from what, and where each value came from. It never has a secret."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from imgbuild import __version__
from imgbuild.config.fields import Firmware
from imgbuild.config.layers import Layered
from imgbuild.config.load import Loaded
from imgbuild.config.redact import shown
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import format_path
from imgbuild.outputs.jsontext import json_parts
from imgbuild.outputs.signature import SUFFIX, Signer
from imgbuild.outputs.tree import RUN_FILE, OutFile, Written, group_run, replace_file

NAME = "manifest.json"
EXPORT = "export"
"""The folder of exports; each is a group of its own, such as ``export/metal3``."""


@dataclass(frozen=True)
class GroupRecord:
    """``run`` is the digest of the group's input; ``more`` is what the group adds (packages, versions).

    ``sums``: the sha256 of files, by their path in the group, that are known without reading them. ``written``: all
    files, if this run has written the group.
    """

    run: str
    more: Mapping[str, Any]
    sums: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, Written] | None = None


class _Group(BaseModel):
    model_config = ConfigDict(defer_build=True)

    run: str
    files: dict[str, Any] = {}
    nodes: dict[str, list[str]] = {}
    checks: list[str] = []


class _Groups(BaseModel):
    __pydantic_extra__: dict[str, _Group]
    model_config = ConfigDict(extra="allow", defer_build=True)

    nodes: _Group
    image: _Group | None = None


class _Manifest(BaseModel):
    """The parts of a manifest that are relied on when reading it; it may be damaged or edited."""

    model_config = ConfigDict(defer_build=True)

    firmware: Firmware
    image_wanted: str
    groups: _Groups


def run_id(parts: Iterable[bytes]) -> str:
    """The id of a run: a digest of its input, so that the same input gives the same tree, byte for byte."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "big") + part)
    return sha.hexdigest()[:32]


def values(layered: Layered, file: str | None = None) -> dict[str, Any]:
    """Every leaf of the profile, or those from one file: its value and its place."""
    out: dict[str, Any] = {}
    for path, history in sorted(layered.history.items(), key=lambda item: [str(p) for p in item[0]]):
        mark, value = history[-1]
        if not path or (isinstance(value, (dict, list)) and value) or file not in (None, mark.file):
            continue
        out[format_path(path)] = {"value": shown(path, value), "from": str(mark)}
    return out


def write(
    folder: Path,
    loaded: Loaded,
    groups: Mapping[str, GroupRecord],
    wanted_image: str,
    origin: str,
    signer: Signer | None = None,
) -> None:
    """Write the manifest of what is in ``folder`` now; a run writes it last. An old signature is removed.

    ``origin`` is the profile's file (outputs/origin.py).

    Raises:
        HostError: it cannot be written or signed.
    """
    described = {
        name: {"run": record.run, **record.more, "files": _files(folder / name, name, record)}
        for name, record in sorted(groups.items())
    }
    data = {
        "imgbuild": __version__,
        "profile": loaded.name,
        "profile_file": origin,
        "target": loaded.target.id,
        "firmware": loaded.profile.firmware,
        "mode": loaded.profile.mode,
        "image_wanted": wanted_image,
        "groups": described,
        "values": values(loaded.layered),
    }
    text = io.BytesIO()
    text.writelines(part.encode() for part in json_parts(data))
    text.write(b"\n")
    content, signature = text.getvalue(), folder / f"{NAME}{SUFFIX}"
    signed = OutFile(signer.sign(content)) if signer is not None else None
    signature.unlink(missing_ok=True)
    replace_file(folder / NAME, OutFile(content))
    if signed is not None:
        replace_file(signature, signed)


def _files(place: Path, name: str, record: GroupRecord) -> dict[str, Written]:
    """Every file of a group, by its path below the group's parent."""
    found = record.written if record.written is not None else dict(_found(str(place), "", record.sums))
    return {f"{name}/{path}": found[path] for path in sorted(found, key=lambda path: path.split("/"))}


def _found(place: str, above: str, sums: Mapping[str, str]) -> Iterator[tuple[str, Written]]:
    with os.scandir(place) as entries:
        for entry in entries:
            # `imgbuild boot` keeps its console log and screenshot beside the image; they are not output of a build.
            if entry.name == RUN_FILE or entry.name.endswith(".boot"):
                continue
            path = f"{above}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _found(entry.path, f"{path}/", sums)
            elif entry.is_file():
                there = entry.stat()
                known = sums.get(path) or _sha256(entry.path)
                yield path, Written(known, there.st_size, f"{stat.S_IMODE(there.st_mode):04o}")


def _sha256(path: str) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an output folder.

    Raises:
        HostError: there is none, or imgbuild did not write it.
    """
    try:
        # Without waiting: a pipe in its place would block until something writes to it.
        with os.fdopen(os.open(folder / NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            text = stream.read()
    except OSError as error:
        hint = "pass the folder that a build wrote, for example out/debian12-efi"
        raise HostError(f"{folder} has no {NAME}: {error.strerror}", hint) from error
    try:
        data: dict[str, Any] = json.loads(text)
        _Manifest.model_validate(data)
    except (ValueError, RecursionError) as error:
        raise HostError(f"{folder / NAME} is not an imgbuild manifest", "build it again") from error
    return data


def mixed(folder: Path, manifest: Mapping[str, Any]) -> Sequence[str]:
    """Why the groups in ``folder`` do not belong together; empty if they do."""
    reasons = []
    for name, group in sorted(manifest["groups"].items()):
        if name.startswith(f"{EXPORT}/"):  # for other systems: no machine is started from it here
            continue
        found = group_run(folder, name)
        if found is None:
            reasons.append(f"{name}/ is missing")
        elif found != group.get("run"):
            reasons.append(f"{name}/ is from another run than the manifest (a run was interrupted)")
    image = manifest["groups"].get("image")
    if image is not None and image.get("run") != manifest.get("image_wanted"):
        reasons.append("image/ was built from another profile than the rest (--no-image since then?)")
    return reasons
