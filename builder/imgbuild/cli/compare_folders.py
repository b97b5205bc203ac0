"""How two output folders differ: their manifests, and the text of files that are not secret."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imgbuild.cli.difference import (
    Difference,
    file_difference,
    mode_difference,
    text_difference,
    value_difference,
    value_differences,
)
from imgbuild.facts.formats import suffix_of
from imgbuild.outputs.caller import is_private
from imgbuild.outputs.manifest import read_manifest

_FACTS = ("imgbuild", "target", "firmware", "mode")
_LONGEST = 1 << 20  # bytes of a file that are compared line by line


def folder_differences(a: Path, b: Path) -> Iterator[Difference]:
    """What was built, the values it was built from, then the files.

    Files that only their owner can read have secrets: they are compared by checksum and never shown.

    Raises:
        HostError: one of them is not an output folder.
    """
    old, new = read_manifest(a), read_manifest(b)
    for name in _FACTS:
        if old.get(name) != new.get(name):
            yield value_difference(name, old.get(name), new.get(name), kind="fact")
    values = ({key: value for key, value in _values(made).items() if key not in _FACTS} for made in (old, new))
    yield from value_differences(*values)
    before, after = _files(a, old), _files(b, new)
    for name in sorted({*before, *after}, key=lambda name: name.split("/")):
        yield from _file(name, before.get(name), after.get(name), a, b)


def _file(
    name: str, old: tuple[Path, dict[str, Any]] | None, new: tuple[Path, dict[str, Any]] | None, a: Path, b: Path
) -> Iterator[Difference]:
    if old is None or new is None:
        yield file_difference(name, f"only in {a if new is None else b}")
        return
    (path_a, about_a), (path_b, about_b) = old, new
    if about_a.get("mode") != about_b.get("mode"):
        yield mode_difference(name, about_a.get("mode"), about_b.get("mode"))
    sums = [about.get("sha256") for about in (about_a, about_b)]
    if sums[0] == sums[1]:
        return
    if name.startswith("image/"):
        yield Difference("file", name, [f"images differ: {name} (sha256 {sums[0]} -> {sums[1]})"], {
            "reason": "content differs", "a": sums[0], "b": sums[1],
        })  # fmt: skip
        return
    text_a, text_b = _text(path_a, about_a), _text(path_b, about_b)
    if text_a is None or text_b is None:
        private = any(_private(about) for about in (about_a, about_b))
        yield file_difference(name, "differs, not shown (it can hold secrets)" if private else "differs, not text")
        return
    yield text_difference(name, (str(path_a), text_a), (str(path_b), text_b))


def _values(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Key -> value; the manifest has no secrets."""
    values = manifest.get("values")
    found = values.items() if isinstance(values, dict) else ()
    return {name: entry.get("value") for name, entry in found if isinstance(entry, dict)}


def _files(folder: Path, manifest: Mapping[str, Any]) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Name -> place and record of every file. An image has the folder's name, which may differ between the two."""
    out: dict[str, tuple[Path, dict[str, Any]]] = {}
    for group in manifest["groups"].values():
        for path, about in group.get("files", {}).items():
            parts = path.split("/")
            if isinstance(about, dict) and ".." not in parts and not path.startswith("/"):
                suffix = suffix_of(path) if parts[0] == "image" else None
                name = path if suffix is None else f"image/*{suffix}"
                out[name] = (folder / path, about)
    return out


def _private(about: Mapping[str, Any]) -> bool:
    """By its mode in the manifest; an unreadable mode counts as private."""
    try:
        return is_private(int(str(about.get("mode")), 8))
    except ValueError:
        return True


def _text(path: Path, about: Mapping[str, Any]) -> list[str] | None:
    """The lines of a file that may be shown and is text; else None. No link is followed."""
    if _private(about):
        return None
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            there = os.fstat(stream.fileno())
            if not stat.S_ISREG(there.st_mode) or is_private(there.st_mode) or there.st_size > _LONGEST:
                return None
            content = stream.read()
        return None if b"\0" in content else content.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
