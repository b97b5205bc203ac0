"""What is wrong with a value, in imgbuild's words, and a general fix if no specific one is known."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import ErrorDetails

from imgbuild.config import characters
from imgbuild.config.layers import closest
from imgbuild.diagnostics.findings import Mark
from imgbuild.diagnostics.mask import NOT_SHOWN, has_key, line_of_key, mask

_WANTED = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected a mapping of keys to values",
    "model_type": "expected a mapping of keys to values",
    "model_attributes_type": "expected a mapping of keys to values",
}
_FIXES = {
    "expected text": "write one line of text, in quotes if YAML reads it as something else",
    "expected a whole number": "write decimal digits alone, without quotes",
    "expected true or false": "write true or false",
    "expected a list": "write it in square brackets, or one item per line after a dash; [] for none",
    "expected a mapping of keys to values": "write its keys below it, or remove it to use the defaults",
}
_BOUNDS = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}


def as_written(mark: Mark | None) -> str:
    """The number's own text (1.30, which YAML reads as 1.3); empty if the mark is not at the number."""
    if mark is None:
        return ""
    text = mark.text.partition("=")[2] if mark.file == "--set" else mark.text[mark.column - 1 :]
    found = re.match(r"[-+0-9.eE]+", text.strip())
    return found[0] if found else ""


def _as_yaml(value: Any) -> str:
    """A value as messages show it: in YAML's terms, not Python's, and never long."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    text = mask(text)  # before it is cut: the part that shows a login may be cut off
    return text if len(text) <= 80 else text[:77] + "..."


def wording(item: ErrorDetails, mark: Mark | None, *, private: bool) -> tuple[str, str]:
    """What is wrong with a value, and how to fix it."""
    kind, value = item["type"], item["input"]
    shown = _as_yaml(value)
    if private or line_of_key([value]) or (isinstance(value, str) and has_key(value)):
        value, shown = "" if isinstance(value, str) else None, NOT_SHOWN
    found = characters.first(value) if isinstance(value, str) else None
    if found is not None:
        shown = f"{shown}, with the character {characters.described(found[0])}"
    if kind == "value_error":
        what = shown.removeprefix("a ") if isinstance(value, dict | list) else f"value {shown}"
        return f"invalid {what}", str(item["ctx"]["error"])
    if kind == "too_short":
        return "must not be empty", "add one item"
    if kind == "string_too_short":
        return "must not be empty", "write a value, or remove the key"
    if kind in _BOUNDS:
        word, bound = _BOUNDS[kind]
        return f"{shown} is out of range", f"write a number of {word} {item['ctx'][bound]}"
    if kind in ("literal_error", "enum"):
        expected = item["ctx"]["expected"]
        choices = [c.strip("'") for c in expected.replace(" or ", ", ").split(", ")]
        if len(choices) == 1:
            return f"{shown} is not {expected}", f"write {choices[0]}"
        return f"{shown} is not one of {expected}", closest(str(value), choices) or f"write one of {expected}"
    wanted = _WANTED.get(kind)
    if wanted is None:
        return f"{item['msg']} (found {shown})", "see docs/reference/profile.md"
    if kind == "string_type" and isinstance(value, (int, float)) and not isinstance(value, bool):
        written = as_written(mark) or str(value)
        return f"{wanted}, but YAML reads {written} as the number {value}", f'write it in quotes: "{written}"'
    if isinstance(value, float) and as_written(mark).strip("+-").isdigit():  # too many digits for YAML's integers
        return f"{as_written(mark)} is out of range", "write a number with fewer digits"
    if found is not None:
        return f"{wanted}, not {shown}", characters.instead(found[0])
    return f"{wanted}, not {shown}", _FIXES[wanted]
