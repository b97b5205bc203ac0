"""One difference between two profiles or two output folders, as text and as JSON."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from imgbuild.diagnostics.mask import mask

MISSING = "(not set)"


@dataclass(frozen=True)
class Difference:
    """A fact (a key or what follows from the keys), or a file; ``lines`` is its text form."""

    kind: Literal["value", "fact", "file"]
    name: str
    lines: Sequence[str]
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Additional fields of the JSON event."""


def value_difference(name: str, a: Any, b: Any, *, kind: Literal["value", "fact"] = "value") -> Difference:
    """Two values; a missing one is None. Both may be shown."""
    if a == b:  # secrets
        return Difference(kind, name, [f"{name}: differs, {a}"], {"a": a, "b": b})
    return Difference(kind, name, [f"{name}: {_text(a)} -> {_text(b)}"], {"a": a, "b": b})


def file_difference(name: str, reason: str, **fields: Any) -> Difference:
    """A file whose content is not shown."""
    return Difference("file", name, [f"{reason}: {name}"], {"reason": reason, **fields})


def mode_difference(name: str, a: object, b: object) -> Difference:
    """A file with another mode, such as 0644 and 0600."""
    return Difference("file", name, [f"mode {a} -> {b} {name}"], {"reason": "mode differs"})


def text_difference(name: str, a: tuple[str, Sequence[str]], b: tuple[str, Sequence[str]]) -> Difference:
    """Two texts, each with its label, as a unified diff; logins in addresses are masked."""
    (label_a, before), (label_b, after) = a, b
    lines = [mask(line) for line in difflib.unified_diff(before, after, label_a, label_b, lineterm="")]
    return Difference("file", name, lines, {"reason": "content differs", "diff": "\n".join(lines)})


def value_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """How two mappings of key to value differ; a missing key counts as None."""
    for name in sorted({*a, *b}):
        if a.get(name) != b.get(name):
            yield value_difference(name, a.get(name), b.get(name))


def _text(value: Any) -> str:
    return MISSING if value is None else json.dumps(value, ensure_ascii=False, default=str)
