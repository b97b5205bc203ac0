"""JSON that people read too: a value that fits is on one line, others are split over several.

`json.dumps` with an indent puts every value on its own line and is ten times slower: it is not C then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_WIDTH = 160


def _fields(value: Any) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__match_args__}


_encode = json.JSONEncoder(ensure_ascii=False, default=_fields).encode


def json_text(value: object) -> str:
    """``value`` as JSON, without a line break at its end; a dataclass is an object of its fields, on one line."""
    return "".join(json_parts(value))


def json_parts(value: object, indent: int = 0) -> Iterator[str]:
    """The same, bit by bit; lines after the first are indented by ``indent``."""
    container = isinstance(value, (dict, list))
    if not container or _least(value) <= _WIDTH:
        line = _encode(value)
        if not container or len(line) <= _WIDTH:
            yield line
            return
    pad = " " * (indent + 1)
    first, last = "{}" if isinstance(value, dict) else "[]"
    before = f"{first}\n{pad}"
    if isinstance(value, dict):
        for key, below in value.items():
            yield f"{before}{_encode(str(key))}: "
            yield from json_parts(below, indent + 1)
            before = f",\n{pad}"
    elif isinstance(value, list):
        for below in value:
            yield before
            yield from json_parts(below, indent + 1)
            before = f",\n{pad}"
    yield f"\n{' ' * indent}{last}"


def _least(value: object) -> int:
    """How long ``value`` is on one line, at least: megabytes are not written to learn that they are too long."""
    if isinstance(value, str):
        return len(value) + len('""')
    out = 0
    if isinstance(value, dict):
        for key, below in value.items():
            out += len(str(key)) + len('"": , ') + _least(below)
            if out > _WIDTH:
                break
    elif isinstance(value, list):
        for below in value:
            out += _least(below) + len(", ")
            if out > _WIDTH:
                break
    return out
