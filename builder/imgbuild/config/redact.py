"""What may be private, and what is shown in its place: in messages, by `explain` and `diff`, in the manifest, in logs.

Two questions, one answer each. Whether a *key's value* is private follows from the models: a field says so by its type
(`PRIVATE`), and what no model declares is private, because nobody knows what it is. What a *text* holds of logins and
signatures is found by its form (imgbuild.diagnostics.mask).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from imgbuild.config.data import data_dir
from imgbuild.diagnostics.mask import NOT_SHOWN, mask

_SET = "(set)"


@dataclass(frozen=True)
class _Private:
    """The type of `PRIVATE`."""


PRIVATE = _Private()
"""In a field's Annotated: its value is never shown, logged or put into the manifest."""


@dataclass(frozen=True)
class Like:
    """In a field's Annotated: what is below it has the keys of ``model`` (a lambda, for a model that comes later)."""

    model: type[BaseModel]


@dataclass(frozen=True)
class Listed:
    """In a field's Annotated: only the keys of a table of profiles/versions may be shown, and those not by every name.

    What is below a key of the table is the user's own: environment, arguments, annotations.
    """

    table: str

    def shows(self, path: Sequence[str | int]) -> bool:
        """Whether the value at ``path``, below the field, may be shown. The items of a list are their key's."""
        key = ".".join(str(part) for part in path if isinstance(part, str))
        return key in _listed(self.table) and not _FREE.search(key)


_FREE = re.compile(r"(?i)(^|\.)(key|[a-z]*(args|env|config))$|password|token")  # tls.ca.key, extraArgs, extraConfig
_NAME = re.compile(r"[^\W\d][\w./-]{0,39}")


@cache
def _listed(table: str) -> frozenset[str]:
    text = (data_dir("profiles") / "versions" / f"{table}.yaml").read_text(encoding="utf-8")
    return frozenset(key for keys in yaml.load(text, Loader=yaml.CSafeLoader).values() for key in keys.split())


@dataclass(frozen=True)
class _Kind:
    """What a model holds at a place: an annotation without Annotated and "or null", and what those said of it."""

    type: Any
    said: tuple[object, ...]


def _kind(annotation: Any, said: tuple[object, ...] = ()) -> _Kind:
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            said = (*said, *more)
        elif get_origin(annotation) in (Union, UnionType):
            kinds = [_kind(member) for member in get_args(annotation) if member is not NoneType]
            said = (*said, *(word for kind in kinds for word in kind.said))
            annotation = kinds[0].type
        else:
            return _Kind(annotation, said)


def _below(kind: _Kind, part: str | int) -> _Kind | None:
    """What is at a key or an index; None: nothing is declared there."""
    here = kind.type
    if isinstance(here, type) and issubclass(here, BaseModel):
        field = here.model_fields.get(part) if isinstance(part, str) else None
        return _kind(field.annotation, tuple(field.metadata)) if field is not None else None
    if get_origin(here) is list and isinstance(part, int):
        return _kind(get_args(here)[0])
    if get_origin(here) is dict and isinstance(part, str):
        return _kind(get_args(here)[1])
    return None


@cache
def _documents() -> dict[str, _Kind]:
    """The top-level keys of all files that imgbuild reads: no two kinds of files share one."""
    from imgbuild.config.cluster import Cluster
    from imgbuild.config.profile import Profile
    from imgbuild.config.secrets import Secrets

    out = {"extends": _kind(list[str])}
    for model in (Profile, Cluster, Secrets):
        out |= {name: _kind(field.annotation, tuple(field.metadata)) for name, field in model.model_fields.items()}
    return out


def is_private(path: Sequence[str | int]) -> bool:
    """Whether the value at this key may be private: it is never shown, logged or put into the manifest."""
    return _is_private(tuple(0 if isinstance(part, int) else part for part in path))


@cache
def _is_private(path: tuple[str | int, ...]) -> bool:
    kind = _documents().get(str(path[0])) if path else None
    for number in range(1, len(path) + 1):
        if kind is None:
            return True
        for word in kind.said:
            if isinstance(word, _Private):
                return True
            if isinstance(word, Listed):
                return not word.shows(path[number:])
            if isinstance(word, Like):
                return _is_private(path[number:])
        if number < len(path):
            kind = _below(kind, path[number])
    return kind is None or any(True for _ in _private_names(kind))


def _private_names(kind: _Kind, name: str = "") -> Iterator[str]:
    """The fields at and below a place that may be private: ``name`` is that of the place itself."""
    if any(isinstance(word, _Private | Listed) for word in kind.said):
        yield name
    here = kind.type
    if isinstance(here, type) and issubclass(here, BaseModel):
        for below, field in here.model_fields.items():
            yield from _private_names(_kind(field.annotation, tuple(field.metadata)), below)
    elif get_origin(here) in (list, dict):
        yield from _private_names(_kind(get_args(here)[-1]), name)


@cache
def _signs() -> re.Pattern[str]:
    names = {name for top, kind in _documents().items() for name in _private_names(kind, top)}
    names |= {"settings"}
    return re.compile(rf"(?i)\b({'|'.join(sorted(map(re.escape, names)))}|password|secret|token|key)\b['\"]?\s*:")


def may_hold_private(text: str) -> bool:
    """Whether a text that cannot be read as YAML may hold anything private: any private key's name is in it."""
    return "-----BEGIN" in text or _signs().search(text) is not None


def shown(path: Sequence[str | int], value: Any) -> Any:
    """A value as it may be shown: ``(set)`` in place of a private one, and no login in an address."""
    if value is None or value == [] or value == {}:
        return value
    if is_private(path):
        return _SET
    return mask(value) if isinstance(value, str) else value


def shown_path(path: Sequence[str | int]) -> tuple[str | int, ...]:
    """A key's path as it may be shown: a part that nobody declared, and that is not a word, may be a piece of a value.

    A file whose text has lost its indentation is read so: its lines become keys.
    """
    out: list[str | int] = []
    for number, part in enumerate(path, 1):
        known = isinstance(part, int) or not _undeclared(tuple(path[:number])) or _NAME.fullmatch(part)
        out.append(part if known else NOT_SHOWN)
    return tuple(out)


def _undeclared(path: tuple[str | int, ...]) -> bool:
    kind = _documents().get(str(path[0]))
    for number in range(1, len(path)):
        if kind is None:
            return True
        if any(isinstance(word, Listed) for word in kind.said):
            return False  # checks name the keys of the chart
        like = next((word for word in kind.said if isinstance(word, Like)), None)
        if like is not None:
            return _undeclared(path[number:])
        kind = _below(kind, path[number])
    return kind is None
