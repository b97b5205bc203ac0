"""YAML text that every PyYAML from 3.10 (CentOS 7) on reads back exactly.

Written here and not by PyYAML's dumper: a literal block keeps scripts readable in user-data and lets gzip see them,
while the dumper falls back to one long quoted line at the first trailing space.
"""

from __future__ import annotations

import base64
import re

# PyYAML before 5.1 refuses characters beyond the basic plane and reads NEL, LS and PS as line breaks.
_ASCII, _BEYOND = "\x20-\x7e", "\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd"
_MIME = re.compile("mime-version:", re.IGNORECASE)


def _exact(text: str) -> str:
    """The characters that need no escape. Nearly all text is ASCII, and the larger set takes 4 ms to compile."""
    return _ASCII if text.isascii() else f"{_ASCII}{_BEYOND}"


def carries(text: str) -> bool:
    """Whether a literal block can represent ``text`` exactly.

    ``MIME-Version:`` in the first 4096 bytes makes cloud-init parse the whole user-data as a mail
    (cloudinit/user_data.py, convert_string), so it must not be there as plain text.
    """
    return re.fullmatch(f"[\t\n{_exact(text)}]*", text) is not None and _MIME.search(text) is None


def quote(value: object) -> str:
    """``value`` as a double-quoted YAML scalar on one line."""

    def escape(found: re.Match[str]) -> str:
        char = found[0]
        if char in '"\\':
            return f"\\{char}"
        code = ord(char)
        return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"

    text = str(value)
    text = re.sub(f'[^{_exact(text)}]|["\\\\]', escape, text)
    return '"' + _MIME.sub(lambda found: found[0][:-1] + "\\x3A", text) + '"'


def block(text: str, indent: int) -> str:
    """``text`` as a literal block whose lines start at column ``indent``, two to the right of their parent.

    Text that no block can represent becomes a quoted scalar.
    """
    if not text.strip("\n") or not carries(text):
        return quote(text)
    head = "|" + ("2" if text[0] in " \t\n" else "")
    head += "+" if text.endswith("\n\n") else "" if text.endswith("\n") else "-"
    body = text[:-1] if text.endswith("\n") else text
    pad = " " * indent
    return "\n".join([head, *(pad + line if line else "" for line in body.split("\n"))])


def content(raw: bytes, indent: int) -> list[str]:
    """The lines of a `write_files` item with the file's content: as text if that is exact, else base64."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and carries(text):
        return [f"content: {block(text, indent + 2)}"]
    return ["encoding: b64", f"content: {base64.b64encode(raw).decode()}"]
