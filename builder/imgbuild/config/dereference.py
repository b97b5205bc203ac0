"""Put the text in place of a reference, ``{file: PATH}`` or ``{env: NAME}``, when a file is read."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel

from imgbuild.config.declared import Place, root
from imgbuild.config.layers import Layered
from imgbuild.config.profile.extras import MAX_FILE
from imgbuild.config.reference import FORMS, LocalFile, Reference
from imgbuild.config.source import NOT_TEXT, Document
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path

MAX_BYTES = 1 << 20
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_FORMS = "write {file: PATH} or {env: NAME}"


class _UnreadError(Exception):
    """What is wrong with a reference, and the fix."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


def in_document(document: Document, model: type[BaseModel], folder: FilePath, findings: Findings) -> Document:
    """``document`` with the texts in place of references; paths are relative to ``folder``.

    A reference that cannot be resolved remains, and is a finding. A secret that the file holds itself is a warning.
    """
    marks = dict(document.marks)

    def told(path: Path, place: Place, text: str) -> None:
        _warn(path, place, text, marks.get(path), findings)

    def resolved(path: Path, value: Mapping[str, Any]) -> Any:
        return _resolved(path, value, marks.get(path), folder, findings)

    def sourced(path: Path, place: Place, value: Mapping[str, Any]) -> Any:
        return _sourced(path, place, value, marks.get((*path, "source")), folder, findings)

    data = _walk(document.data, root(model), (), resolved, told, sourced)
    return document if data is document.data else replace(document, data=data)


def in_options(layered: Layered, model: type[BaseModel], findings: Findings) -> None:
    """Resolve what ``--set`` has brought, in place; paths are relative to the current folder."""

    def told(path: Path, place: Place, text: str) -> None:
        mark = layered.mark(path)
        if mark is not None and mark.file == "--set":
            _warn(path, place, text, mark, findings)

    def resolved(path: Path, value: Mapping[str, Any]) -> Any:
        mark = layered.mark((*path, *list(value)[:1]))  # --set may give the form as a key
        if mark is None or mark.file != "--set":
            return value  # of a file, and reported already
        text = _resolved(path, value, mark, FilePath(), findings)
        if isinstance(text, str):
            layered.put(path, text, mark)
        return text

    def sourced(path: Path, place: Place, value: Mapping[str, Any]) -> Any:
        mark = layered.mark((*path, "source"))
        if mark is None or mark.file != "--set":
            return value
        return _sourced(path, place, value, mark, FilePath(), findings)

    layered.data = _walk(layered.data, root(model), (), resolved, told, sourced)


def _walk(
    value: Any,
    place: Place | None,
    path: Path,
    resolved: Callable[[Path, Mapping[str, Any]], Any],
    told: Callable[[Path, Place, str], None],
    sourced: Callable[[Path, Place, Mapping[str, Any]], Any],
) -> Any:
    """``value`` with its references resolved; the same object if it has none."""
    if place is None:
        return value
    reference = place.find(Reference)
    if reference is not None and isinstance(value, str):
        told(path, place, value)
        return value
    if reference is not None and isinstance(value, dict) and (place.model is None or _is_reference(value)):
        return resolved(path, value)
    if isinstance(value, dict):
        given = value
        value = sourced(path, place, value)
        new: Any = {
            key: _walk(child, place.below(key), (*path, key), resolved, told, sourced) for key, child in value.items()
        }
        return new if value is not given or any(new[key] is not value[key] for key in value) else value
    if isinstance(value, list):
        new = [_walk(child, place.below(i), (*path, i), resolved, told, sourced) for i, child in enumerate(value)]
        return new if any(a is not b for a, b in zip(new, value, strict=True)) else value
    return value


def _is_reference(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)) in FORMS


def _warn(path: Path, place: Place, text: str, mark: Mark | None, findings: Findings) -> None:
    reference = place.find(Reference)
    if reference is None or reference.private is None or not reference.private(text):
        return
    key, name = format_path(path), path[-1] if isinstance(path[-1], str) else "secret"
    if mark is not None and mark.file == "--set":
        what = f"{key} is a secret, and the command line is in the shell's history and in the list of processes"
    else:
        what = f"{key} is a secret, and whoever can read this file has it"
    findings.add(
        "IB118", what, key=key, mark=mark,
        hint=f"put it into a file of mode 0600 beside this one, and write {path[-1]}: {{file: {name}.txt}}; or "
        f"write {{env: NAME}}, and set that variable",
    )  # fmt: skip


def _resolved(path: Path, value: Mapping[str, Any], mark: Mark | None, folder: FilePath, findings: Findings) -> Any:
    """The text that a reference means; the reference itself after a finding."""
    try:
        if not _is_reference(value):
            raise _UnreadError("expected a text or a reference to one", _FORMS)
        ((form, name),) = value.items()
        if not isinstance(name, str) or not name:
            raise _UnreadError(f"{form} must be a {'path' if form == 'file' else 'name'}", _FORMS)
        return _of_file(name, folder) if form == "file" else _of_variable(name)
    except _UnreadError as error:
        key = format_path(path)
        findings.add("IB119", f"{key}: {error}", hint=error.fix, key=key, mark=mark)
        return value


def _of_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise _UnreadError(
            "this is not the name of an environment variable", "write {env: NAME}; in NAME only letters, digits and _"
        )
    text = os.environ.get(name)
    sudo = f" (under sudo: sudo --preserve-env={name} imgbuild …)" if "SUDO_USER" in os.environ else ""
    if text is None:
        raise _UnreadError(f"the environment has no variable {name}", f"set {name}, and export it{sudo}")
    return _text(text, f"the variable {name}")


class _OfFile(str):
    """The content of a source, which is not read twice."""


def _sourced(
    path: Path, place: Place, value: Mapping[str, Any], mark: Mark | None, folder: FilePath, findings: Findings
) -> Any:
    """A mapping with the bytes of the file that its ``source`` names, as its ``content``."""
    name = value.get("source")
    below = place.below("source") if isinstance(name, str) else None
    if below is None or below.find(LocalFile) is None or isinstance(value.get("content"), _OfFile):
        return value
    key = format_path((*path, "source"))
    for other in ("content", "encoding"):
        if other in value:
            findings.add(
                "IB467", f"a file has both source and {other}", hint=f"remove {other}, or source", key=key, mark=mark
            )
            return {**value, "content": _OfFile(), "encoding": "text"}
    try:
        raw = _bytes_of(str(name), folder, MAX_FILE, "name each file, or an archive of it: tar -C FOLDER -cf FILE .")
    except _UnreadError as error:
        findings.add("IB467", f"{key}: {error}", hint=error.fix, key=key, mark=mark)
        raw = b""
    return {**value, "encoding": "base64", "content": _OfFile(base64.b64encode(raw).decode())}


def _of_file(name: str, folder: FilePath) -> str:
    raw = _bytes_of(name, folder, MAX_BYTES, "name a file in it")
    try:
        return _text(raw.decode("utf-8-sig"), str(folder / name))
    except UnicodeDecodeError as error:
        raise _UnreadError(f"{folder / name} is not UTF-8 text", "save it as text in UTF-8") from error


def _bytes_of(name: str, folder: FilePath, most: int, of_folder: str) -> bytes:
    path = folder / name
    try:
        # Without waiting: a pipe without a writer would block forever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise _UnreadError(f"{path} is not a regular file", "write the text to a file, and name that file")
            raw = stream.read(most + 1)
    except FileNotFoundError as error:
        fix = "create it, or correct the path; it is relative to the file that names it"
        fix = "write the whole path: ~ is not expanded" if name.startswith("~") else fix
        raise _UnreadError(f"there is no file {path}", fix) from error
    except IsADirectoryError as error:
        raise _UnreadError(f"{path} is a folder", of_folder) from error
    except PermissionError as error:
        fix = f"run imgbuild as the user who may read {path}, or let this user read it"
        raise _UnreadError(f"this user may not read {path}", fix) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        said = error.strerror if isinstance(error, OSError) else "this is not a valid path"
        raise _UnreadError(f"cannot read {path}: {said}", "check the path") from error
    if len(raw) > most:
        fix = "put it on a web server, and fetch it in run" if most == MAX_FILE else "name the file with the text"
        raise _UnreadError(f"{path} is over {most >> 20} MiB", fix)
    return raw


def _text(text: str, where: str) -> str:
    """A text without the line break that editors and `echo` add at its end."""
    if NOT_TEXT.search(text):
        raise _UnreadError(f"{where} is not text", "save it as text in UTF-8")
    text = text.rstrip("\r\n")
    if not text.strip():
        raise _UnreadError(f"{where} is empty", "write the value there")
    return text
