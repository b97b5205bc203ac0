"""Convert values to a typed model; invalid values become findings with their places and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from imgbuild.config import declared, in_place, misplaced, replacement
from imgbuild.config.declared import Place
from imgbuild.config.fields import SecretModel
from imgbuild.config.flow import flow
from imgbuild.config.layers import Layered, closest, value_at
from imgbuild.config.redact import is_private, shown_path
from imgbuild.config.reference import Reference
from imgbuild.config.value_errors import as_written, wording
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path
from imgbuild.diagnostics.mask import NOT_SHOWN, line_of_key

M = TypeVar("M", bound=BaseModel)
_MOST_ADVICE = 50
"""The most findings that get advice: finding it takes time, and users do not read more."""


def validate(model: type[M], data: Mapping[str, Any], layered: Layered, findings: Findings) -> M | None:
    """``data`` as a ``model``; invalid values become findings with their places."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    # What has an invalid name may be complete under a valid one.
    named = {real_path(e, layered.data) for e in errors if e["loc"][-1] == "[key]"}
    errors = [e for e in errors if e["type"] != "missing" or real_path(e, layered.data)[:-1] not in named]
    # pydantic reports one error per union member; keep the last per key.
    single = {(real_path(e, layered.data), e["type"] == "extra_forbidden"): e for e in errors}
    unknown: list[Path] = []
    start = len(findings.items)
    for number, ((path, extra), item) in enumerate(single.items()):
        if extra:
            unknown.append(path)
        else:
            _finding(model, item, layered, findings, advise=number < _MOST_ADVICE)
    middle = len(findings.items)
    for number, path in enumerate(unknown):
        _unknown(model, path, layered, findings, advise=number < _MOST_ADVICE)
    _drop_explained(findings, start, middle)
    return None


def _drop_explained(findings: Findings, start: int, middle: int) -> None:
    """Do not report a missing key twice if it is there under another name.

    The unknown keys begin at ``middle``.
    """
    hints = [(each.key.rpartition(".")[0], each.hint) for each in findings.items[middle:]]
    findings.items[start:] = [
        each for each in findings.items[start:] if each.code != "IB112" or not _explained(each.key, hints)
    ]


def _explained(missing: str, hints: Sequence[tuple[str, str]]) -> bool:
    above, _, word = missing.rpartition(".")
    names = re.compile(rf"\b{re.escape(word)}\b")
    return any(
        where == above and names.search(hint) is not None for where, hint in hints if not hint.startswith("known here")
    )


def _unknown(model: type[BaseModel], path: Path, layered: Layered, findings: Findings, *, advise: bool) -> None:
    named = not issubclass(model, SecretModel)
    key = format_path(shown_path(path) if named else (*path[:-1], NOT_SHOWN))
    mark = layered.key_marks.get(path) or layered.mark(path)
    hint = _cut_at_comma(mark)
    if named and advise and not hint:
        advice = misplaced.advice(model, path, layered.data, layered.above.get(path, ()))
        hint = advice or closest(str(path[-1]), declared.keys_at(model, path[:-1]))
    hint = hint or _quoting(model, path, layered.mark(path)) or _known_here(model, path)
    findings.add("IB111", f"there is no key {key}", hint=hint, key=key, mark=mark)


def _cut_at_comma(mark: Mark | None) -> str:
    """The fix for ``{pod_cidr: 10.244.0.0/16,fd00::/56}``, where YAML reads the second network as a key."""
    if mark is None or not mark.end or mark.file == "--set" or mark.text[mark.end - 1 :].lstrip().startswith(":"):
        return ""
    before = mark.text[: mark.column - 1].rstrip()
    return "put the whole value in quotes: inside { } a comma ends it" if before.endswith(",") else ""


def _known_here(model: type[BaseModel], path: Path) -> str:
    return f"known here: {', '.join(declared.keys_at(model, path[:-1])) or 'nothing'}"


def _finding(model: type[BaseModel], item: ErrorDetails, layered: Layered, findings: Findings, *, advise: bool) -> None:
    path = real_path(item, layered.data)
    key = format_path(shown_path(path))
    if item["type"] == "missing":
        mark = layered.mark(path[:-1])
        hint = _quoting(model, path, mark) or misplaced.missing(model, path) or "add it"
        findings.add("IB112", f"{key} is missing", key=key, mark=mark, hint=hint)
        return
    of_key = item["loc"][-1] == "[key]"  # the key itself is invalid
    mark = layered.mark(path)
    private = is_private(path) and not of_key and not _plain_section(model, path, item["input"])
    private = private or _beside_key(layered.data, path)
    if of_key:
        mark = layered.key_marks.get(path) or mark
    message, hint = wording(item, mark, private=private)
    advice = _of_file(model, path, item["input"], private=private)
    if advise and not private:
        advice = _advice(model, path, item, mark, of_key=of_key) or advice
    advice = in_place.of_registry(path, layered.data) or in_place.of_proxy(path, item["input"]) or advice
    if advice and item["type"] == "value_error" and advice != hint:
        message = f"{message}: {hint}"  # what a value of this kind is
    hint = advice or hint
    if hint.endswith(_NONE) and not _may_be_empty(model, path):
        hint = hint.removesuffix(_NONE)
    if isinstance(item["input"], dict):
        hint = _quoting(model, path, mark) or hint
    if not _told(findings, mark, hint):
        findings.add("IB113", f"{key}: {message}", hint=hint, key=key, mark=mark)


def _plain_section(model: type[BaseModel], path: Path, value: object) -> bool:
    """Whether a value in place of a section is never private: on, off, a number, a version, a registry's host."""
    place = declared.place(model, path)
    if place is None or place.secret:
        return False
    if place.key.startswith("containerd.registries.") and in_place.is_host(value):
        return True
    numbered = isinstance(value, str) and re.fullmatch(r"v?[0-9]+\.[0-9]+\.[0-9]+", value) is not None
    return place.model is not None and (numbered or isinstance(value, int | float) or replacement.is_switch(value))


def _may_be_empty(model: type[BaseModel], path: Path) -> bool:
    place = declared.place(model, path)
    return place is None or replacement.fits(place.hint, [])


def _beside_key(data: object, path: Path) -> bool:
    """Whether the value is an item of a list that has a line of a private key."""
    here = value_at(data, path[:-1])
    return isinstance(here, list) and line_of_key(here)


def _of_file(model: type[BaseModel], path: Path, value: object, *, private: bool) -> str:
    """How a path is written where a text belongs that may be in a file of its own; empty if it is not a path."""
    place = declared.place(model, path)
    if place is None or not isinstance(value, str) or not _PATH.fullmatch(value):
        return ""
    item = place.below(declared.ITEM) if get_origin(place.type) is list else None
    if (item or place).find(Reference) is None:
        return ""
    reference = f"{{file: {'PATH' if private else flow(value)}}}"
    return f"write {f'[{reference}]' if item is not None else reference} if this is the path of a file"


def _advice(model: type[BaseModel], path: Path, item: ErrorDetails, mark: Mark | None, *, of_key: bool) -> str:
    """A valid replacement for the value, or for the name that is the key."""
    value = item["input"]
    if of_key:
        name = replacement.find_key(declared.place(model, path[:-1]), str(path[-1]))
        return f"write {flow(name)}" if name is not None else ""
    place = declared.place(model, path)
    written = as_written(mark) or str(value)
    found = replacement.find(place, value, written)
    if found is not None:
        return _told_apart(found, value, place)
    items = replacement.several(place, value) if isinstance(path[-1], int) else []
    if items:
        return f"write {len(items)} items: {flow(items)[1:-1]}"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (reason := replacement.reason(place, written)):
        return reason  # in quotes it would be refused too
    shape = in_place.section(place, path, value) or replacement.section(place, value)
    if shape:
        return shape if shape.startswith("remove") else f"write {shape}"
    shape = replacement.listed(place, value)
    return f"write a list: {shape}" if shape else ""


def _told_apart(found: replacement.Replacement, value: Any, place: Place | None) -> str:
    if isinstance(found.value, str) and isinstance(value, bool | int | float) and not found.note:
        same = found.value.lower() == str(value).lower() or found.text.startswith('"')
        quoted = found.text if found.text.startswith('"') else f'"{found.text}"'
        return f"write it in quotes: {quoted}" if same else f"write {found.text}"
    if isinstance(value, str) and str(found.value) == value and isinstance(found.value, int | float):
        return f"write it without quotes: {found.text}"
    if found.value == [value]:
        return f"put it in square brackets: {found.text}"
    nested = place is not None and get_origin(place.type) is list and isinstance(value, dict)
    return f"write a list: {found.text}" if nested else f"write {found.text}"


def _told(findings: Findings, mark: Mark | None, hint: str) -> bool:
    """Whether it is already reported that this value cannot be read; for a leading zero both have the same fix.

    A character of another keyboard is left to the fix of the whole value if there is one.
    """
    for number, other in enumerate(findings.items):
        if mark is not None and other.code == "IB117" and other.mark is not None and _inside(other.mark, mark):
            if hint.startswith("write "):
                del findings.items[number]
                return False
            return True
        if mark is not None and other.mark == mark and other.code in ("IB103", "IB104", "IB105", "IB119"):
            if other.code == "IB105":
                findings.items[number] = replace(other, hint=hint)
            return True
    return False


def _inside(mark: Mark, outer: Mark) -> bool:
    """Whether a place is in the marked text of another."""
    same = (mark.file, mark.line) == (outer.file, outer.line)
    return same and outer.column <= mark.column < max(outer.end, outer.column + 1)


def _quoting(model: type[BaseModel], path: Path, mark: Mark | None) -> str:
    """The hint for a --set that read a dot inside a name (``docker.io``, ``vm.swappiness``) as a separator."""
    if mark is None or mark.file != "--set":
        return ""
    for end in range(1, len(path)):
        here = declared.place(model, path[:end])
        if here is not None and get_origin(here.type) is dict:
            head = format_path(path[:end])
            return f"quote a name that has a dot: --set '{head}.\"{_EXAMPLES.get(head, 'a.b')}\"=…'"
    return ""


# A name with an extension, or with folders before it; no address.
_PATH = re.compile(r"(?!.*://)(?:[~.]{0,2}/)?[\w.-]+(?:/[\w.-]+)*\.(?:pem|crt|cer|cert|key|txt|der|json)", re.ASCII)
_NONE = "; [] for none"
_EXAMPLES = {"kernel.sysctl": "vm.swappiness", "containerd.registries": "docker.io"}


def real_path(item: ErrorDetails, data: object) -> Path:
    """pydantic's place without its own additions (union members, "[key]"); a missing key is its last part."""
    path: Path = ()
    here: Any = data
    loc = item["loc"]
    for position, part in enumerate(loc):
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        elif item["type"] != "missing" or position + 1 < len(loc):
            continue
        path = (*path, part)
    return path
