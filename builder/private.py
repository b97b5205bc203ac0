"""What may be private, and what is shown in its place: in messages, by `explain` and `diff`, in the manifest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

NOT_SHOWN = "(not shown)"

_KEYS = frozenset({"hashed_password", "content", "run", "key"})  # key: Cilium's values hold TLS keys under that name
_WORDS = "password|passwd|secret|token|private|authorization"
_WORD = re.compile(_WORDS, re.IGNORECASE)
_LINE = re.compile(rf"(?i)((?:{_WORDS})[^:=]{{0,30}}[:=]|\bcontent\s*[:=]|\.content=).+")
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
_PART = re.compile(r'[."\[\]]+')


def is_private(path: Sequence[str | int]) -> bool:
    """Whether the value at this key may be private: it is never shown, logged or put into the manifest."""
    return any(part in _KEYS or _WORD.search(str(part)) for part in path)


def is_private_key(key: str) -> bool:
    """The same for a key as a user writes it: ``users[0].hashed_password``."""
    return is_private(_PART.split(key))


def mask(line: str) -> str:
    """A line as it may be shown: what stands behind a key that smells of a secret is left out, and a URL's login."""
    return _LOGIN.sub(f"{NOT_SHOWN}@", _LINE.sub(rf"\1 {NOT_SHOWN}", line))


def shown(path: Sequence[str | int], value: Any) -> Any:
    """A value as it may be shown: ``(set)`` in place of a private one."""
    return "(set)" if is_private(path) else value
