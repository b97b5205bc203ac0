"""The profile in a bundle: its own files, its layers and what they refer to, without any secret.

A file below the profile's folder keeps its place. Another one moves to outside/, and what refers to it is changed. A
literal secret becomes a reference to an environment variable, so that a build with the bundle reports what to set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from imgbuild.bundle.layout import LeftOut, is_path
from imgbuild.bundle.yaml_edit import edited
from imgbuild.config.cluster import Cluster
from imgbuild.config.declared import Place, place, root
from imgbuild.config.layers import chain, find
from imgbuild.config.lock import NAME
from imgbuild.config.profile import ProfileFile
from imgbuild.config.reference import FORMS, LocalFile, Reference
from imgbuild.config.set_option import parse_set
from imgbuild.config.shipped import is_shipped
from imgbuild.config.source import Document, read
from imgbuild.diagnostics.errors import UsageError
from imgbuild.diagnostics.findings import Findings, Mark, format_path
from imgbuild.diagnostics.findings import Path as KeyPath

_OUTSIDE = "outside"
_EVERYBODY = 0o004


@dataclass(frozen=True)
class Carried:
    """The files by their paths in the bundle's folder profile/, and the options that build from them there."""

    files: Mapping[str, bytes]
    options: Sequence[str]
    left_out: Sequence[LeftOut]


def carried(
    profile: str, layers: Sequence[str], sets: Sequence[str], mode: str | None, cluster: Path | None,
    findings: Findings,
) -> Carried:  # fmt: skip
    """The files of these options, which load without errors. What cannot be carried goes to ``findings``.

    Raises:
        UsageError: a name or a form of a file does not fit into a bundle.
    """
    found = find(("profiles",), profile)
    own = found is not None and not is_shipped(*found)
    move = _Move(Path(os.path.abspath(Path(profile).parent if own else ".")), findings)  # noqa: PTH100 - keeps links
    options = ["--profile", move.documents(profile, "profiles")]
    for layer in layers:
        options += ["--layer", move.documents(layer, "layers")]
    for number, text in enumerate(sets, 1):
        options += move.setting(text, number)
    options += ["--mode", mode] if mode is not None else []
    if cluster is not None:
        options += ["--cluster", move.cluster(cluster)]
    return Carried(dict(sorted(move.files.items())), options, move.left_out)


@dataclass
class _Move:
    """``home``: the folder whose files keep their places."""

    home: Path
    findings: Findings
    files: dict[str, bytes] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    _outside: dict[Path, str] = field(default_factory=dict)
    _variables: dict[str, tuple[str, KeyPath]] = field(default_factory=dict)

    def documents(self, name: str, kind: str) -> str:
        """Carry a profile or a layer with all that it extends; the name of it there."""
        found = find((kind,), name)
        if found is None or is_shipped(*found):
            return name
        for document in chain(found[0], found[1], kind, Findings()):
            if not document.shipped and self.place(Path(document.name)) not in self.files:
                self._document(document, ProfileFile)
        return self.place(found[0])

    def cluster(self, path: Path) -> str:
        """Carry a cluster file; its name there."""
        document = read(path, Findings())
        if document is not None:
            self._document(document, Cluster)
        self.left_out.append(
            LeftOut(
                where=str(path), what="the cluster's keys and token",
                fix="copy its secrets file in a safe way and pass it with --secrets; else a build makes new ones",
            )
        )  # fmt: skip
        return self.place(path)

    def setting(self, text: str, number: int) -> list[str]:
        """The option for a value of --set, unless it may be private or names a file."""
        found = parse_set(text, number, Findings())
        if found is not None and _is_plain(found[1], place(ProfileFile, found[0])):
            return ["--set", text]
        key = text.partition("=")[0]
        self.left_out.append(
            LeftOut(where="--set", what=f"the value of {key}", fix=f"pass --set {key}=… to the build again")
        )
        return []

    def variable(self, file: str, path: KeyPath) -> str:
        """The variable for the secret at ``path`` in ``file``: keys that differ only in - and . have one each."""
        first = "IMGBUILD_" + re.sub("[^A-Z0-9]+", "_", format_path(path).upper()).strip("_")
        names = (first if number == 1 else f"{first}_{number}" for number in count(1))
        return next(name for name in names if self._variables.setdefault(name, (file, path)) == (file, path))

    def place(self, file: Path) -> str:
        """Where a file is in the bundle's folder profile/.

        Raises:
            UsageError: its name does not fit there.
        """
        here = Path(os.path.abspath(file))  # noqa: PTH100 - keeps links
        if here.is_relative_to(self.home):
            place = here.relative_to(self.home).as_posix()
        else:
            place = self._outside.setdefault(here, f"{_OUTSIDE}/{len(self._outside) + 1}-{here.name}")
        try:
            fits = is_path(place)
        except UnicodeError:
            fits = False
        if not fits or place == NAME:
            raise UsageError(f"the name of {file} does not fit into a bundle", "rename it: letters, digits and dots")
        return place

    def _document(self, document: Document, model: type[BaseModel]) -> None:
        file = Path(document.name)
        place = self.place(file)
        walk = _Walk(self, file, place, document)
        walk.extends()
        walk.value(document.data, root(model), ())
        self.files[place] = edited(file, walk.new)


@dataclass
class _Walk:
    """One YAML file: what in it is different in the bundle (``new``: values by their keys)."""

    move: _Move
    file: Path
    place: str
    document: Document
    new: dict[KeyPath, Any] = field(default_factory=dict)

    def extends(self) -> None:
        """Other places of the files that it extends."""
        raw = read(self.file, Findings())
        given = raw.data.get("extends", []) if raw is not None else []
        names = (
            [(("extends",), given)] if isinstance(given, str) else [(("extends", n), x) for n, x in enumerate(given)]
        )
        for path, name in names:
            found = find(("profiles", "layers"), name, self.file.parent)
            if found is not None and not is_shipped(*found):
                self._refer(path, name, found[0])

    def value(self, value: Any, place: Place | None, path: KeyPath) -> None:
        """Look at a value and all below it."""
        if place is None:
            return
        reference = place.find(Reference)
        if reference is not None and isinstance(value, str):
            if _private(reference, value):
                self._literal(path)
        elif reference is not None and isinstance(value, dict) and len(value) == 1 and next(iter(value)) in FORMS:
            self._reference(reference, value, path)
        else:
            if isinstance(value, dict):
                self._source(value, place, path)
            for key, child in _items(value):
                self.value(child, place.below(key), (*path, key))

    def _literal(self, path: KeyPath) -> None:
        name = self.move.variable(self.place, path)
        self.new[path] = {"env": name}
        self._leave(path, "a secret", f"set the variable {name}, and export it")

    def _reference(self, reference: Reference, value: Mapping[str, Any], path: KeyPath) -> None:
        ((form, name),) = value.items()
        if form == "env":
            self._leave(path, f"the variable {name}", f"set {name}, and export it")
            return
        file = self.file.parent / str(name)
        place = self._refer((*path, form), str(name), file)
        content = _bytes(file)
        if _private(reference, content.decode("utf-8-sig", "replace").rstrip("\r\n")):
            self._leave(path, f"the secret file {name}", f"copy it in a safe way to {place}, with mode 0600")
        else:
            self.move.files[place] = content

    def _source(self, value: Mapping[str, Any], place: Place, path: KeyPath) -> None:
        """A file for the node."""
        below = place.below("source")
        if below is None or below.find(LocalFile) is None:
            return
        private = _for_few(value)
        name = value.get("source")
        if isinstance(name, str):
            file = self.file.parent / name
            there = self._refer((*path, "source"), name, file)
            if private:
                self._leave((*path, "source"), f"the secret file {name}", f"copy it in a safe way to {there}")
            else:
                self.move.files[there] = _bytes(file)
        elif private and value.get("content"):
            what = f"{value.get('path')} has the mode {value['mode']}, and its content is in this file"
            here = (*path, "content")
            self.move.findings.add(
                "IB823", f"{what}: a bundle carries no secrets", key=format_path(here), mark=self._mark(here),
                hint="put the content into a file of its own, and write source: PATH in place of content",
            )  # fmt: skip

    def _refer(self, path: KeyPath, name: str, file: Path) -> str:
        """The place of a file that this one names, which is changed to name it there."""
        place = self.move.place(file)
        word = os.path.relpath(place, os.path.dirname(self.place) or ".")  # noqa: PTH120 - of a name in the bundle
        if os.path.normpath(name) != word:
            self.new[path] = word
        return place

    def _leave(self, path: KeyPath, what: str, fix: str) -> None:
        mark = self._mark(path)
        where = f"{self.place}:{mark.line}" if mark is not None else self.place
        self.move.left_out.append(LeftOut(where=where, what=f"{format_path(path)}: {what}", fix=fix))

    def _mark(self, path: KeyPath) -> Mark | None:
        return self.document.marks.get(path)


def _is_plain(value: Any, place: Place | None) -> bool:
    """Whether a value has neither a secret nor the name of a file or variable."""
    reference = place.find(Reference) if place is not None else None
    if reference is not None and (isinstance(value, dict) or _private(reference, str(value))):
        return False
    if isinstance(value, dict) and ("source" in value or _for_few(value)):
        return False
    return all(_is_plain(child, place.below(key) if place is not None else None) for key, child in _items(value))


def _for_few(value: Mapping[str, Any]) -> bool:
    """Whether a file has a mode that lets not everybody read it: it is a secret (docs/reference/profile.md)."""
    mode = str(value.get("mode", ""))
    return re.fullmatch("[0-7]{3,4}", mode) is not None and not int(mode, 8) & _EVERYBODY


def _private(reference: Reference, text: str) -> bool:
    return reference.private is not None and reference.private(text)


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _bytes(file: Path) -> bytes:
    """The content of a file that was read before, when the profile was checked."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror}", "run it again, as a user who may read it"
        ) from error
