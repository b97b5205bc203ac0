"""Patches: JSON patch, merge patch, and the strategic merge patch as far as kubectl and helm send it."""

from __future__ import annotations

import copy
from typing import Any

_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "addresses": "type",
    "conditions": "type",
    "ownerReferences": "uid",
    "hostAliases": "ip",
}


class BadPatchError(ValueError):
    """It cannot be applied."""


def merge(value: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    out = dict(value) if isinstance(value, dict) else {}
    for key, inner in patch.items():
        if inner is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), inner)
    return out


def strategic(value: Any, patch: Any, field: str = "") -> Any:
    """Lists of objects that have a name are merged by it; other lists are put in the place of the old."""
    if isinstance(patch, dict):
        if patch.get("$patch") == "replace":
            return {key: inner for key, inner in patch.items() if key != "$patch"}
        out = dict(value) if isinstance(value, dict) else {}
        for key, inner in patch.items():
            if key == "$retainKeys":
                out = {name: kept for name, kept in out.items() if name in inner}
            elif key.startswith("$deleteFromPrimitiveList/"):
                name = key.partition("/")[2]
                out[name] = [item for item in out.get(name, []) if item not in inner]
            elif key.startswith("$"):
                continue  # the order of a list: nobody here depends on it
            elif inner is None:
                out.pop(key, None)
            else:
                out[key] = strategic(out.get(key), inner, key)
        return out
    if isinstance(patch, list) and (key := _key(field, patch)):
        return _lists(value if isinstance(value, list) else [], patch, key)
    return copy.deepcopy(patch)


def _key(field: str, patch: list[Any]) -> str | None:
    if field == "ports":  # a Service's and a container's differ
        return "port" if any("port" in item for item in patch if isinstance(item, dict)) else "containerPort"
    return _KEYS.get(field)


def _lists(old: list[Any], patch: list[Any], key: str) -> list[Any]:
    out = [dict(item) for item in old]
    for item in patch:
        place = next((at for at, have in enumerate(out) if have.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            if place is not None:
                del out[place]
        elif place is None:
            out.append(strategic({}, item))
        else:
            out[place] = strategic(out[place], item)
    return out


def json_patch(value: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902: add, remove, replace and test."""
    out = copy.deepcopy(value)
    for operation in operations:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        target = out
        try:
            for part in parts[:-1]:
                target = target[int(part)] if isinstance(target, list) else target[part]
            _operate(target, parts[-1], operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise BadPatchError(f"{operation['op']} {operation['path']}: {error}") from error
    return out


def _operate(target: Any, name: str, operation: dict[str, Any]) -> None:
    what = operation["op"]
    place: Any = name
    if isinstance(target, list):
        place = len(target) if name == "-" else int(name)
    if what == "test":
        if target[place] != operation["value"]:
            raise ValueError("the test failed")
    elif what == "remove":
        del target[place]
    elif what == "add" and isinstance(target, list):
        target.insert(place, operation["value"])
    elif what in ("add", "replace"):
        if what == "replace":
            target[place]
        target[place] = operation["value"]
    else:
        raise ValueError("no such operation")
