"""The fields of Kubernetes' configuration files: which there are in a minor, and of which type.

The tables are profiles/versions/kubelet-types.yaml and kubeadm-types.yaml, written by tools/kubernetes_types.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from packaging.version import Version

from imgbuild.config.data import versions
from imgbuild.config.declared import ITEM
from imgbuild.facts.derive import minor

Kind = Literal["KubeletConfiguration"]
Field = tuple[str, ...]
"""The parts of a field's path; ``[]`` means each item of a list."""
_TABLES: dict[Kind, str] = {"KubeletConfiguration": "kubelet-types"}


@cache
def _rows(kind: Kind) -> tuple[tuple[Field, str, Version, Version], ...]:
    """Every field with its type, and the first and the last minor that has it."""
    out = []
    for span, types in versions(_TABLES[kind])[kind].items():
        first, last = map(Version, span.split())
        for of, names in types.items():
            out += [(tuple(re.findall(r"\[\]|[^.\[\]]+", name)), of, first, last) for name in names.split()]
    return tuple(out)


@cache
def _minors(kind: Kind) -> tuple[Version, Version]:
    """The first and the last minor of a table."""
    rows = _rows(kind)
    return min(first for _, _, first, _ in rows), max(last for _, _, _, last in rows)


@cache
def fields(kind: Kind, release: str) -> Mapping[Field, str]:
    """The fields of this Kubernetes with their types; those of the nearest known minor if it is unknown."""
    oldest, newest = _minors(kind)
    now = min(max(Version(minor(release)), oldest), newest)
    return {field: of for field, of, first, last in _rows(kind) if first <= now <= last}


@cache
def sections(kind: Kind, release: str) -> frozenset[Field]:
    """What has fields below it: mappings and, followed by ``[]``, lists of mappings."""
    return frozenset(field[:length] for field in fields(kind, release) for length in range(1, len(field)))


def span(kind: Kind, field: Field) -> tuple[Version, Version | None] | None:
    """The first minor that has a field or a section, and the last one; None for the last: it still has it."""
    found = [(first, last) for name, _, first, last in _rows(kind) if name[: len(field)] == field]
    if not found:
        return None
    last = max(last for _, last in found)
    return min(first for first, _ in found), None if last == _minors(kind)[1] else last


@cache
def owned(kind: Kind) -> Mapping[Field, str | None]:
    """The fields that imgbuild or kubeadm sets, with the key that sets each; None: there is none."""
    table: Mapping[str, str | None] = versions("kubernetes-owned")[kind]
    return {tuple(name.split(".")): key for name, key in table.items()}


def pattern(path: tuple[Any, ...]) -> Field:
    """The path of a value as that of its field."""
    return tuple(ITEM if isinstance(part, int) else str(part) for part in path)


def without_null(value: object) -> Any:
    """A value without everything in it that is null: in a profile, null removes a field."""
    if isinstance(value, dict):
        return {key: without_null(child) for key, child in value.items() if child is not None}
    return [without_null(child) for child in value] if isinstance(value, list) else value
