"""The JSON Schemas of profiles, cluster files and locks, for editors: made from the declarations in the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from imgbuild.config.declared import documents
from imgbuild.config.setting_words import without_links
from imgbuild.config.target import load_target, target_names

Kind = Literal["profile", "cluster", "lock"]
KINDS: tuple[Kind, ...] = ("profile", "cluster", "lock")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
WHERE = "https://raw.githubusercontent.com/imgbuild/imgbuild/main/schemas/{kind}.json"
_ABOUT = {
    "profile": ("imgbuild profile", "Which node to build: a profile, or a layer that is applied on top of one."),
    "cluster": ("imgbuild cluster file", "The machines of a cluster, their roles and their networks."),
    "lock": ("imgbuild.lock", "What profiles need from outside, pinned: `imgbuild lock` writes it."),
}
Schema = dict[str, Any]


def json_schema(kind: Kind) -> Schema:
    """The schema of one kind of file, draft 2020-12."""
    made: Schema = documents()[kind].model_json_schema()
    parts: Schema = made.pop("$defs")
    title, description = _ABOUT[kind]
    # A profile or a layer is merged with others and may have any subset of the keys. List items must be complete.
    whole = {name for name in parts if any(_is_item(part, name) for part in (made, *parts.values()))}
    laid = _parts_of_profile(parts)
    docstrings = {}
    for name, part in parts.items():
        docstrings[name] = part.pop("description", "")  # for developers
        if name not in whole and (kind == "profile" or name in laid):
            part.pop("required", None)
    if kind == "profile":
        made.pop("required", None)
    for here in (made, *parts.values()):
        for key in here["properties"].values():
            if "$ref" in key:  # pydantic omits a description that equals the docstring
                key.setdefault("description", docstrings[key["$ref"].rpartition("/")[2]])
        _finish(here)
    for here in (made, parts.get("Profile", {})):
        if "target" in here.get("properties", {}):
            here["properties"]["target"]["enum"] = target_names()
    if "Kernel" in parts:
        parts["Kernel"]["properties"]["flavour"]["enum"] = _flavours()
    head = {"$schema": DIALECT, "$id": WHERE.format(kind=kind)}
    return {**head, **made, "title": title, "description": description, "$defs": dict(sorted(parts.items()))}


def _parts_of_profile(parts: Schema) -> set[str]:
    """The parts that a node's settings have, which are applied on top of the profile."""
    found: set[str] = set()

    def follow(name: str) -> None:
        if name not in found and name in parts:
            found.add(name)
            for below in _references(parts[name]):
                follow(below)

    follow("Profile")
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _is_item(schema: Any, name: str) -> bool:
    """Whether a list somewhere in ``schema`` has items of the part ``name``."""
    if isinstance(schema, list):
        return any(_is_item(value, name) for value in schema)
    if not isinstance(schema, dict):
        return False
    items = schema.get("items")
    here = isinstance(items, dict) and items.get("$ref") == f"#/$defs/{name}"
    return here or any(_is_item(value, name) for value in schema.values())


def _finish(schema: Any) -> None:
    """Add to pydantic's schema, in place and recursively, what editors need in another form."""
    if isinstance(schema, list):
        for value in schema:
            _finish(value)
    if not isinstance(schema, dict):
        return
    patterns = schema.pop("patternProperties", None)
    if patterns is not None:  # names that match none of them are not allowed
        ((pattern, value),) = patterns.items()
        schema["propertyNames"] = {**schema.get("propertyNames", {}), "pattern": pattern}
        schema["additionalProperties"] = value
    if isinstance(schema.get("description"), str):
        schema["description"] = without_links(schema["description"])
    for name, value in schema.items():
        if name not in ("examples", "default", "enum"):
            _finish(value)


def _flavours() -> list[str]:
    return list(dict.fromkeys(flavour for name in target_names() for flavour in load_target(name).kernels))
