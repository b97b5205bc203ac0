"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
_FIELDS: dict[str, Callable[[Object], Any]] = {
    "metadata.name": lambda o: o["metadata"].get("name", ""),
    "metadata.namespace": lambda o: o["metadata"].get("namespace", ""),
    "spec.nodeName": lambda o: o.get("spec", {}).get("nodeName", ""),
    "status.phase": lambda o: o.get("status", {}).get("phase", ""),
    "type": lambda o: o.get("type", ""),
    "spec.unschedulable": lambda o: str(o.get("spec", {}).get("unschedulable", False)).lower(),
    "involvedObject.name": lambda o: o.get("involvedObject", {}).get("name", ""),
}


class BadSelectorError(ValueError):
    """It cannot be read."""


def matches(found: Object, labels: str, fields: str) -> bool:
    """Whether both selectors choose the object. Raises BadSelectorError."""
    own = found["metadata"].get("labels") or {}
    return all(_label(own, term) for term in _terms(labels)) and all(
        _field(found, term) for term in fields.split(",") if term
    )


def _terms(text: str) -> list[str]:
    """Split at the commas that are not inside brackets."""
    return [term.strip() for term in re.split(r",(?![^(]*\))", text) if term.strip()]


def _label(own: dict[str, str], term: str) -> bool:
    if found := re.fullmatch(r"([\w./-]+) +(in|notin) +\(([^)]*)\)", term):
        inside = own.get(found[1]) in [value.strip() for value in found[3].split(",")]
        return inside if found[2] == "in" else not inside
    if found := re.fullmatch(r"([\w./-]+) *(==|=|!=) *([\w.-]*)", term):
        same = own.get(found[1]) == found[3]
        return not same if found[2] == "!=" else same
    if found := re.fullmatch(r"(!?) *([\w./-]+)", term):
        return (found[2] in own) != bool(found[1])
    raise BadSelectorError(f"unable to parse requirement: {term}")


def _field(found: Object, term: str) -> bool:
    split = re.fullmatch(r"([\w.]+?)(==|!=|=)(.*)", term)
    if split is None or split[1] not in _FIELDS:
        raise BadSelectorError(f"field label not supported: {term}")
    same = str(_FIELDS[split[1]](found)) == split[3]
    return not same if split[2] == "!=" else same
