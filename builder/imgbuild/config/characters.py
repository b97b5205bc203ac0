"""Characters from another keyboard layout or a word processor that look like YAML's own."""

from __future__ import annotations

import re
import unicodedata

QUOTES = "“”„‟‘’‚‛「」『』«»＂＇´"
"""Characters that look like a quotation mark."""

_TYPE = {
    "：": ":", "，": ",", "；": ";", "［": "[", "］": "]", "｛": "{", "｝": "}", "【": "[", "】": "]", "（": "(",
    "）": ")", "＃": "#", "－": "-", "—": "-", "–": "-", "−": "-", "•": "-", "·": "-", "。": ".", "、": ",", "＝": "=",
    "／": "/", "＊": "*", "＆": "&", "！": "!", "｜": "|", "＞": ">", "＠": "@", "％": "%", "＿": "_", "．": ".",
    "\u3000": "a space", "\u00a0": "a space", "\u2002": "a space", "\u2003": "a space", "\u2009": "a space",
    "\u202f": "a space", "\u200b": "nothing", "\u200c": "nothing", "\u200d": "nothing", "\u2060": "nothing",
    "\ufeff": "nothing", "\u00ad": "nothing",
    **dict.fromkeys("“”„‟「」『』«»＂", '"'), **dict.fromkeys("‘’‚‛＇´", "'"),
    "？": "?", "～": "~", "＜": "<", "＋": "+", "＼": "\\", "＄": "$", "｀": "'", "＾": "^",
}  # fmt: skip
_LOOKALIKE = re.compile(f"[{re.escape(''.join(_TYPE))}\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_START = re.compile(f"[{re.escape(QUOTES)}［｛【－—–−•·\u3000\u00a0\u200b\ufeff]")


def first(text: str) -> re.Match[str] | None:
    """The first such character of a text."""
    return _LOOKALIKE.search(text)


def starts(text: str) -> re.Match[str] | None:
    """Such a character at the start of a text, where YAML's own was meant."""
    return _START.match(text)


def described(char: str) -> str:
    """``： (U+FF1A, fullwidth colon)``; of one that cannot be seen ``U+3000 (ideographic space)``."""
    number, name = f"U+{ord(char):04X}", unicodedata.name(char, "unnamed").lower()
    return f"{char} ({number}, {name})" if char.isprintable() and not char.isspace() else f"{number} ({name})"


def instead(char: str) -> str:
    """What to type instead."""
    wanted = _TYPE.get(char) or unicodedata.normalize("NFKC", char)
    if wanted == "nothing":
        return "delete it: it cannot be seen"
    return f"type {wanted} instead" if len(wanted) > 1 else f"type {wanted} instead (half-width, ASCII)"
