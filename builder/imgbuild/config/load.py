"""From the command line's words to a typed profile: files read, laid over each other, validated, all findings kept."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from imgbuild.config import declared, renamed
from imgbuild.config.data import data_dir
from imgbuild.config.fields import SecretModel
from imgbuild.config.layers import Layered, chain, closest, find, is_file, lay_set, missing, parse_set, shipped
from imgbuild.config.profile import Profile
from imgbuild.config.redact import is_private, shown_path
from imgbuild.config.source import Document
from imgbuild.config.target import Target, load_target, suggest, target_names
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path
from imgbuild.diagnostics.mask import NOT_SHOWN, mask

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Loaded:
    """A profile as asked for. ``name`` is that of the output folder; ``layered`` knows where each value came from."""

    name: str
    profile: Profile
    target: Target
    layered: Layered
    mended: frozenset[Path] = frozenset()  # where a default stands in for what does not fit


def load(
    profile: str, layers: Sequence[str], sets: Sequence[str], mode: str | None, findings: Findings
) -> Loaded | None:
    """Read and validate a profile. Every problem goes to ``findings``: errors there mean that nothing may be built.

    Where only single values do not fit, the defaults stand in for them, so that all checks can be made at once.
    None if there is no profile to speak of.
    """
    layered = Layered()
    documents = _documents(profile, "profiles", findings)
    overlays = [d for layer in layers for d in _documents(layer, "layers", findings)]
    read = [p for i, s in enumerate(sets, 1) if (p := parse_set(s, i, findings)) is not None]
    parsed = [(renamed.new_name(path, renamed.PROFILE, mark, findings), value, mark) for path, value, mark in read]
    if not documents:
        return None

    # Which target it is must be known before its defaults can go under the rest.
    target, target_key = _target(documents, overlays, parsed, findings)
    ground = _ground(target.id if target is not None else None, findings)
    for document in (*ground, *documents, *overlays):
        layered.lay(document)
    if mode is not None:
        parsed.append((("mode",), mode, Mark("--mode", 1, 1, mode)))
    for path_, value, mark in parsed:
        lay_set(layered, path_, value, mark, findings)
    if target is None and target_key is None:
        layered.data["target"] = ""  # already said: do not say that it is missing as well
    name = FilePath(profile).stem
    if not _NAME.fullmatch(name):
        here = Mark(profile, 1, 1)
        hint = "rename the file: letters, digits, dots, dashes and underscores; its name becomes the output's"
        findings.add("IB109", f"{name!r} is no name for a profile", mark=here, hint=hint)
    typed = validate(Profile, layered.data, layered, findings)
    mended: set[Path] = set()
    if typed is None and target is not None:
        defaults = defaults_of(target.id)
        defaults.data |= {"target": target.id, "firmware": "efi"}
        typed = _mended(layered, defaults, mended)
    if typed is None or target is None:
        return None
    return Loaded(name, typed, target, layered, frozenset(mended))


def _ground(target: str | None, findings: Findings) -> list[Document]:
    """What every profile lies on: base.yaml, and the defaults of its target where that is known."""
    profiles = data_dir("profiles")
    base = chain(profiles / "base.yaml", "profiles/base.yaml", "profiles", findings)
    if target is None:
        return base
    own = chain(profiles / "targets" / f"{target}.yaml", f"profiles/targets/{target}.yaml", "targets", findings)
    return [*base, *map(_defaults, own)]


def defaults_of(target: str | None) -> Layered:
    """The defaults of a target's profiles; None: those of base.yaml alone."""
    layered = Layered()
    for document in _ground(target, Findings()):
        layered.lay(document)
    return layered


def overlaid(loaded: Loaded, document: Document, findings: Findings) -> Loaded:
    """``loaded`` with one more document over it. What does not fit goes to ``findings``, and is as it was before."""
    layered = loaded.layered.copy()
    layered.lay(document)
    mended = set(loaded.mended)
    typed = validate(Profile, layered.data, layered, findings)
    if typed is None:
        typed = _mended(layered, Layered(loaded.profile.model_dump()), mended) or loaded.profile
    return Loaded(loaded.name, typed, loaded.target, layered, frozenset(mended))


def _mended(layered: Layered, ground: Layered, places: set[Path]) -> Profile | None:
    """A profile with the defaults in place of what does not fit, so that checks can speak of the rest."""
    data = copy.deepcopy(layered.data)
    for _ in range(3):
        try:
            return Profile.model_validate(data)
        except ValidationError as error:
            for item in error.errors(include_url=False, include_context=False):
                path = _real_path(item, layered)
                # A list with something wrong in it goes as a whole.
                end = next((n for n, part in enumerate(path) if isinstance(part, int)), len(path))
                whole = item["type"] == "missing" and 1 < end == len(path)  # what lacks a key goes as well
                place = path[: end - 1 if whole else end]
                _put_back(data, ground.data, place)
                places.add(place)
    return None


def _put_back(data: Any, ground: Any, path: Path) -> None:
    for part in path[:-1]:
        data = data.get(part) if isinstance(data, dict) else None
        ground = ground.get(part) if isinstance(ground, dict) else None
    if not path or not isinstance(data, dict):
        return
    data.pop(path[-1], None)
    if isinstance(ground, dict) and path[-1] in ground:
        data[path[-1]] = copy.deepcopy(ground[path[-1]])


def _documents(name: str, kind: str, findings: Findings) -> list[Document]:
    found = find((kind,), name)
    if found is None:
        missing((kind,), name, None, f"--{kind[:-1]}", findings)
        return []
    twin = FilePath(f"{name}.yaml")
    if name in shipped(kind) and is_file(twin) and not twin.samefile(found[0]):
        findings.add(
            "IB114", f"{name} is imgbuild's own, not the file {twin} that lies here", key=f"--{kind[:-1]}",
            mark=Mark(str(twin), 1, 1), hint=f"say {twin} if you mean that file",
        )  # fmt: skip
    return chain(found[0], found[1], kind, findings)


def _defaults(document: Document) -> Document:
    """The ``defaults:`` of a target file as a document of its own, marks included."""
    cut = "defaults"
    return Document(
        document.data.get(cut, {}),
        {path[1:]: mark for path, mark in document.marks.items() if path[:1] == (cut,)},
        {path[1:]: mark for path, mark in document.key_marks.items() if path[:1] == (cut,) and path != (cut,)},
        document.name,
    )


def _target(
    documents: Sequence[Document],
    overlays: Sequence[Document],
    parsed: Sequence[tuple[Path, Any, Mark]],
    findings: Findings,
) -> tuple[Target | None, str | None]:
    name: Any = None
    mark: Mark | None = None
    for document in (*documents, *overlays):
        if "target" in document.data:
            name, mark = document.data["target"], document.marks.get(("target",))
    for path, value, place in parsed:
        if path == ("target",):
            name, mark = value, place
    if name is None:
        last = Mark(documents[-1].name, 1, 1) if documents else None
        hint = "extend one of ours (`extends: centos7-efi`), or say `target: centos7`"
        findings.add("IB109", "the profile names no target", key="target", mark=last, hint=hint)
        return None, None
    if not isinstance(name, str):
        return None, "?"  # validation says it better
    if name not in target_names():
        findings.add("IB109", f'there is no target "{name}"', key="target", mark=mark, hint=suggest(name))
        return None, None
    return load_target(name), name


def validate(model: type[M], data: Mapping[str, Any], layered: Layered, findings: Findings) -> M | None:
    """``data`` as a ``model``; what does not fit becomes findings with their places."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        # A union complains once a member: the last word on each key is enough.
        single = {(_real_path(e, layered), e["type"] == "extra_forbidden"): e for e in errors}
        for item in single.values():
            _finding(model, item, layered, findings)
        return None


def _finding(model: type[BaseModel], item: ErrorDetails, layered: Layered, findings: Findings) -> None:
    path = _real_path(item, layered)
    named = not issubclass(model, SecretModel)
    key = format_path(shown_path(path))
    if item["type"] == "extra_forbidden":
        known = list(_fields_at(model, path[:-1]))
        if not named:
            key = format_path((*path[:-1], NOT_SHOWN))
        hint = closest(str(path[-1]), known) if named else ""
        hint = hint or _quoting(model, path, layered.mark(path))
        hint = hint or f"known here: {', '.join(known) or 'nothing'}"
        mark = layered.key_marks.get(path) or layered.mark(path)
        findings.add("IB111", f"there is no key {key}", hint=hint, key=key, mark=mark)
        return
    if item["type"] == "missing":
        mark = layered.mark(path[:-1])
        hint = _quoting(model, path, mark) or "add it"
        findings.add("IB112", f"{key} is missing", key=key, mark=mark, hint=hint)
        return
    mark = layered.mark(path)
    if item["loc"][-1] == "[key]":  # it is the key that does not fit
        mark = layered.key_marks.get(path) or mark
    message, hint = _words(item, mark, private=is_private(path))
    if isinstance(item["input"], dict):
        hint = _quoting(model, path, mark) or hint
    findings.add("IB113", f"{key}: {message}", hint=hint, key=key, mark=mark)


def _quoting(model: type[BaseModel], path: Path, mark: Mark | None) -> str:
    """The hint for a --set that took a dot inside a name (``docker.io``, ``vm.swappiness``) for one between names."""
    if mark is None or mark.file != "--set":
        return ""
    for end in range(1, len(path)):
        here = declared.place(model, path[:end])
        if here is not None and get_origin(here.type) is dict:
            head = format_path(path[:end])
            return f"a name that holds a dot stands in quotes: --set '{head}.\"{_EXAMPLES.get(head, 'a.b')}\"=…'"
    return ""


_EXAMPLES = {"kernel.sysctl": "vm.swappiness", "containerd.registries": "docker.io"}


def _real_path(item: ErrorDetails, layered: Layered) -> Path:
    """pydantic's place without its own additions (union members, "[key]"); a missing key is its last part."""
    path: Path = ()
    here: Any = layered.data
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


def _fields_at(model: type[BaseModel], path: Path) -> Sequence[str]:
    """The keys that a model takes at ``path``, through lists and mappings of models."""
    here = declared.place(model, path)
    return list(here.model.model_fields) if here is not None and here.model is not None else []


def _as_written(mark: Mark | None) -> str:
    """The number's own text (1.30, which YAML makes 1.3); nothing where the mark is not at the number."""
    if mark is None:
        return ""
    text = mark.text.partition("=")[2] if mark.file == "--set" else mark.text[mark.column - 1 :]
    found = re.match(r"[-+0-9.eE]+", text.strip())
    return found[0] if found else ""


_WANTED = {
    "string_type": "text is wanted",
    "int_type": "a whole number is wanted",
    "bool_type": "true or false is wanted",
    "list_type": "a list is wanted",
    "dict_type": "a mapping of keys to values is wanted",
    "model_type": "a mapping of keys to values is wanted",
    "model_attributes_type": "a mapping of keys to values is wanted",
}
_FIXES = {
    "text is wanted": "write one line of text, in quotes if YAML takes it for something else",
    "a whole number is wanted": "write decimal digits alone, without quotes",
    "true or false is wanted": "write true or false",
    "a list is wanted": "write it in square brackets, or one item a line behind a dash; [] for none",
    "a mapping of keys to values is wanted": "write its keys below it, or take it out: the defaults then hold",
}
_BOUNDS = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}


def _as_yaml(value: Any) -> str:
    """A value as messages call it: in YAML's words, not Python's, and never long."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    text = mask(text)  # before it is cut: what is cut off may be what tells a login
    return text if len(text) <= 80 else text[:77] + "..."


def _words(item: ErrorDetails, mark: Mark | None, *, private: bool) -> tuple[str, str]:
    """What is wrong and how to mend it, in imgbuild's words."""
    kind, value = item["type"], item["input"]
    shown = _as_yaml(value)
    if private or "PRIVATE KEY" in shown:
        value, shown = "" if isinstance(value, str) else None, f"this value {NOT_SHOWN}"
    if kind == "value_error":
        return f"{shown} does not do", str(item["ctx"]["error"])
    if kind == "too_short":
        return "at least one is wanted", "add one"
    if kind == "string_too_short":
        return "text is wanted, and this is empty", "write something, or take it out"
    if kind in _BOUNDS:
        word, bound = _BOUNDS[kind]
        return f"{shown} is out of range", f"write a number of {word} {item['ctx'][bound]}"
    if kind in ("literal_error", "enum"):
        expected = item["ctx"]["expected"]
        choices = [c.strip("'") for c in expected.replace(" or ", ", ").split(", ")]
        return f"{shown} is none of {expected}", closest(str(value), choices) or f"write one of {expected}"
    wanted = _WANTED.get(kind)
    if wanted is None:
        return f"{item['msg']} (found {shown})", "see docs/reference/profile.md"
    if kind == "string_type" and isinstance(value, (int, float)) and not isinstance(value, bool):
        written = _as_written(mark) or str(value)
        return f"YAML reads {written} as the number {value}, text is wanted", f'write it in quotes: "{written}"'
    if kind == "bool_type" and str(value) in ("yes", "no", "on", "off"):
        return f"{shown} is text", f"write {'true' if value in ('yes', 'on') else 'false'}"
    if kind == "list_type" and isinstance(value, (str, int)) and value != "" and len(str(value)) < 80:
        return f"{wanted}, not {shown}", f"put it in square brackets: [{value}]"
    if kind == "int_type" and isinstance(value, str) and value.isascii() and value.isdigit():
        return f"{wanted}, not {shown}", "take the quotes off"
    return f"{wanted}, not {shown}", _FIXES[wanted]
