"""What may be private, and what is shown instead: in messages, by `explain` and `diff`, in the manifest, in logs.

Whether a *key's value* is private follows from the models: a setting declares it (``secret``), and what no model
declares is private, because its meaning is unknown. Logins and signatures in a *text* are found by their form
(imgbuild.diagnostics.mask).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from imgbuild.config.data import versions
from imgbuild.config.declared import ITEM, Place, anywhere, documents, places, top
from imgbuild.config.fields import Model
from imgbuild.config.reference import FORMS, Reference
from imgbuild.config.setting import Like, Listed
from imgbuild.diagnostics.mask import NOT_SHOWN, mask

_SET = "(set)"
_FORMS = tuple((form,) for form in FORMS)
_ADDRESS = re.compile(r"https?://")
_NAME = re.compile(r"[^\W\d][\w./-]{0,39}")


@cache
def _table(name: str) -> frozenset[str]:
    """The keys of a table of profiles/versions: any headings above keys separated by blanks.

    Below a heading that begins with "map of", the user chooses the names below a key: ``.*``.
    """
    return frozenset(_keys(versions(name)))


def _keys(headings: Mapping[str, Any]) -> Iterator[str]:
    for heading, keys in headings.items():
        if isinstance(keys, dict):
            yield from _keys(keys)
        else:
            names = keys.replace(ITEM, "").split()
            yield from names
            yield from (f"{name}.*" for name in names if heading.startswith("map of "))


def is_known(tables: Listed, path: Sequence[str | int]) -> bool:
    """Whether the tables have a key, or keys below it."""
    key = _key(path)
    return _of_map(tables, path) or any(known == key or known.startswith(f"{key}.") for known in _table(tables.known))


def _of_map(tables: Listed, path: Sequence[str | int]) -> bool:
    """Whether the last part is a name that the user chooses, below a key of the tables."""
    return f"{_key(path[:-1])}.*" in _table(tables.known)


def _key(path: Sequence[str | int]) -> str:
    """A path as the tables write it: list items count as their key."""
    return ".".join(part for part in path if part != ITEM and isinstance(part, str))


def _listed(tables: Listed, path: Sequence[str | int]) -> bool:
    """Whether the tables allow the value at ``path`` to be shown."""
    key = _key(path)
    known = key in _table(tables.known) or _of_map(tables, path)
    return known and not any(key == secret or key.startswith(f"{secret}.") for secret in _table(tables.secret))


def is_private(path: Sequence[str | int]) -> bool:
    """Whether the value at this key may be private: it is never shown, logged or put into the manifest."""
    return _is_private(_pattern(path))


def _pattern(path: Sequence[str | int]) -> tuple[str, ...]:
    """A path in which each item of a list is the same: what is known about it is then kept once."""
    return tuple(ITEM if isinstance(part, int) else part for part in path)


@cache
def _place(path: tuple[str, ...]) -> Place | None:
    """What the models declare at ``path``; None if nothing."""
    if len(path) < 2:
        here = top(path)
        return here.below(path[0]) if here is not None and path else here
    above = _place(path[:-1])
    return above.below(path[-1]) if above is not None else None


@cache
def _is_private(path: tuple[str, ...]) -> bool:
    here: Place | None = None
    for number in range(1, len(path) + 1):
        here = _place(path[:number])
        if here is not None and here.find(Reference) is not None and path[number:] in _FORMS:
            return False
        if here is None or here.secret:
            return True
        listed = here.find(Listed)
        if listed is not None:
            return not _listed(listed, path[number:])
    return here is None or here.find(Like) is not None or _holds_private(here)


def _holds_private(here: Place) -> bool:
    """Whether something at or below a place may be private."""
    return here.secret or here.find(Listed) is not None or any(map(_holds_private, here.children()))


@cache
def _public_names() -> frozenset[str]:
    """The declared names, except those that may have a private value anywhere."""
    every = [place for model in documents().values() for place in places(model)]
    hidden = {p.path[-1] for p in every if p.secret or p.find(Listed) is not None or p.find(Like) is not None}
    return frozenset(place.path[-1] for place in every) - hidden


# A key of YAML: at the start of a line, after the dashes of a list, or after a brace or a comma.
_KEYS = re.compile(
    r"""(?m)(?:^[ \t]*(?:-[ \t]+)*|[{,][ \t]*)["']?([^\s"'{}\[\],:#-][^\s"'{}\[\],:]*)["']?[ \t]*:(?!//)"""
)
_LINE = re.compile(
    r"[ \t]*(?:$|#|---|-[ \t]|[\]}]|(?:-[ \t]+)*[{\"']*[^\s\"'{}\[\],:#?-][^\s\"'{}\[\],:]*[\"']?[ \t]*:)"
)


def may_hold_private(text: str) -> bool:
    """Whether a text that cannot be read as YAML may contain anything private.

    It may, unless each of its lines has a known form, and each of its keys is declared and public.
    """
    if "-----BEGIN" in text or not all(map(_LINE.match, text.split("\n"))):
        return True
    return any(found[1] not in _public_names() for found in _KEYS.finditer(text))


def shown(path: Sequence[str | int], value: Any) -> Any:
    """A value as it may be shown: ``(set)`` in place of a private one, and no login in an address."""
    if value is None or value == [] or value == {}:
        return value
    if is_private(_of_text(path) if isinstance(value, str) and _ADDRESS.match(value) else path):
        return _SET
    return mask(value) if isinstance(value, str) else value


def _of_text(path: Sequence[str | int]) -> Sequence[str | int]:
    """The key that an address is the value of: that of a mapping's field, if it may be in place of the mapping."""
    here = anywhere(path)
    model = here.model if here is not None else None
    return (*path, model.plain) if model is not None and issubclass(model, Model) and model.plain else path


def shown_path(path: Sequence[str | int]) -> tuple[str | int, ...]:
    """A key's path as it may be shown: an undeclared part that is not a word may be part of a value.

    That happens to a text that has lost its indentation: its lines become keys.
    """
    pattern = _pattern(path)
    return tuple(
        part if isinstance(part, int) or _is_shown(pattern[:number]) else NOT_SHOWN
        for number, part in enumerate(path, 1)
    )


def is_shown_key(path: Sequence[str | int]) -> bool:
    """Whether the last part of a key's path may be shown."""
    return _is_shown(_pattern(path))


@cache
def _is_shown(path: tuple[str, ...]) -> bool:
    return _declared(path) or _NAME.fullmatch(path[-1]) is not None


def _declared(path: tuple[str, ...]) -> bool:
    for number in range(1, len(path) + 1):
        here = _place(path[:number])
        if here is None:
            return False
        if here.find(Listed) is not None:
            return True  # checks name the keys of the chart
    return True
