"""YAML in, plain values out, each with the place it came from.

Read with the YAML 1.2 core schema (``yes`` is a string, ``1:30`` is a string), without tags and merge keys.
Mistakes that YAML accepts silently are findings: a duplicate key, a number with a leading zero.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml.composer import Composer

from imgbuild.config import characters
from imgbuild.config.redact import is_private, is_shown_key, may_hold_private, shown_path
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path
from imgbuild.diagnostics.mask import NOT_SHOWN, has_key, line_of_key, mask

# Room for 5,000 nodes, Kubernetes' own limit (kubernetes.io, "Considerations for large clusters"): a mebibyte and
# 70,000 values with one static interface each. Aliases of aliases grow exponentially ("billion laughs").
MAX_BYTES = 4 << 20
MAX_VALUES = 200_000
MAX_DEPTH = 60

# Longer ones are checksums, never amounts: they remain text.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"(?=.{1,24}$)[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]{1,2})?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+|0[oO][0-7]+")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # YAML's own, as PyYAML counts them; not str.splitlines'
NOT_TEXT = re.compile("[\0\ud800-\udfff]")
"""What no text file has: NUL, and the replacements for bytes that are not UTF-8."""
_START = "start it with a line such as `extends: centos7-efi`"
_TEXT = "imgbuild reads a small YAML file: save it as text in UTF-8"
_UNTAGGED = "?"
_KEYWORDS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True)
class Document:
    """One YAML mapping. ``marks`` holds the place of every key's value, ``key_marks`` of the key itself."""

    data: dict[str, Any] = field(repr=False)
    marks: Mapping[Path, Mark]
    key_marks: Mapping[Path, Mark] = field(default_factory=dict)
    name: str = ""
    shipped: bool = False  # whether the file is imgbuild's own
    above: Path = ()  # where it is in its file, if it is a part of one
    cloud_config: bool = False  # whether its first lines are those of cloud-init's


class _Reader:
    def __init__(self, file: str, lines: list[str], findings: Findings, *, shipped: bool) -> None:
        self.file, self.lines, self.findings, self.shipped = file, lines, findings, shipped
        self.marks: dict[Path, Mark] = {}
        self.key_marks: dict[Path, Mark] = {}
        self.count = 0
        self.misread = False  # a key is not what was meant: other errors follow from that

    def mark(self, node: yaml.Node) -> Mark:
        start, end = node.start_mark, node.end_mark
        # A value of several lines is underlined to the end of the first.
        last = end.column if end.line == start.line else MAX_BYTES
        return _mark(self.file, self.lines, start.line, start.column, last, shipped=self.shipped)

    def value(self, node: yaml.Node, path: Path, open_nodes: frozenset[int] = frozenset()) -> Any:
        self.count += 1
        self.marks[path] = self.mark(node)
        if id(node) in open_nodes or self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            what = "an alias inside itself" if id(node) in open_nodes else "too many or too deeply nested values"
            if self.count <= MAX_VALUES + 1 or id(node) in open_nodes:
                self._add("IB104", f"{what} in this file", path, node, "write the values out")
            self.count = MAX_VALUES + 1
            return None
        inside = open_nodes | {id(node)}
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, inside)
        if isinstance(node, yaml.SequenceNode):
            self._refuse_tag(node, path)
            for child in node.value:
                self._lookalike(child, (*path, 0), flow=bool(node.flow_style))
            return [self.value(child, (*path, i), inside) for i, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path, inside: frozenset[int]) -> dict[str, Any]:
        self._refuse_tag(node, path)
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._add("IB103", "a key must be plain text", path, key_node, "quote it")
                continue
            key = key_node.value
            here = (*path, key)
            self._refuse_tag(key_node, here)
            if NOT_TEXT.search(key):
                self._add("IB103", "this key has a character that no text file has", path, key_node, "remove it")
                continue
            if key == "<<" and not key_node.style:
                self._add("IB103", "merge keys (<<) are not read", here, key_node, "use extends: or a layer")
                continue
            if key in out:
                first, shown = self.key_marks[here], format_path(shown_path(here)[-1:])
                self._add(
                    "IB102",
                    f"duplicate key: {shown}, first in line {first.line}; YAML would use the last one",
                    here, key_node, "keep one of them",
                )  # fmt: skip
                continue
            self.misread |= self._lookalike(key_node, here, flow=True)
            self.key_marks[here] = self.mark(key_node)
            self._lookalike(value_node, here, flow=bool(node.flow_style))
            out[key] = self.value(value_node, here, inside)
        return out

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        text = str(node.value)
        self._refuse_tag(node, path)
        if NOT_TEXT.search(text):
            self._add("IB103", "this text has a character that no text file has", path, node, "remove it")
            return ""
        # A quoted or block scalar is text, whatever it looks like.
        if not isinstance(node, yaml.ScalarNode) or node.style:
            return text
        if text in _KEYWORDS:
            return _KEYWORDS[text]
        if _LEADING_ZERO.fullmatch(text) and is_private(path):
            self._add(
                "IB105", "a leading zero: YAML versions disagree on whether that is octal", path, node, "quote it"
            )
            return text
        if _LEADING_ZERO.fullmatch(text):
            octal = text.lower().removeprefix("0o")
            hint = f'write it in quotes: "{text}"'
            if octal != text.lower():
                hint = f'write a file\'s mode in quotes: "0{octal}"; write a number in decimal digits: {int(octal, 8)}'
            self._add(
                "IB105", f"{text} has a leading zero: YAML versions disagree on whether that is octal", path, node, hint
            )
            return text
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        return text

    def _lookalike(self, node: yaml.Node, path: Path, *, flow: bool) -> bool:
        """A look-alike character where YAML's own was meant: at the start of plain text, or in brackets."""
        text = node.value
        if not isinstance(node, yaml.ScalarNode) or node.style or not isinstance(text, str) or text.isascii():
            return False
        found = characters.starts(text) or (characters.first(text) if flow else None)
        if found is not None:
            mark = self.mark(node)
            if not is_private(path):
                start = mark.column + found.start()
                mark = replace(mark, column=start, end=start + 1)
            self.findings.add(
                "IB117", f"the character {characters.described(found[0])} is not YAML's",
                hint=characters.instead(found[0]), key=format_path(shown_path(path)), mark=mark,
            )  # fmt: skip
        return found is not None

    def _refuse_tag(self, node: yaml.Node, path: Path) -> None:
        if node.tag != _UNTAGGED:
            tag = NOT_SHOWN if is_private(path) else f"({node.tag})"
            self._add("IB103", f"YAML tags {tag} are not read", path, node, "remove the tag")

    def _add(self, code: str, message: str, path: Path, node: yaml.Node, hint: str) -> None:
        self.findings.add(code, message, hint=hint, key=format_path(shown_path(path)), mark=self.mark(node))


class _TooMuchError(Exception):
    def __init__(self, mark: yaml.Mark) -> None:
        super().__init__()
        self.mark = mark


class _Loader(Composer, yaml.CBaseLoader):
    """libyaml's events, ten times as fast as PyYAML's own, and PyYAML's composer.

    libyaml's composer would overflow the C stack on deep nesting. Nodes get no types: scalars keep their text,
    `_Reader` assigns their type.
    """

    def __init__(self, stream: str) -> None:
        yaml.CBaseLoader.__init__(self, stream)
        Composer.__init__(self)
        self.nodes = self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Stop while reading, not afterwards: aliases, brackets and braces expand a small text to many values."""
        self.nodes += 1
        self.depth += 1
        if self.nodes > 2 * MAX_VALUES or self.depth > MAX_DEPTH + 2:
            event: Any = self.peek_event()
            raise _TooMuchError(event.start_mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Called only for nodes without a tag, so an explicit ``!!str`` can be distinguished."""
        return _UNTAGGED


def _mark(file: str, lines: list[str], line: int, column: int, end: int = 0, *, shipped: bool = False) -> Mark:
    if line >= len(lines):  # libyaml adds a missing line end to the last line
        line, column = len(lines) - 1, len(lines[-1])
    text = lines[line]
    end = min(end, len(text.rstrip()))
    return Mark(file, line + 1, column + 1, text, end + 1 if end > column else 0, shipped)


def _shown_mark(file: str, raw: list[str], lines: list[str], where: yaml.Mark) -> Mark:
    """The place in the original text, with its line as it may be shown."""
    mark = _mark(file, raw, where.line, where.column)
    return Mark(file, mark.line, mark.column, lines[mark.line - 1])


def _place(file: str, lines: list[str], before: str) -> Mark:
    """The place of the character that follows ``before``."""
    parts = _LINE_BREAK.split(before)
    return _mark(file, lines, len(parts) - 1, len(parts[-1]))


def _typed(file: str, raw: list[str], lines: list[str], first: int, last: int) -> tuple[Mark, str] | None:
    """A look-alike character where the text stopped being YAML, outside comments and quotes."""
    for number in range(last, max(0, min(first - 1, last - 4)), -1):
        if number > len(raw):
            continue
        code = re.sub(r"\"[^\"]*\"|'[^']*'|(^|\s)#.*", lambda found: " " * len(found[0]), raw[number - 1])
        found = characters.first(code)
        if found is not None:
            start = found.start() + 1
            return Mark(file, number, start, lines[number - 1], start + 1), found[0]
    return None


def _shown_lines(lines: list[str], node: yaml.Node) -> list[str]:
    """The lines as findings may show them: each ends where something private begins."""
    ends: dict[int, int] = {}
    count = 0

    def hide(here: yaml.Node) -> None:
        first, last = here.start_mark, here.end_mark
        ends[first.line] = min(ends.get(first.line, first.column), first.column)
        # The end of a block of text is the start of what follows it.
        ends.update(dict.fromkeys(range(first.line + 1, last.line + (last.column > 0)), 0))

    def walk(here: yaml.Node, path: Path) -> None:
        nonlocal count
        count += 1 if len(path) <= MAX_DEPTH else MAX_VALUES
        if count > MAX_VALUES:  # aliases of aliases, or inside themselves
            return
        if isinstance(here, yaml.MappingNode):
            for key, value in here.value:
                below = (*path, str(key.value) if isinstance(key, yaml.ScalarNode) else "")
                if not is_shown_key(below) or has_key(str(below[-1])):
                    hide(key)
                walk(value, below)
        elif isinstance(here, yaml.SequenceNode):
            if line_of_key(item.value for item in here.value):
                hide(here)
            for item in here.value:
                walk(item, (*path, 0))
        elif is_private(path) or has_key(here.value):
            hide(here)

    walk(node, ())
    if count > MAX_VALUES:
        return [""] * len(lines)
    return [
        mask(line) if (end := ends.get(number)) is None else mask(line[:end]) + (NOT_SHOWN if end else "")
        for number, line in enumerate(lines)
    ]


def _unreadable(error: Exception, text: str, raw: list[str], file: str, findings: Findings, *, private: bool) -> None:
    """Report why a text is not YAML. Without its structure it is not known which key a line belongs to."""
    hidden = private or may_hold_private(text)
    lines = [""] * len(raw) if hidden else [mask(line) for line in raw]
    if isinstance(error, yaml.MarkedYAMLError):
        where = error.problem_mark or error.context_mark
        mark = _shown_mark(file, raw, lines, where) if where else Mark(file, 1, 1)
        said = " ".join(p for p in (error.context, error.problem) if p)
        if hidden:
            said = re.sub(r"'([^']*)'", lambda found: found[0] if len(found[1]) < 2 else NOT_SHOWN, said)
        first = error.context_mark.line + 1 if error.context_mark else mark.line
        typed = _typed(file, raw, lines, first, mark.line)
        if typed is not None:
            findings.add(
                "IB101", f"this is not YAML: the character {characters.described(typed[1])}", mark=typed[0],
                hint=characters.instead(typed[1]),
            )  # fmt: skip
            return
        tab = raw[mark.line - 1][mark.column - 1 : mark.column] == "\t"
        hint = "indent with spaces, not tabs" if tab else "check indentation, colons and quotes near here"
        findings.add("IB101", f"this is not YAML: {said}", hint=hint, mark=mark)
    elif isinstance(error, yaml.reader.ReaderError):
        before = text.encode()[: error.position].decode(errors="ignore")  # libyaml counts bytes
        said = f"the character U+{error.character:04X}"
        findings.add(
            "IB101", f"this is not YAML: {said} is not allowed in it", mark=_place(file, lines, before),
            hint="remove it, or write it as an escape in double quotes",
        )  # fmt: skip
    elif isinstance(error, _TooMuchError):
        mark = _shown_mark(file, raw, lines, error.mark)
        findings.add("IB104", "too many or too deeply nested values", mark=mark, hint="write the values out")
    elif isinstance(error, UnicodeEncodeError):  # half of a surrogate pair
        mark = _place(file, lines, text[: error.start])
        findings.add("IB101", "this is not YAML: half a character is not allowed in it", hint="remove it", mark=mark)


_CLOUD_CONFIG = re.compile(r"(?:## template:.*\s+)?#cloud-config\b")


def parse(
    text: str, file: str, findings: Findings, *, private: bool = False, shipped: bool = False, start: str = _START
) -> Document | None:
    """Read one YAML mapping from ``text``; problems go to ``findings``. None if nothing usable was read.

    ``private``: it is a file of secrets, of which nothing is shown unless it can be read as YAML. ``shipped``: it is
    imgbuild's own, so that each of its lines may be shown. ``start``: the fix if it is not a mapping.
    """
    raw = _LINE_BREAK.split(text)
    try:
        node = _Loader(text).get_single_node()
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError, _TooMuchError, UnicodeEncodeError) as error:
        _unreadable(error, text, raw, file, findings, private=private)
        return None
    if node is None or (isinstance(node, yaml.ScalarNode) and node.value == "" and not node.style):
        return Document({}, {(): Mark(file, 1, 1, shipped=shipped)}, {}, file, shipped)
    reader = _Reader(file, raw if shipped else _shown_lines(raw, node), findings, shipped=shipped)
    if not isinstance(node, yaml.MappingNode):
        found = characters.first(node.value) if isinstance(node, yaml.ScalarNode) and not private else None
        if found is not None:
            findings.add(
                "IB101", f"this is not YAML: the character {characters.described(found[0])}", mark=reader.mark(node),
                hint=characters.instead(found[0]),
            )  # fmt: skip
            return None
        findings.add("IB103", "an imgbuild file must be a YAML mapping", hint=start, mark=reader.mark(node))
        return None
    data = reader.value(node, ())
    if reader.misread:
        return None
    return Document(data, reader.marks, reader.key_marks, file, shipped, (), bool(_CLOUD_CONFIG.match(text)))


def read(
    path: FilePath,
    findings: Findings,
    name: str | None = None,
    *,
    private: bool = False,
    shipped: bool = False,
    start: str = _START,
    cause: Mark | None = None,
) -> Document | None:
    """Read one YAML file; ``name`` is its name in messages, ``cause`` what names it. No problem is an exception.

    ``private``, ``shipped`` and ``start``: as for `parse`.
    """
    name = name or str(path)
    here = cause or Mark(name, 1, 1)
    try:
        # Without waiting: a pipe without a writer would block forever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                hint = "write it to a file first, and pass that file"
                findings.add("IB100", f"{name} is a pipe or a device, not a file", mark=here, hint=hint)
                return None
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL or a lone surrogate in the path
        said = error.strerror if isinstance(error, OSError) else "this is not a valid path"
        findings.add("IB100", f"cannot read {name}: {said}", mark=here, hint="check the path and its permissions")
        return None
    if len(raw) > MAX_BYTES:
        findings.add("IB100", f"{name} is over {MAX_BYTES >> 20} MiB", mark=here, hint=_TEXT)
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        mark = Mark(name, line, error.start - raw.rfind(b"\n", 0, error.start))
        findings.add("IB100", f"{name} is not UTF-8 text", mark=mark, hint=_TEXT)
        return None
    if "\0" in text:
        findings.add("IB100", f"{name} is a binary file, or UTF-16", mark=here, hint=_TEXT)
        return None
    return parse(text, name, findings, private=private, shipped=shipped, start=start)
