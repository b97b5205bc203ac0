"""A setting in words: its type and default as the reference and `imgbuild explain` write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from posixpath import join, normpath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from imgbuild.config.declared import Place
from imgbuild.config.flow import flow
from imgbuild.config.load import defaults_of
from imgbuild.config.reference import Reference
from imgbuild.config.setting import Words
from imgbuild.config.target import target_names

REQUIRED = "required"
LONG = "see base.yaml"
_LONG = 70
_FORMS = ("`{file: PATH}`", "`{env: NAME}`")
_PLAIN: Mapping[Any, str] = {bool: "`true`, `false`", int: "whole number", str: "text", object: "anything"}


def type_words(place: Place) -> str:
    """A setting's type with its limits and its unit, as Markdown."""
    unit = place.setting.unit if place.setting is not None else ""
    return f"{_type(place.hint)} ({unit})" if unit else _type(place.hint)


def _type(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join("`null`" if member is NoneType else _type(member) for member in args)
    if origin is Annotated:
        return _annotated(args[0], args[1:])
    if origin is Literal:
        return ", ".join(f"`{member}`" for member in args)
    if origin is list:
        return f"list: {_type(args[0])}" if _model(args[0]) is None else "list"
    if origin is dict or _model(hint) is not None:
        return "mapping"
    return _PLAIN[hint]


def _annotated(kind: Any, said: tuple[Any, ...]) -> str:
    limits: dict[str, Any] = {}
    for word in said:
        for part in word.metadata if isinstance(word, FieldInfo) else [word]:
            limits |= {name: getattr(part, name) for name in ("ge", "le", "min_length") if hasattr(part, name)}
    words = next((word.text for word in said if isinstance(word, Words)), None) or _type(kind)
    if "ge" in limits:
        words += f" {limits['ge']} to {limits['le']}"
    if any(isinstance(word, Reference) for word in said):
        return f"{words}, or {' or '.join(_FORMS)}"
    return f"{words}, not empty" if limits.get("min_length") else words


def _model(hint: Any) -> type[BaseModel] | None:
    while get_origin(hint) in (Annotated, Union, UnionType):
        hint = next(member for member in get_args(hint) if member is not NoneType)
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None


@cache
def _defaults() -> Mapping[str, Mapping[str, Any]]:
    """The defaults in base.yaml, under "", and those of each target."""
    return {name: defaults_of(name or None).data for name in ("", *target_names())}


def default_of(place: Place, target: str = "") -> object:
    """The default of a setting, on a target; ``REQUIRED`` if there is none."""
    if place.field is not None and not place.field.is_required():
        return place.field.get_default(call_default_factory=True)
    here: Any = _defaults()[target]
    for part in place.path:
        if not isinstance(here, Mapping) or part not in here:
            return REQUIRED
        here = here[part]
    return here


def default_words(place: Place) -> str:
    """The default, and what targets have instead, as Markdown."""
    common = default_of(place)
    if common is REQUIRED:
        return REQUIRED
    text = flow(common)
    if len(text) > _LONG:
        return LONG
    own = {name: flow(default_of(place, name)) for name in target_names()}
    return "; ".join([f"`{text}`", *(f"{name}: `{other}`" for name, other in own.items() if other != text)])


def without_links(text: str, folder: str = "docs/reference") -> str:
    """Markdown of a page in ``folder`` with its links written out, for places where they cannot be followed."""
    return re.sub(r"\[([^\]]*)\]\(([^)]*)\)", lambda found: f"{found[1]} ({normpath(join(folder, found[2]))})", text)


def example_words(place: Place) -> str:
    """A valid value on one line; empty if the type is enough or the value is long."""
    setting = place.setting
    if setting is None or setting.example is None or get_origin(place.type) is Literal or place.type is bool:
        return ""
    text = flow(setting.example)
    return text if len(text) <= _LONG else ""
