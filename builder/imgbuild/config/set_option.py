"""The option --set: the key and the value that it has. imgbuild.config.layers lays it on top of the files."""

from __future__ import annotations

import re
from typing import Any

import yaml

from imgbuild.config.redact import is_private
from imgbuild.config.source import MAX_DEPTH, NOT_TEXT, parse
from imgbuild.diagnostics.findings import Findings, Mark, Path
from imgbuild.diagnostics.mask import NOT_SHOWN, mask

_SET_PART = re.compile(r'"(?P<quoted>[^"]*)"|(?P<plain>[^."\[\]]+)|\[(?P<index>[0-9]{1,6})\]')
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")


def parse_set(argument: str, index: int, findings: Findings) -> tuple[Path, Any, Mark] | None:
    """One ``--set a.b[0]."dotted.key"=value``; the value is read as YAML. ``index`` counts from 1."""
    key, equals, text = _split_set(argument)
    path = key_path(key) if key else None
    shows = path is not None and not is_private(path) and "{" not in text
    shown = mask(argument) if shows else f"{mask(key)}{equals}{NOT_SHOWN if equals else ''}"
    mark = Mark("--set", index, 1, shown, len(shown) + 1)
    if NOT_TEXT.search(argument):
        findings.add("IB108", "--set is not valid UTF-8 text", mark=mark, hint="write it in UTF-8 (LANG=C.UTF-8)")
        return None
    if not equals or not key:
        findings.add(
            "IB108",
            f"--set requires KEY=VALUE, not {shown!r}",
            mark=mark,
            hint="write --set kubernetes.version=1.34.11",
        )
        return None
    if path is None or len(path) > MAX_DEPTH:
        findings.add(
            "IB108", f"--set cannot read the key {mask(key)[:200]!r}", mark=mark,
            hint='join parts with dots; quote a part that has a dot: kernel.sysctl."vm.swappiness"=0; '
            "use an index for a list: users[0].name=admin",
        )  # fmt: skip
        return None
    before = Findings()
    # Every line is indented, so that none of them is a key of its own beside "value".
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    text = f"value: {text}\n" if len(lines) == 1 else "value:\n  " + "\n  ".join(lines) + "\n"
    document = parse(text, "--set", before)
    quoted = f"quote text that YAML reads as something else, and protect the quotes from the shell: --set '{key}=\"…\"'"
    for item in before.items:
        findings.add(item.code, item.message, hint=quoted if item.code == "IB101" else item.hint, key=key, mark=mark)
    if document is None or before.items:
        return None
    if len(lines) == 1 and _has_comment(text):
        findings.add(
            "IB108", f"--set {key}: YAML reads what follows # as a comment", key=key, mark=mark,
            hint=f"quote the value, and protect the quotes from the shell: --set '{key}=\"…\"'",
        )  # fmt: skip
        return None
    return path, document.data.get("value"), mark


def key_path(key: str) -> Path | None:
    """The parts of ``a.b[0]."dotted.key"``; None if it cannot be read."""
    path: list[str | int] = []
    position = 0
    while True:
        match = _SET_PART.match(key, position)
        if match is None or (match["index"] is not None and not path):
            return None
        if match["index"] is not None:
            path.append(int(match["index"]))
        elif match["plain"] is not None and _INDEX.fullmatch(match["plain"]):
            path.append(int(match["plain"]))
        else:
            path.append(match["quoted"] if match["plain"] is None else match["plain"])
        position = match.end()
        if position == len(key):
            return tuple(path)
        if key[position] == ".":
            position += 1
        elif key[position] != "[":
            return None


def _has_comment(line: str) -> bool:
    """Whether YAML drops the end of this line ("value: a # b"), judged by where its last token ends."""
    end = 0
    for token in yaml.scan(line, Loader=yaml.CSafeLoader):
        if not isinstance(token, (yaml.BlockEndToken, yaml.StreamEndToken)):
            end = token.end_mark.index
    return line[end:].lstrip().startswith("#")


def _split_set(argument: str) -> tuple[str, str, str]:
    quoted = False
    for position, char in enumerate(argument):
        if char == '"':
            quoted = not quoted
        elif char == "=" and not quoted:
            return argument[:position], "=", argument[position + 1 :]
    return argument, "", ""
