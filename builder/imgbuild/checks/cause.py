"""Find the user's line that causes a finding: a default is often wrong only in combination with a user's setting.

The cause does not have to be declared: the checks run again with one of the user's settings removed at a time, and the
setting without which the finding disappears is its cause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from pydantic import ValidationError

from imgbuild.config.layers import Layered
from imgbuild.config.load import Loaded
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Finding, Findings, Path, format_path
from imgbuild.facts.resolved import Resolved, resolve

_MOST = 200
"""The most checks to run again: beyond that a finding keeps its place."""
_OWN_REASON = frozenset({"IB228", "IB438"})
"""Codes by which imgbuild's own values are reported because of the date."""

Again = Callable[[Resolved], Findings]


def place(resolved: Resolved, findings: Findings, start: int, again: Again) -> None:
    """Move the findings from ``start`` on that are at one of imgbuild's values to the user's line that causes them."""
    moved = [
        number
        for number, each in enumerate(findings.items[start:], start)
        if each.mark is not None and each.mark.shipped and each.code not in _OWN_REASON
    ]
    if not moved or resolved.loaded.recovered:
        return
    search = _Search(resolved.loaded, again)
    for number in moved:
        each = findings.items[number]
        cause = search.cause(_identity(each))
        mark = resolved.layered.mark(cause) if cause is not None else None
        if cause is None or mark is None:
            continue
        where = each.mark.named if each.mark is not None else ""
        said = f"{each.message} ({each.key} is the default, {where})" if each.key else each.message
        findings.items[number] = replace(each, key=format_path(cause), mark=mark, message=said)


def _identity(each: Finding) -> tuple[str, str]:
    return each.code, each.key


class _Search:
    def __init__(self, loaded: Loaded, again: Again) -> None:
        self._loaded, self._again = loaded, again
        self._known: dict[tuple[Path, ...], frozenset[tuple[str, str]] | None] = {}
        self._groups = [list(each) for _, each in groupby(sorted(_settings(loaded.layered)), key=lambda path: path[0])]

    def cause(self, wanted: tuple[str, str]) -> Path | None:
        """The user's setting without which the finding is gone."""
        for group in self._groups:
            if self._gone(group, wanted):
                return next((path for path in group if self._gone([path], wanted)), group[0])
        return None

    def _gone(self, paths: Sequence[Path], wanted: tuple[str, str]) -> bool:
        key = tuple(paths)
        if key not in self._known:
            if len(self._known) >= _MOST:
                return False
            without = _without(self._loaded, paths)
            found = self._again(resolve(without)).items if without is not None else None
            self._known[key] = None if found is None else frozenset(map(_identity, found))
        known = self._known[key]
        return known is not None and wanted not in known


def _settings(layered: Layered) -> list[Path]:
    """What the user has set: the paths of values; a list counts as one value."""
    out = []
    for path, values in layered.history.items():
        mark, value = values[-1]
        whole = not any(isinstance(part, int) for part in path)
        ours = path in ((), ("target",), ("firmware",)) or mark.shipped
        if whole and not ours and not isinstance(value, dict) and _is_there(layered.data, path):
            out.append(path)
    return out


def _is_there(data: object, path: Path) -> bool:
    """Whether a value is in effect: if its section was replaced, only its history is left."""
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return False
        data = data[part]
    return True


def _without(loaded: Loaded, paths: Sequence[Path]) -> Loaded | None:
    """The profile without these settings; None if it is not valid without them."""
    layered = loaded.layered.copy()
    for path in paths:
        if not _is_there(layered.data, path):
            continue  # its parent has been removed already
        here = layered.data
        for part in path[:-1]:
            here = here[str(part)]
        ours = [value for mark, value in layered.history[path] if mark.shipped]
        if ours:
            here[str(path[-1])] = ours[-1]
        else:
            del here[str(path[-1])]
        del layered.history[path]
    try:
        return replace(loaded, profile=Profile.model_validate(layered.data), layered=layered)
    except ValidationError:
        return None
