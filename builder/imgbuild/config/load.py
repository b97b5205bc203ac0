"""From the command line's options to a typed profile: read files, merge and validate them, collect all findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from imgbuild.config import dereference, misplaced, renamed
from imgbuild.config.data import data_dir
from imgbuild.config.layers import Layered, chain, find, is_file, lay_option, lay_set, missing
from imgbuild.config.mirrors import mirrored
from imgbuild.config.profile import Profile, ProfileFile
from imgbuild.config.recover import recover
from imgbuild.config.set_option import parse_set
from imgbuild.config.shipped import PROFILE_NAME, shipped
from imgbuild.config.source import Document
from imgbuild.config.target import Target, load_target, suggest, target_names
from imgbuild.config.validate import validate
from imgbuild.diagnostics.findings import Findings, Mark, Path

_UNREAD = frozenset({"IB100", "IB101", "IB103", "IB104", "IB106", "IB107", "IB117"})
"""A file of the chain that could not be read completely."""


@dataclass(frozen=True)
class Loaded:
    """A profile as requested. ``name`` is that of the output folder; ``layered`` records where each value came from."""

    name: str
    profile: Profile
    target: Target
    layered: Layered
    recovered: frozenset[Path] = frozenset()  # where a default replaces an invalid value


def load(
    profile: str, layers: Sequence[str], sets: Sequence[str], mode: str | None, findings: Findings
) -> Loaded | None:
    """Read and validate a profile. Every problem goes to ``findings``: errors there mean that nothing may be built.

    Where only single values are invalid, defaults replace them, so that all checks can run at once.
    None if the profile could not be loaded.
    """
    layered = Layered()
    before = len(findings.items)
    documents = _documents(profile, "profiles", findings)
    overlays = [d for layer in layers for d in _documents(layer, "layers", findings)]
    read = [p for i, s in enumerate(sets, 1) if (p := parse_set(s, i, findings)) is not None]
    parsed = [(renamed.new_name(path, renamed.PROFILE, mark, findings), value, mark) for path, value, mark in read]
    unread = any(each.code in _UNREAD for each in findings.items[before:])
    if not documents or any(each.code == "IB116" for each in findings.items[before:]):
        return None

    # The target must be known before its defaults can be merged below the rest.
    said = Findings() if unread else findings  # keys of an unreadable file would seem missing
    target, target_key = _target(documents, overlays, parsed, said)
    ground = _ground(target.id if target is not None else None, findings)
    for document in (*ground, *documents):
        layered.lay(document)
    own = layered.root
    for document in overlays:
        layered.lay(document)
    if own is not None and not own.shipped:
        layered.root = own  # what is missing belongs in the profile
    if mode is not None:
        parsed.append((("mode",), mode, Mark("--mode", 1, 1, mode)))
    for path_, value, mark in parsed:
        lay_option(layered, path_, value, mark, findings)
    if parsed:
        dereference.in_options(layered, Profile, findings)
    if target is None and target_key is None:
        layered.data["target"] = ""  # already reported: do not report it as missing too
    name = FilePath(profile).stem
    if not PROFILE_NAME.fullmatch(name):
        here = Mark(profile, 1, 1)
        hint = "rename the file: use letters, digits, dots, dashes and underscores; its name becomes the output's"
        findings.add("IB109", f"{name!r} is not a valid profile name", mark=here, hint=hint)
    start = len(findings.items)
    typed = validate(Profile, layered.data, layered, findings)
    if unread:
        findings.items[start:] = [each for each in findings.items[start:] if each.code != "IB112"]
    recovered: set[Path] = set()
    if typed is None and target is not None:
        defaults = defaults_of(target.id)
        defaults.data |= {"target": target.id, "firmware": "efi"}
        typed, recovered = recover(Profile, layered.data, defaults.data)
    if typed is None or target is None:
        return None
    loaded = Loaded(name, typed, target, layered, frozenset(recovered))
    return with_values(loaded, list(mirrored(typed, layered)), findings)


def _ground(target: str | None, findings: Findings) -> list[Document]:
    """What every profile builds on: base.yaml, and the defaults of its target if that is known."""
    profiles = data_dir("profiles")
    base = chain(profiles / "base.yaml", "profiles/base.yaml", "profiles", findings)
    if target is None:
        return base
    own = chain(profiles / "targets" / f"{target}.yaml", f"profiles/targets/{target}.yaml", "targets", findings)
    return [*base, *map(_defaults, own)]


def defaults_of(target: str | None) -> Layered:
    """The defaults of a target's profiles; None: those of base.yaml alone."""
    layered = Layered()
    for document in _ground(target, Findings()):
        layered.lay(document)
    return layered


def overlaid(loaded: Loaded, document: Document, findings: Findings) -> Loaded:
    """``loaded`` with one more document on top. Invalid values go to ``findings``, and keep their old value."""
    layered = loaded.layered.copy()
    layered.lay(document)
    layered.root = loaded.layered.root  # what is missing belongs in the profile
    return _typed(loaded, layered, findings)


def with_values(loaded: Loaded, values: Sequence[tuple[Path, Any, Mark]], findings: Findings) -> Loaded:
    """``loaded`` with these values in place of its own, each with the place that sets it."""
    if not values:
        return loaded
    layered = loaded.layered.copy()
    for path, value, mark in values:
        lay_set(layered, path, value, mark, findings)
    return _typed(loaded, layered, findings)


def _typed(loaded: Loaded, layered: Layered, findings: Findings) -> Loaded:
    """``loaded`` with other values. Invalid ones go to ``findings``, and keep their old value."""
    recovered = set(loaded.recovered)
    typed = validate(Profile, layered.data, layered, findings)
    if typed is None:
        typed, places = recover(Profile, layered.data, loaded.profile.model_dump())
        typed, recovered = typed or loaded.profile, recovered | places
    return Loaded(loaded.name, typed, loaded.target, layered, frozenset(recovered))


def _documents(name: str, kind: str, findings: Findings) -> list[Document]:
    found = find((kind,), name)
    if found is None:
        missing((kind,), name, None, f"--{kind[:-1]}", findings)
        return []
    twin = FilePath(f"{name}.yaml")
    if name in shipped(kind) and is_file(twin) and not twin.samefile(found[0]):
        findings.add(
            "IB114", f"{name} is the one that imgbuild ships, not the file {twin} in this folder", key=f"--{kind[:-1]}",
            mark=Mark(str(twin), 1, 1), hint=f"write {twin} if you mean that file",
        )  # fmt: skip
    documents = chain(found[0], found[1], kind, findings)
    for document in documents:
        if not document.shipped:
            misplaced.report(document, kind[:-1], findings)
    return [
        document
        if document.shipped
        else dereference.in_document(document, ProfileFile, FilePath(document.name).parent, findings)
        for document in documents
    ]


def _defaults(document: Document) -> Document:
    """The ``defaults:`` of a target file as a document of its own, marks included."""
    cut = "defaults"
    return Document(
        document.data.get(cut, {}),
        {path[1:]: mark for path, mark in document.marks.items() if path[:1] == (cut,)},
        {path[1:]: mark for path, mark in document.key_marks.items() if path[:1] == (cut,) and path != (cut,)},
        document.name,
        document.shipped,
    )


def _target(
    documents: Sequence[Document],
    overlays: Sequence[Document],
    parsed: Sequence[tuple[Path, Any, Mark]],
    findings: Findings,
) -> tuple[Target | None, str | None]:
    name: Any = None
    mark: Mark | None = None
    for document in (*documents, *overlays):
        if "target" in document.data:
            name, mark = document.data["target"], document.marks.get(("target",))
    for path, value, place in parsed:
        if path == ("target",):
            name, mark = value, place
    if name is None:
        last = Mark(documents[-1].name, 1, 1, shipped=documents[-1].shipped) if documents else None
        hint = "extend a shipped profile (`extends: centos7-efi`), or set `target: centos7`"
        findings.add("IB109", "the profile names no target", key="target", mark=last, hint=hint)
        return None, None
    if not isinstance(name, str):
        return None, "?"  # validation reports it better
    if name not in target_names():
        findings.add("IB109", f'there is no target "{name}"', key="target", mark=mark, hint=suggest(name))
        return None, None
    return load_target(name), name
