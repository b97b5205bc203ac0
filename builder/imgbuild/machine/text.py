"""Text from a guest, made safe for a terminal."""

from __future__ import annotations

import json

TEXT_LIMIT = 4000  # characters


def printable(text: str) -> str:
    """``text`` with escape sequences, control and direction characters shown, not interpreted."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text
    )


def as_text(value: object) -> str:
    """Any JSON value as bounded, printable text; nothing for null."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return printable(text[:TEXT_LIMIT])
