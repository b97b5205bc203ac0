"""JSON that people read too: what fits stands on one line, the rest below each other.

`json.dumps` with an indent puts every value on a line of its own, and is ten times as slow: it is not C then.
"""

from __future__ import annotations

import json

_WIDTH = 160


def json_text(value: object, indent: int = 0) -> str:
    """``value`` as JSON, without a line break at its end; what is below its first line is indented by ``indent``."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= _WIDTH or not isinstance(value, (dict, list)):
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        rows = [f"{pad}{json.dumps(str(k), ensure_ascii=False)}: {json_text(v, indent + 1)}" for k, v in value.items()]
    else:
        rows = [pad + json_text(item, indent + 1) for item in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n" + ",\n".join(rows) + f"\n{' ' * indent}{last}"
