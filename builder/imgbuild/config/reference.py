"""A value that a file does not hold itself: ``{file: PATH}`` or ``{env: NAME}`` in place of the text.

In a model: ``password: Annotated[SecretText | None, Setting("…", secret=True)]``, or ``Reference()`` in the Annotated
of another type. imgbuild.config.dereference puts the text in when a file is read, so checks and rendering have it.
What is shown of it follows from the setting's declaration (``secret``), as for any other value (config/redact.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

FORMS = ("file", "env")
"""The keys of a reference: of a file, and of an environment variable."""


@dataclass(frozen=True)
class Reference:
    """In a type's Annotated: the value may be ``{file: PATH}`` or ``{env: NAME}`` in place of its text.

    PATH and NAME themselves are public.
    ``private`` tells which texts are a secret that does not belong in a profile, where everybody can read it; None:
    none is.
    """

    private: Callable[[str], bool] | None = lambda _: True

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The three forms."""
        text = {"type": "string", "minLength": 1}
        forms = [
            {"type": "object", "properties": {form: text}, "required": [form], "additionalProperties": False}
            for form in FORMS
        ]
        return {"anyOf": [handler(core), *forms]}


@dataclass(frozen=True)
class LocalFile:
    """In a type's Annotated: the path of a file whose bytes become the ``content`` beside it, in base64."""


SecretText = Annotated[str, Field(min_length=1), Reference()]
"""A secret. The field's Setting declares it with ``secret=True``."""
