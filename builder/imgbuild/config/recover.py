"""A model without the invalid values of a file: they are reported already, and the rest can be checked at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Set
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from imgbuild.config.validate import real_path
from imgbuild.diagnostics.findings import Path

M = TypeVar("M", bound=BaseModel)
_ROUNDS = 12
"""A value that goes can leave a section invalid that requires it, which then goes in the next round."""


def recover(model: type[M], given: object, ground: Mapping[str, Any]) -> tuple[M | None, set[Path]]:
    """``given`` as a model, and the places of what was invalid: a key has its value of ``ground`` there, or is gone.

    An item of a list never goes alone, because the others would get other numbers. None if nothing helps.
    """
    data: Any = copy.deepcopy(given) if isinstance(given, dict) else {}
    places: set[Path] = set()
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(data), places
        except ValidationError as error:
            found = {_place(item, data, ground) for item in error.errors(include_url=False, include_context=False)}
        gone = {_outside(place, places) for place in found}
        if () in gone:
            return None, places
        for place in gone:
            put_back(data, ground, place)
        places |= gone
    return None, places


def _outside(place: Path, places: Set[Path]) -> Path:
    """The key that has to go for what is at ``place``; what encloses it if it went in an earlier round."""
    while place and (place in places or isinstance(place[-1], int)):
        place = place[:-1]
    return place


def _place(item: ErrorDetails, data: object, ground: object) -> Path:
    """What has to go, or come: of a section that lacks a key the whole, unless ``ground`` has that key."""
    path = real_path(item, data)
    if item["type"] != "missing":
        return path
    here: Any = ground
    for part in path:
        here = _inside(here, part)
    return path[:-1] if here is None else path


def put_back(data: Any, ground: Any, path: Path) -> None:
    """The value of ``ground`` at ``path`` in place of that of ``data``, which is gone if ``ground`` has none."""
    for part in path[:-1]:
        data = _inside(data, part)
        ground = _inside(ground, part)
    if not isinstance(data, dict):
        return
    data.pop(path[-1], None)
    if isinstance(ground, Mapping) and path[-1] in ground:
        data[path[-1]] = copy.deepcopy(ground[path[-1]])


def _inside(data: Any, part: str | int) -> Any:
    try:
        return data[part]
    except (KeyError, IndexError, TypeError):
        return None
