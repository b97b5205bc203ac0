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
from imgbuild.facts.derive import minor, version

Kind = Literal["KubeletConfiguration", "ClusterConfiguration", "NodeRegistrationOptions", "Timeouts"]
Field = tuple[str, ...]
"""The parts of a field's path; ``[]`` means each item of a list."""
ARGUMENTS = "arguments"
"""The type of extraArgs: a mapping up to kubeadm's v1beta3, a list of name and value from v1beta4 on."""


def _table(kind: Kind) -> Mapping[str, Any]:
    table: Mapping[str, Any] = versions("kubelet-types" if kind == "KubeletConfiguration" else "kubeadm-types")
    return table


@cache
def _rows(kind: Kind) -> tuple[tuple[Field, str, Version, Version], ...]:
    """Every field with its type, and the first and the last minor that has it."""
    out = []
    for span, types in _table(kind)[kind].items():
        first, last = map(Version, span.split())
        for of, names in types.items():
            for name in names.split():
                field = tuple(re.findall(r"\[\]|[^.\[\]]+", name))
                at = next((n for n, part in enumerate(field, 1) if part.endswith("xtraArgs")), None)
                out.append((field, of, first, last) if at is None else (field[:at], ARGUMENTS, first, last))
    return tuple(out)


@cache
def _minors(kind: Kind) -> tuple[Version, Version]:
    """The first and the last minor of a table."""
    every = [version(minor) for spans in _table(kind).values() for span in spans for minor in span.split()]
    return min(every), max(every)


@cache
def fields(kind: Kind, release: str) -> Mapping[Field, str]:
    """The fields of this Kubernetes with their types; those of the nearest known minor if it is unknown."""
    oldest, newest = _minors(kind)
    now = min(max(version(minor(release)), oldest), newest)
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


PROGRAMS: Mapping[tuple[Kind, Field], str] = {
    ("ClusterConfiguration", ("apiServer", "extraArgs")): "kube-apiserver",
    ("ClusterConfiguration", ("controllerManager", "extraArgs")): "kube-controller-manager",
    ("ClusterConfiguration", ("scheduler", "extraArgs")): "kube-scheduler",
    ("ClusterConfiguration", ("etcd", "local", "extraArgs")): "etcd",
    ("NodeRegistrationOptions", ("kubeletExtraArgs",)): "kubelet",
}
"""The program that gets the arguments of a field."""


def pattern(path: tuple[Any, ...]) -> Field:
    """The path of a value as that of its field."""
    return tuple(ITEM if isinstance(part, int) else str(part) for part in path)


def without_null(value: object) -> Any:
    """A value without everything in it that is null: in a profile, null removes a field."""
    if isinstance(value, dict):
        return {key: without_null(child) for key, child in value.items() if child is not None}
    return [without_null(child) for child in value] if isinstance(value, list) else value


def arguments(value: object) -> list[tuple[str, str]]:
    """Name and value of each argument, from either form: a mapping, or a list of mappings of name and value."""
    if isinstance(value, dict):
        return [(str(name), _text(given)) for name, given in value.items() if given is not None]
    rows = value if isinstance(value, list) else []
    return [(str(row.get("name", "")), _text(row.get("value", ""))) for row in rows if isinstance(row, dict)]


def _text(value: object) -> str:
    """A value as it is on a command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
