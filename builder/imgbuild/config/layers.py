"""Merge profiles, the files they extend, layers and --set, and record where each value came from.

Order, later wins: base.yaml, the target's defaults, the chain of ``extends:``, each ``--layer``, each ``--set``.
Mappings are merged key by key; a list or a plain value replaces what was there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from imgbuild.config import renamed
from imgbuild.config.data import data_dir
from imgbuild.config.reference import FORMS
from imgbuild.config.shipped import is_shipped, shipped
from imgbuild.config.source import Document, read
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path

MAX_FILES = 100  # "extends: [b, b]" twenty files deep is a million reads
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*$")


@dataclass
class Layered:
    """Merged values; ``history`` has, for each key path, every value that was set there and its place, oldest first."""

    data: dict[str, Any] = field(default_factory=dict, repr=False)
    history: dict[Path, list[tuple[Mark, Any]]] = field(default_factory=dict, repr=False)
    key_marks: dict[Path, Mark] = field(default_factory=dict)
    root: Mark | None = None  # the start of the last document, the user's if there is one: for values without a place
    above: dict[Path, Path] = field(default_factory=dict)  # of keys in a cluster file's settings: where these are in it

    def mark(self, path: Path) -> Mark | None:
        """Where the value at ``path`` (or the nearest key above it) came from."""
        for end in range(len(path), -1, -1):
            found = self.history.get(path[:end])
            if found:
                return found[-1][0]
        return self.root

    def copy(self) -> Layered:
        """A copy, to merge more into it."""
        history = {path: list(values) for path, values in self.history.items()}
        return Layered(_copy(self.data), history, dict(self.key_marks), self.root, dict(self.above))

    def lay(self, document: Document) -> None:
        """Merge one more document on top of this one."""
        if document.name and (self.root is None or self.root.shipped or not document.shipped):
            self.root = Mark(document.name, 1, 1, shipped=document.shipped)
        self._merge(self.data, document.data, (), document)
        self.key_marks.update(document.key_marks)
        if document.above:
            self.above.update(dict.fromkeys(document.key_marks, document.above))

    def put(self, path: Path, value: Any, mark: Mark) -> None:
        """Note another value for what is set at ``path``, in place of what is noted below it."""
        self._forget_below(path)
        self.history.setdefault(path, []).append((mark, value))

    def _merge(self, under: dict[str, Any], over: dict[str, Any], path: Path, document: Document) -> None:
        for key, value in over.items():
            here = (*path, key)
            old = under.get(key)
            if isinstance(value, dict) and isinstance(old, dict):
                self._note(here, document, value)
                self._merge(old, value, here, document)
                continue
            if isinstance(old, (dict, list)):
                self._forget_below(here)
            under[key] = _copy(value)
            for sub, leaf in _walk(value, here):
                self._note(sub, document, leaf)

    def _note(self, path: Path, document: Document, value: Any) -> None:
        mark = document.marks.get(path)
        if mark is not None:
            self.history.setdefault(path, []).append((mark, value if not isinstance(value, dict) else {}))

    def _forget_below(self, path: Path) -> None:
        # A replaced list has other items now: their old places would mislead.
        for known in [p for p in self.history if len(p) > len(path) and p[: len(path)] == path]:
            del self.history[known]
        for known in [p for p in self.key_marks if len(p) > len(path) and p[: len(path)] == path]:
            del self.key_marks[known]


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_copy(v) for v in value]
    return value


def _walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    yield path, value
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, child in items:
        yield from _walk(child, (*path, key))


def report(
    findings: Findings,
    layered: Layered | None,
    code: str,
    path: Path,
    message: str,
    hint: str,
    *,
    lesser: bool = False,
    who: Sequence[str] = (),
) -> None:
    """Add a finding about the key at ``path``, at the place that set it; ``layered`` is None if no file did."""
    mark = layered.mark(path) if layered is not None else None
    findings.add(code, message, hint=hint, key=format_path(path), mark=mark, lesser=lesser, who=who)


_EXTENDED = {"profiles": ("profiles", "layers"), "layers": ("layers", "profiles")}
"""The kinds of files that ``extends:`` may use by name, in a file of each kind."""


def find(kinds: Sequence[str], name: str, beside: FilePath | None = None) -> tuple[FilePath, str] | None:
    """The file that ``name`` means, and how messages name it: a shipped file by its name, else a path.

    A relative path is relative to ``beside`` (the folder of the file that names it), else to the current folder.
    """
    kind = next((kind for kind in kinds if _NAME.match(name) and name in shipped(kind)), None)
    if kind is not None:
        folder = data_dir("profiles") if kind == "profiles" else data_dir("profiles") / kind
        path = folder / f"{name}.yaml"
        return path, os.path.relpath(path, data_dir("profiles").parent)
    path = (beside / name) if beside is not None and not FilePath(name).is_absolute() else FilePath(name)
    there = "/" in name and os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a name that is too long
    if there or is_file(path) or path.suffix in (".yaml", ".yml"):
        return path, str(path)
    return None


def is_file(path: FilePath) -> bool:
    """Whether a path is a file; False also for a name that is too long, a NUL, or a folder without permission."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _real(path: FilePath) -> FilePath:
    """One name for one file, also where symbolic links form a loop."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path


def closest(word: str, known: Sequence[str]) -> str:
    """``did you mean "…"?`` for the nearest known word, or an empty string."""
    import difflib  # only for a mistake

    lower = {name.lower(): name for name in reversed(known)}
    near = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=0.6)
    return f'did you mean "{lower[near[0]]}"?' if near else ""


def missing(kinds: Sequence[str], name: str, mark: Mark | None, key: str, findings: Findings) -> None:
    """The finding for a profile or a layer that does not exist."""
    known = [ours for kind in kinds for ours in shipped(kind)]
    hint = closest(name, known) or "use one of these names, or the path of a YAML file"
    for kind in _EXTENDED:
        if name in shipped(kind):
            hint = f"{name} is a {kind[:-1]}: use --{kind[:-1]} {name}"
    folder = FilePath(mark.file).parent if mark is not None else FilePath()
    for suffix in (".yaml", ".yml"):
        if is_file(folder / f"{name}{suffix}"):
            hint = f'did you mean "{name}{suffix}"?'
    findings.add(
        "IB106", f'there is no {" or ".join(kind[:-1] for kind in kinds)} "{name}"; imgbuild ships {", ".join(known)}',
        hint=hint, key=key, mark=mark,
    )  # fmt: skip


def chain(path: FilePath, name: str, kind: str, findings: Findings) -> list[Document]:
    """A file and all that it extends, the deepest first. A cycle is a finding."""
    return _chain(path, name, kind, findings, (), [0])


def _read(path: FilePath, findings: Findings, name: str, cause: Mark | None) -> Document | None:
    if not is_shipped(path, name):
        return read(path, findings, name, cause=cause)
    document, said = read_shipped(path, name)
    findings.extend(said.items)
    return document


@cache
def read_shipped(path: FilePath, name: str) -> tuple[Document | None, Findings]:
    """A shipped file, read once per process: every profile builds on base.yaml, and `diff` loads two."""
    findings = Findings()
    return read(path, findings, name, shipped=True), findings


def _chain(
    path: FilePath, name: str, kind: str, findings: Findings, above: tuple[tuple[FilePath, str], ...], count: list[int],
    cause: Mark | None = None,
) -> list[Document]:  # fmt: skip
    count[0] += 1
    if count[0] > MAX_FILES:
        if count[0] == MAX_FILES + 1:
            hint = "extend fewer files, and each of them once"
            findings.add(
                "IB107", f"over {MAX_FILES} files are extended", key="extends", mark=Mark(name, 1, 1), hint=hint
            )
        return []
    document = _read(path, findings, name, cause)
    if document is None:
        return []
    document = renamed.with_new_names(document, renamed.PROFILE, findings)
    document = replace(document, data=dict(document.data))
    parents = document.data.pop("extends", [])
    mark = document.marks.get(("extends",))
    if isinstance(parents, str):
        parents = [parents]
    if not isinstance(parents, list) or not all(isinstance(p, str) for p in parents):
        findings.add(
            "IB107",
            "extends must be a name, or a list of names",
            key="extends",
            mark=mark,
            hint="write extends: centos7-efi",
        )
        parents = []
    out: list[Document] = []
    open_files = (*above, (_real(path), name))
    for index, parent in enumerate(parents):
        here = document.marks.get(("extends", index), mark)
        kinds = _EXTENDED.get(kind, (kind,))
        found = find(kinds, parent, path.parent)
        if found is None:
            missing(kinds, parent, here, "extends", findings)
            continue
        seen = [file for file, _ in open_files]
        if _real(found[0]) in seen:
            ring = [n for _, n in open_files[seen.index(_real(found[0])) :]] + [found[1]]
            findings.add(
                "IB107", f"extends forms a loop: {' -> '.join(ring)}", key="extends", mark=here,
                hint="remove one of these extends: lines",
            )  # fmt: skip
            continue
        out += _chain(found[0], found[1], kind, findings, open_files, count, here)
    return [*out, document]


def lay_option(layered: Layered, path: Path, value: Any, mark: Mark, findings: Findings) -> None:
    """Lay one --set on top, as a layer would be: a mapping is merged key by key.

    An empty mapping empties what is there. A reference is a value, not a mapping.
    """
    below = value_at(layered.data, path)
    reference = isinstance(value, dict) and len(value) == 1 and next(iter(value)) in FORMS
    if not (isinstance(value, dict) and value and isinstance(below, dict)) or reference:
        lay_set(layered, path, value, mark, findings)
        return
    layered.history.setdefault(path, []).append((mark, {}))
    for key, child in value.items():
        lay_option(layered, (*path, key), child, mark, findings)


def value_at(data: Any, path: Sequence[str | int]) -> Any:
    """What is at a path in the data of a file; None if nothing is."""
    for part in path:
        if isinstance(data, dict):
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def lay_set(layered: Layered, path: Path, value: Any, mark: Mark, findings: Findings) -> None:
    """Set one value in place of what was there, even a mapping. Lists are indexed; the index after the last appends."""
    here: Any = layered.data
    last = len(path) - 1
    for depth, part in enumerate(path):
        key: str | int = part
        if isinstance(here, dict):
            key = str(part)
            path = (*path[:depth], key, *path[depth + 1 :])
        elif not isinstance(here, list) or not isinstance(key, int) or key > len(here):
            what = format_path(path[:depth]) or "the profile"
            kind = f"a list of {len(here)}" if isinstance(here, list) else "not a mapping"
            findings.add(
                "IB108", f"--set {format_path(path)}: {what} is {kind}: {part!r} does not exist in it", mark=mark,
                key=format_path(path), hint="use an index for a list, from 0; the index after the last appends",
            )  # fmt: skip
            return
        if isinstance(here, list) and isinstance(key, int) and key == len(here):
            here.append(None)
        layered.key_marks.setdefault(path[: depth + 1], mark)
        if depth == last:
            here[key] = _copy(value)
            layered._forget_below(path)
            for sub, leaf in _walk(value, path):
                layered.history.setdefault(sub, []).append((mark, leaf))
                layered.key_marks[sub] = mark
            return
        child = here.get(key) if isinstance(here, dict) else here[key]
        if child is None:
            # A list that is null in the defaults, such as repositories.elrepo, is created by [0].
            child = here[key] = [] if path[depth + 1] == 0 else {}
            layered.history.setdefault(path[: depth + 1], []).append((mark, None))
        here = child
