"""Where a value came from (explain), and how what two profiles render differs (diff)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from imgbuild.config.layers import closest
from imgbuild.config.load import load
from imgbuild.config.redact import shown
from imgbuild.diagnostics.errors import UsageError
from imgbuild.diagnostics.findings import Findings, InvalidInput, format_path
from imgbuild.diagnostics.mask import mask
from imgbuild.pipeline import Request, prepare
from imgbuild.render.nodefile import NodeFile


def explain(request: Request, key: str, findings: Findings) -> Iterator[str]:
    """Lines that say what ``key`` is and every place that set it, the newest last.

    Errors in the input go to ``findings`` and stop nothing: that is when one wants to know where a value is from.

    Raises:
        InvalidInput: there is no profile to speak of. UsageError: there is no such key.
    """
    loaded = load(request.profile, request.layers, request.sets, request.mode, findings)
    if loaded is None:
        raise InvalidInput(findings)
    layered = loaded.layered
    known = {format_path(path): path for path in layered.history if path}
    below = [name for name in known if name.startswith((f"{key}.", f"{key}["))]
    if key not in known and not below:
        raise UsageError(f"there is no key {key}", closest(key, list(known)) or "imgbuild explain kernel lists a part")
    for name in [key] if key in known and not below else sorted(below):
        for mark, value in layered.history[known[name]]:
            if not (isinstance(value, (dict, list)) and value):
                text = json.dumps(shown(known[name], value), ensure_ascii=False, default=str)
                yield f"{name} = {text}  ({mark})"


def unified(a: Request, b: Request) -> Iterator[str]:
    """A unified diff of everything that two profiles put on a node; a secret's content is left out."""
    old, new = (_files(request) for request in (a, b))
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        if before is not None and after is not None and before.mode != after.mode:
            yield f"mode {before.mode:04o} -> {after.mode:04o} {path}"
        yield from map(mask, difflib.unified_diff(
            _lines(before), _lines(after),
            f"{a.profile}{path}" if before else "/dev/null", f"{b.profile}{path}" if after else "/dev/null",
            lineterm="",
        ))  # fmt: skip


def _files(request: Request) -> dict[str, NodeFile]:
    rendered = prepare(request, Findings()).rendered
    return {file.path: file for tree in (rendered.install, rendered.node) for file in tree.files}


def _lines(file: NodeFile | None) -> list[str]:
    if file is None:
        return []
    return ["(secret)"] if file.secret else file.content.decode("utf-8", "backslashreplace").splitlines()
