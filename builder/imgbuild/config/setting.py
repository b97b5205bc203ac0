"""What a setting declares about itself, in the model, once.

The reference pages, the JSON Schema, `imgbuild explain`, redaction and the rule which settings a node may have for
itself are all made from these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Scope = Literal["image", "seed", "cluster"]
"""Where a setting takes effect.

``image``: in the disk image, which all nodes share. ``seed``: in the seed, so each node may have its own.
``cluster``: it must be the same for all nodes of one run, in both modes.
"""

ANOTHER_PROFILE = "build these nodes from another profile, with the same cluster file and --secrets"
IN_THE_PROFILE = "set it in the profile: all nodes share it"


@dataclass(frozen=True, eq=False)
class Setting:
    """In a field's Annotated: everything about the setting except its type, its limits and its default.

    ``scope``, ``instead`` and ``secret`` apply to everything below the field too, unless it declares its own.
    """

    description: str
    """One or two sentences for users, as Markdown; links are relative to docs/reference."""
    example: Any = None
    """A valid value that is not the default."""
    unit: str = ""
    scope: Scope | None = None
    """None: that of the field above."""
    instead: str = ""
    """Scope ``cluster``: what to do instead of setting it for one node."""
    secret: bool = False
    """The value is never shown, logged or put into the manifest."""
    recipe: str = ""
    """The line of the recipe, or part of a line, that this setting replaces, as docs/recipe.md quotes it."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The field's JSON Schema with what is declared here."""
        schema = handler(core)
        schema["description"] = f"{self.description} Unit: {self.unit}." if self.unit else self.description
        if self.example is not None:
            schema["examples"] = [self.example]
        return schema


@dataclass(frozen=True)
class Like:
    """In a field's Annotated: what is below it has the keys of ``model``."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The JSON Schema of the model."""
        return handler(self.model.__pydantic_core_schema__)


@dataclass(frozen=True)
class Listed:
    """In a field's Annotated: its keys are another project's, and are listed in tables of profiles/versions.

    Only keys of the table ``known`` may be shown, and of those not the keys of the table ``secret``. What is below a
    key is the user's own: environment, arguments, annotations.
    """

    known: str
    secret: str


@dataclass(frozen=True)
class Words:
    """In a type's Annotated: what the reference calls it."""

    text: str
