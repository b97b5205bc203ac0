"""What the models declare for a key: type, limits, default, and the setting's texts (imgbuild.config.setting).

A key's path is that of a value (``users``, 0, ``name``) or of a pattern, in which ``[]`` means each item of a list
and ``NAME`` a name that the user chooses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from imgbuild.config.setting import ANOTHER_PROFILE, Like, Scope, Setting

T = TypeVar("T")
ITEM, NAME = "[]", "NAME"


@dataclass(frozen=True, eq=False)
class Place:
    """What is declared at one key. Those below it are made once: each value of each file asks for its own."""

    path: tuple[str, ...]
    type: Any
    """The annotation without Annotated and without "or null"."""
    hint: Any
    """The annotation in full."""
    said: tuple[object, ...]
    """What the annotation's Annotated have, including those of a member of a union."""
    above: Place | None = None
    field: FieldInfo | None = None
    """None: an item of a list, a value of a mapping, a whole file."""
    _below: dict[str, Place] = dataclasses.field(default_factory=dict, repr=False)

    def find(self, kind: type[T]) -> T | None:
        """The declaration of this kind for the place itself."""
        return next((word for word in self.said if isinstance(word, kind)), None)

    @property
    def key(self) -> str:
        """The key as the reference writes it: ``users[].name``."""
        return ".".join(self.path).replace(f".{ITEM}", ITEM)

    @property
    def setting(self) -> Setting | None:
        """The declaration; None for an item of a list and similar places."""
        return self.find(Setting)

    @cached_property
    def model(self) -> type[BaseModel] | None:
        """The model that the value is an instance of."""
        return self.type if isinstance(self.type, type) and issubclass(self.type, BaseModel) else None

    @property
    def nullable(self) -> bool:
        """Whether it may be null."""
        return NoneType in get_args(_plain(self.hint))

    @property
    def line(self) -> Iterator[Place]:
        """The place itself and those above it, outwards."""
        here: Place | None = self
        while here is not None:
            yield here
            here = here.above

    @property
    def settings(self) -> Iterator[Setting]:
        """The declarations that apply here, the nearest first."""
        return (place.setting for place in self.line if place.setting is not None)

    @property
    def scope(self) -> Scope:
        """Where a value takes effect: the nearest declaration counts; by default the image."""
        return next((setting.scope for setting in self.settings if setting.scope is not None), "image")

    @property
    def instead(self) -> str:
        """What to do instead of setting it for a single node."""
        return next((setting.instead for setting in self.settings if setting.instead), "")

    @property
    def cluster_wide(self) -> bool:
        """Whether a cluster file may set it for all nodes: not what decides which image they boot from."""
        return self.scope != "cluster" or self.instead != ANOTHER_PROFILE

    @cached_property
    def secret(self) -> bool:
        """Whether this or a place above it is declared secret."""
        return any(setting.secret for setting in self.settings)

    def below(self, part: str | int) -> Place | None:
        """What is declared at a key or an index; None if nothing is."""
        like = self.find(Like) if self.model is None else None
        model = like.model if like is not None else self.model
        if model is not None:
            found = model.model_fields.get(part) if isinstance(part, str) else None
            return self._once(str(part), lambda: _of_field(found, str(part), self)) if found is not None else None
        kind = get_origin(self.type)
        if kind is list and (isinstance(part, int) or part == ITEM):
            return self._once(ITEM, lambda: _of_type(get_args(self.type)[0], (*self.path, ITEM), self))
        if kind is dict and isinstance(part, str):
            return self._once(NAME, lambda: _of_type(get_args(self.type)[1], (*self.path, NAME), self))
        return None

    def _once(self, part: str, make: Callable[[], Place]) -> Place:
        if part not in self._below:
            self._below[part] = make()
        return self._below[part]

    def children(self) -> Iterator[Place]:
        """The fields of the model that is here or in the items of what is here; what has `Like` has none of its own."""
        here: Place | None = self
        while here is not None and here.model is None and get_origin(here.type) in (list, dict):
            here = here.below(ITEM if get_origin(here.type) is list else NAME)
        if here is not None and here.model is not None:
            yield from (below for name in here.model.model_fields if (below := here.below(name)) is not None)


def _of_field(field: FieldInfo, name: str, above: Place) -> Place:
    kind, said = _bare(field.annotation)
    hint = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return Place((*above.path, name), kind, hint, (*field.metadata, *said), above, field)


def _of_type(hint: Any, path: tuple[str, ...], above: Place | None) -> Place:
    kind, said = _bare(hint)
    return Place(path, kind, hint, said, above)


def _plain(hint: Any) -> Any:
    """A type without its Annotated."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint


def _bare(hint: Any) -> tuple[Any, tuple[object, ...]]:
    """A type without Annotated and "or null", and their metadata."""
    said: tuple[object, ...] = ()
    while True:
        if get_origin(hint) is Annotated:
            hint, *more = get_args(hint)
            said = (*said, *more)
        elif get_origin(hint) in (Union, UnionType):
            members = [_bare(member) for member in get_args(hint) if member is not NoneType]
            said = (*said, *(word for _, words in members for word in words))
            hint = members[0][0]
        else:
            return hint, said


@cache
def root(model: type[BaseModel]) -> Place:
    """The place of a whole file."""
    return Place((), model, model, ())


def places(model: type[BaseModel]) -> Iterator[Place]:
    """Every key of a file, sections too, in the order of the models."""

    def walk(here: Place) -> Iterator[Place]:
        for place in here.children():
            yield place
            yield from walk(place)

    return walk(root(model))


def place(model: type[BaseModel], path: Sequence[str | int]) -> Place | None:
    """What a file's model declares at ``path``; None if nothing."""
    return _down(root(model), path)


def _down(here: Place | None, path: Sequence[str | int]) -> Place | None:
    for part in path:
        here = here.below(part) if here is not None else None
    return here


def keys_at(model: type[BaseModel], path: Sequence[str | int]) -> Sequence[str]:
    """The keys of the section at ``path``, through lists and mappings of models; none if it is not a section."""
    here = place(model, path)
    return list(here.model.model_fields) if here is not None and here.model is not None else []


def nearest(model: type[BaseModel], path: Sequence[str | int]) -> Place:
    """What is declared at ``path``, or at the nearest key above it: ``cilium.values`` for one of the chart's keys."""
    here = root(model)
    for part in path:
        below = here.below(part)
        if below is None:
            break
        here = below
    return here


def others(place: Place, now: object) -> list[Any]:
    """Values that a setting may have instead of its current one: by its type, else its example."""
    if place.type is bool or isinstance(now, bool):
        return [not now]
    if get_origin(place.type) is Literal:
        return [member for member in get_args(place.type) if member != now]
    if place.setting is None:
        return [now + 1] if isinstance(now, int) else []
    return [place.setting.example] if place.setting.example not in (None, now) else []


@cache
def documents() -> Mapping[str, type[BaseModel]]:
    """The kinds of files that imgbuild reads, by name. No two share a key at the top."""
    from imgbuild.config.cluster import Cluster
    from imgbuild.config.lock import Lock
    from imgbuild.config.profile import ProfileFile
    from imgbuild.config.secrets import Secrets

    return {"profile": ProfileFile, "cluster": Cluster, "secrets": Secrets, "lock": Lock}


def top(path: Sequence[str | int]) -> Place | None:
    """The whole file that has the first key of ``path``; None if there is none."""
    models = (model for model in documents().values() if path and path[0] in model.model_fields)
    model = next(models, None)
    return root(model) if model is not None else None


def anywhere(path: Sequence[str | int]) -> Place | None:
    """What is declared at ``path`` in the file that has its first key; None if nothing."""
    return _down(top(path), path)
