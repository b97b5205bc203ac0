"""Renamed keys: a file with the old name works, with a warning, until the next minor version.

To rename a key, change it in the model and in ``profiles/``, and add a row here with the version that will be released
next. The minor version after that removes the row. docs/reference/stability.md promises this to users.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imgbuild.config.source import Document
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path

EACH = -1
"""In a key of the table: every item of the list at that place."""


@dataclass(frozen=True)
class Renamed:
    """One key with its old and its new name. ``since`` is the version that has the new one."""

    old: Path
    new: Path
    since: str


PROFILE: tuple[Renamed, ...] = ()
"""Renamed keys of profiles and layers, and of ``settings`` in a cluster file."""
CLUSTER: tuple[Renamed, ...] = ()
"""Renamed keys of the cluster file; inside a list as in ``("nodes", EACH, "mac")``."""


def with_new_names(document: Document, table: Sequence[Renamed], findings: Findings) -> Document:
    """``document`` with every renamed key and its places under the new name, and a warning for each.

    A document that has a key under both names is an error: it is unclear which one is meant.
    """
    data: dict[str, Any] | None = None
    marks, key_marks = dict(document.marks), dict(document.key_marks)
    for row in table:
        for old in list(_places(document.data if data is None else data, row.old)):
            data = copy.deepcopy(document.data) if data is None else data
            new = _filled(row.new, old, row.old)
            mark = key_marks.get(old) or marks.get(old)
            if not _tell(data, old, new, row.since, mark, findings):
                continue
            _put(data, new, _take(data, old))
            marks, key_marks = _moved(marks, old, new), _moved(key_marks, old, new)
            _mark_parents(new, mark, marks, key_marks)
    return document if data is None else replace(document, data=data, marks=marks, key_marks=key_marks)


def new_name(path: Path, table: Sequence[Renamed], mark: Mark, findings: Findings) -> Path:
    """The place that ``--set`` means by ``path``, with a warning if that is the old name of a key."""
    for row in table:
        head = path[: len(row.old)]
        if len(head) == len(row.old) and all(map(_same, head, row.old)):
            new = _filled(row.new, head, row.old)
            _warn(head, new, row.since, mark, findings)
            return (*new, *path[len(head) :])
    return path


def _same(part: str | int, wanted: str | int) -> bool:
    return part == wanted or (wanted == EACH and isinstance(part, int))


def _places(data: Any, path: Path, above: Path = ()) -> Iterator[Path]:
    """Where ``path`` is in ``data``."""
    if not path:
        yield above
    elif path[0] == EACH and isinstance(data, list):
        for index, item in enumerate(data):
            yield from _places(item, path[1:], (*above, index))
    elif isinstance(data, Mapping) and path[0] in data:
        yield from _places(data[path[0]], path[1:], (*above, path[0]))


def _filled(new: Path, place: Path, old: Path) -> Path:
    """``new`` with the numbers of the items that ``place`` has where ``old`` has EACH."""
    numbers = iter([found for found, part in zip(place, old, strict=True) if part == EACH])
    return tuple(next(numbers) if part == EACH else part for part in new)


def _tell(data: Any, old: Path, new: Path, since: str, mark: Mark | None, findings: Findings) -> bool:
    """Report the rename; return whether the key can be moved."""
    here = data
    for part in new:
        if isinstance(here, dict):
            if part not in here:
                _warn(old, new, since, mark, findings)
                return True
            here = here[part]
        elif isinstance(here, list) and isinstance(part, int):
            here = here[part]
        else:
            return False  # validation reports what is wrong with the new key's parent
    findings.add(
        "IB115", f"{format_path(old)} and {format_path(new)} are the old and the new name of one key",
        key=format_path(old), mark=mark, hint=f"keep {format_path(new)}",
    )  # fmt: skip
    return False


def _warn(old: Path, new: Path, since: str, mark: Mark | None, findings: Findings) -> None:
    findings.add(
        "IB115", f"{format_path(old)} was renamed to {format_path(new)} in imgbuild {since}; "
        "the next minor version does not accept the old name",
        key=format_path(old), mark=mark, hint=f"write {format_path(new)}", lesser=True,
    )  # fmt: skip


def _take(data: Any, path: Path) -> Any:
    """The value at ``path``, which is removed with the mappings that it leaves empty."""
    parents = [data]
    for part in path[:-1]:
        parents.append(parents[-1][part])
    value = parents[-1].pop(path[-1])
    for parent, part in zip(reversed(parents[:-1]), reversed(path[:-1]), strict=True):
        if parent[part] != {} or not isinstance(parent, dict):
            break
        del parent[part]
    return value


def _put(data: Any, path: Path, value: Any) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {}) if isinstance(data, dict) else data[part]
    data[path[-1]] = value


def _moved(marks: Mapping[Path, Mark], old: Path, new: Path) -> dict[Path, Mark]:
    end = len(old)
    return {(*new, *path[end:]) if path[:end] == old else path: mark for path, mark in marks.items()}


def _mark_parents(new: Path, mark: Mark | None, *tables: dict[Path, Mark]) -> None:
    """Give mappings that were created for the new name the place of the old one."""
    for end in range(1, len(new)):
        for table in tables:
            if mark is not None:
                table.setdefault(new[:end], mark)
