"""Change single values of a YAML file, and leave everything else in it as it is, comments included."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from imgbuild.config.source import parse
from imgbuild.diagnostics.errors import UsageError
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.findings import Path as KeyPath


def edited(file: Path, new: Mapping[KeyPath, Any]) -> bytes:
    """The content of ``file`` with these values (texts, or mappings of texts) in place of its own.

    Raises:
        UsageError: the file cannot be changed like that, because a value is in it twice (an alias).
    """
    raw = file.read_bytes()
    if not new:
        return raw
    text = raw.decode("utf-8-sig")
    before = parse(text, str(file), Findings())
    tree = yaml.compose(text, Loader=yaml.SafeLoader)
    edits = []
    for path, value in new.items():
        node = _at(tree, path)
        if node is None or before is None:
            raise _refused(file)
        start, end = node.start_mark.index, node.end_mark.index
        ends = "\n" if text[start:end].endswith("\n") else ""  # a block of text ends with the start of what follows
        edits.append((start, end, json.dumps(value, ensure_ascii=False) + ends))
    for start, end, word in sorted(edits, reverse=True):
        text = text[:start] + word + text[end:]
    after = parse(text, str(file), Findings())
    if before is None or after is None or after.data != _with(before.data, new):
        raise _refused(file)
    return text.encode()


def _refused(file: Path) -> UsageError:
    return UsageError(
        f"{file} cannot be carried: what is secret in it, or has another place in the bundle, is below an old name of "
        "a key or is used by an alias",
        "use the new names that imgbuild check reports, and write the value out in place of the alias",
    )


def _with(data: Mapping[str, Any], new: Mapping[KeyPath, Any]) -> Any:
    """The data with the new values."""
    found = copy.deepcopy(dict(data))
    for path, value in new.items():
        here: Any = found
        for part in path[:-1]:
            here = here[part]
        here[path[-1]] = value
    return found


def _at(node: yaml.Node | None, path: KeyPath) -> yaml.Node | None:
    """The node of a value."""
    for part in path:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return None
    return node
