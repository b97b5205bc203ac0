"""Values in YAML, on one line."""

from __future__ import annotations

import json
from typing import Any

from imgbuild.config.source import parse
from imgbuild.diagnostics.findings import Findings


def flow(value: Any) -> str:
    """A value in YAML, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(flow(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        said = Findings()
        document = parse(f"value: [{value}]\n", "", said)
        plain = document is not None and document.data.get("value") == [value] and not said.items
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
