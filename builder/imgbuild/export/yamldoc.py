"""Kubernetes objects and other documents as YAML, by the rules of render/yamltext.py: every parser reads it back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from imgbuild.render.yamltext import block, quote

Value = str | int | bool | Mapping[str, "Value"] | Sequence["Value"]
"""What a document is made of. There is no null: what is not known is left out."""

# A word that no version of YAML reads as anything but text; other text is quoted.
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)*")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_LONGEST = 200


def documents(each: Iterable[Mapping[str, Value]]) -> bytes:
    """Several documents, each with its ``---``."""
    return "".join(f"---\n{document(one)}" for one in each).encode()


def document(value: Mapping[str, Value]) -> str:
    """One document, with a line break at its end. Keys keep their order."""
    return "".join(f"{line}\n" for line in _mapping(value, 0))


def _mapping(value: Mapping[str, Value], indent: int) -> Iterator[str]:
    for key, below in value.items():
        yield from _entry(f"{' ' * indent}{_scalar(key, 0)}:", below, indent)


def _sequence(value: Sequence[Value], indent: int) -> Iterator[str]:
    for item in value:
        if isinstance(item, Mapping) and item:
            first, *rest = _mapping(item, indent + 2)
            yield f"{' ' * indent}- {first.lstrip(' ')}"
            yield from rest
        else:
            yield from _entry(f"{' ' * indent}-", item, indent)


def _entry(head: str, value: Value, indent: int) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield head
        yield from _mapping(value, indent + 2)
    elif isinstance(value, (Mapping, list, tuple)) and not value:
        yield f"{head} {'{}' if isinstance(value, Mapping) else '[]'}"
    elif isinstance(value, (list, tuple)):
        yield head
        yield from _sequence(value, indent + 2)
    else:
        yield f"{head} {_scalar(value, indent + 2)}"


def _scalar(value: object, indent: int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _WORD.fullmatch(text) and text.lower() not in _NOT_TEXT and len(text) <= _LONGEST:
        return text
    return block(text, indent) if indent and "\n" in text else quote(text)
