"""What a key means, from its declaration; in a profile also its value, every place that set it, and what follows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from imgbuild.cli.wrap import wrap
from imgbuild.config.declared import ITEM, Place, documents, places, root, top
from imgbuild.config.layers import Layered, closest
from imgbuild.config.load import Loaded, defaults_of
from imgbuild.config.redact import is_known, shown
from imgbuild.config.set_option import key_path
from imgbuild.config.setting import Like, Listed, Scope
from imgbuild.config.setting_words import LONG, default_words, example_words, type_words, without_links
from imgbuild.diagnostics.errors import UsageError
from imgbuild.diagnostics.findings import Path, format_path
from imgbuild.outputs.follow import Follows, follows

_SCOPES: Mapping[Scope, str] = {
    "image": "image: part of the disk image, which all nodes share",
    "seed": "seed: part of the seed, so each node may have its own",
    "cluster": "cluster: the same for all nodes of one run",
}


@dataclass(frozen=True)
class Value:
    """One place that set a key. The last one counts."""

    key: str
    value: Any
    place: str


@dataclass(frozen=True)
class Explained:
    """Everything known about a key."""

    key: str
    place: Place | None
    """The declaration; None if there is none, in an input with errors."""
    exact: bool
    """Whether the key itself is declared; else ``place`` is its parent: it is one of the chart's values."""
    below: tuple[Place, ...]
    """The settings of a section, or of each item of a list."""
    values: tuple[Value, ...]
    follows: Follows | None


def explain(key: str, loaded: Loaded | None, nodes: Layered | None = None, *, render: bool) -> Explained:
    """What is known about ``key``: in a profile if it is ``loaded``, in a cluster file (``nodes``) if there is one.

    ``render``: whether the profile can be rendered, to find the files that follow from it.

    Raises:
        UsageError: there is no such key.
    """
    path = key_path(key.replace(ITEM, "[0]"))
    place, exact = _declared(path) if path is not None else (None, False)
    told = exact and not (place is not None and place.model is None and default_words(place) == LONG)
    ground = loaded.layered if loaded is not None else Layered() if told else defaults_of(None)
    sources = [layered for layered in (ground, nodes) if layered is not None]
    history = {format_path(path): (path, layered) for layered in sources for path in layered.history if path}
    below = sorted(name for name in history if name.startswith((f"{key}.", f"{key}[")))
    if place is None and key not in history and not below:
        known = {*history, *(found.key for model in documents().values() for found in places(model))}
        hint = closest(key, sorted(known)) or "list the keys of a section, for example with imgbuild explain kernel"
        raise UsageError(f"there is no key {key}", hint)
    names = [key] if key in history and not below else below
    names += sorted(name for name in history if name.startswith("nodes[") and name.endswith(f"].settings.{key}"))
    values = tuple(value for name in names for value in _values(name, *history[name]))
    declared = place if place is not None and place.setting is not None else None
    parts = tuple(_settings(declared)) if declared is not None and exact else ()
    tried = None
    if render and loaded is not None and path in loaded.layered.history and not (declared and declared.model):
        tried = follows(loaded, path)
    return Explained(key, declared, exact, parts, values, tried)


def _declared(path: Path) -> tuple[Place | None, bool]:
    """What is declared at a key, and whether for this key itself: the chart's values are declared as a whole."""
    here = top(path)
    for number, part in enumerate(path):
        if here is not None and (listed := here.find(Listed)) is not None:
            return (here, False) if is_known(listed, path[number:]) else (None, False)
        if here is not None and (like := here.find(Like)) is not None:
            here = root(like.model)  # a node's settings are keys of a profile
        here = here.below(part) if here is not None else None
    return here, True


def _settings(place: Place) -> Iterator[Place]:
    for below in place.children():
        if below.model is None or below.nullable:
            yield below
        if below.model is not None:
            yield from _settings(below)


def _values(name: str, path: Path, layered: Layered) -> Iterator[Value]:
    filled = any(below[:-1] == path for below in layered.history)
    for mark, value in layered.history[path]:
        if not (isinstance(value, (dict, list)) and (value or filled)):
            yield Value(name, shown(path, value), str(mark))


def lines(found: Explained, width: int) -> Iterator[str]:
    """As text."""
    place = found.place
    if place is not None and place.setting is not None:
        said = place.setting.description if found.exact else f"Below {place.key}: {place.setting.description}"
        yield from wrap(_plain(said), width)
        yield ""
        if place.model is None and found.exact:
            yield from _facts(place, width)
            yield ""
    for below in found.below if (place is not None and place.model is None) or not found.values else ():
        text = _plain(below.setting.description) if below.setting is not None else ""
        yield from wrap(f"{below.key}: {text}", width, subsequent_indent="  ")
    if found.below and found.values and place is not None and place.model is None:
        yield ""
    for value in found.values:
        yield f"{value.key} = {json.dumps(value.value, ensure_ascii=False, default=str)}  ({value.place})"
    if found.follows is not None and found.follows.tried:
        yield ""
        tried = ", ".join(json.dumps(value, ensure_ascii=False) for value in found.follows.tried)
        head = "These differ on the node" if found.follows.names else "No file on the node differs"
        yield from wrap(f"{head} with another value (tried: {tried}){':' if found.follows.names else '.'}", width)
        yield from (f"  {name}" for name in found.follows.names)


def _facts(place: Place, width: int) -> Iterator[str]:
    assert place.setting is not None  # noqa: S101 - checked by the caller
    facts = {
        "type": type_words(place),
        "default": default_words(place),
        "example": example_words(place),
        "scope": _SCOPES[place.scope] if _scoped(place) else "",
        "secret": "yes: the value is never shown" if place.secret else "",
        "recipe": place.setting.recipe,
    }
    for name, text in facts.items():
        if text:
            said = f"  {name:<8} {_plain(text) if name != 'recipe' else text}"
            yield from wrap(said, width, subsequent_indent=" " * 11)


def _scoped(place: Place) -> bool:
    """Whether its scope means something: only a profile's keys can be set for a node."""
    model = [*place.line][-1].model
    return model is not None and issubclass(documents()["profile"], model)


def _plain(text: str) -> str:
    """Markdown as plain text for a terminal."""
    return re.sub(r"`([^`]*)`", r"\1", without_links(text))


def as_json(found: Explained) -> dict[str, Any]:
    """As JSON."""
    place = found.place
    out: dict[str, Any] = {"key": found.key}
    if place is not None and place.setting is not None:
        out |= {"description": _plain(place.setting.description)}
        if place.model is None and found.exact:
            out |= {"type": _plain(type_words(place)), "default": _plain(default_words(place))}
            out |= {"scope": place.scope if _scoped(place) else None, "example": place.setting.example}
            out |= {"secret": place.secret, "recipe": place.setting.recipe or None}
    if found.below:
        out["keys"] = [below.key for below in found.below]
    out["values"] = [{"key": value.key, "value": value.value, "place": value.place} for value in found.values]
    if found.follows is not None:
        out |= {"files": list(found.follows.names), "tried": list(found.follows.tried)}
    return out
