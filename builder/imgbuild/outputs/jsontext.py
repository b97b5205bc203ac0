"""JSON that people read too: a value that fits is on one line, others are split over several.

`json.dumps` with an indent puts every value on its own line and is ten times slower: it is not C then.
"""

from __future__ import annotations

import json

_WIDTH = 160
_encode = json.JSONEncoder(ensure_ascii=False).encode


def json_text(value: object, indent: int = 0) -> str:
    """``value`` as JSON, without a line break at its end; lines after the first are indented by ``indent``."""
    line = _encode(value)
    if len(line) <= _WIDTH or not isinstance(value, (dict, list)):
        return line
    del line  # megabytes, for a manifest of many nodes
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        rows = [f"{pad}{_encode(str(key))}: {json_text(below, indent + 1)}" for key, below in value.items()]
    else:
        rows = [pad + json_text(item, indent + 1) for item in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n" + ",\n".join(rows) + f"\n{' ' * indent}{last}"
