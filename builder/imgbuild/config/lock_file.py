"""The lock file on the disk: what was edited by hand or is of another version is a finding with its place.

Written sorted with one value per line, the same bytes for the same pins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

import yaml

from imgbuild.config.data import data_dir
from imgbuild.config.fields import Model
from imgbuild.config.layers import Layered, find
from imgbuild.config.lock import FORMAT, NAME, Lock, Section
from imgbuild.config.source import read
from imgbuild.config.validate import validate
from imgbuild.diagnostics.findings import Findings, Mark, Path

_HEAD = """\
# Made by imgbuild lock, which writes it again: do not edit it. Keep it in version control, beside the profile.
"""


_LEFT_OUT = frozenset({"temporary", "updates"})
"""Fields that are not written if they are empty."""


@dataclass(frozen=True)
class LockFile:
    """A lock as read, with the place of each value."""

    path: FilePath
    lock: Lock
    layered: Layered

    def section(self, profile: str) -> Section | None:
        """The pins of a profile."""
        return self.lock.profiles.get(profile)

    def mark(self, *path: str | int) -> Mark:
        """The place of a value, or of the nearest key above it."""
        here: Path = path
        return self.layered.key_marks.get(here) or self.layered.mark(here) or Mark(str(self.path), 1, 1)


def lock_path(profile: str) -> FilePath:
    """Where the lock of ``--profile PROFILE`` is: beside that file, for a shipped profile in the current folder."""
    found = find(("profiles",), profile)
    if found is None or found[0].is_relative_to(data_dir("profiles")):
        return FilePath(NAME)
    return FilePath(profile).with_name(NAME)


def read_lock(path: FilePath, findings: Findings) -> LockFile | None:
    """The lock at ``path``; None if there is none, or it has errors, which are in ``findings``."""
    if not path.exists() and not path.is_symlink():
        return None
    said = Findings()
    found = _read(path, said)
    anew = f"restore it from version control; or delete {path}, and run imgbuild lock for each of its profiles"
    findings.extend(each if each.code == "IB810" else replace(each, hint=anew) for each in said.items)
    return found


def _read(path: FilePath, findings: Findings) -> LockFile | None:
    document = read(path, findings)
    if document is None:
        return None
    layered = Layered()
    layered.lay(document)
    if "format" in document.data and document.data["format"] != FORMAT:
        mark = layered.mark(("format",))
        findings.add(
            "IB810", f"{path} has the format {document.data['format']!r}; this imgbuild reads {FORMAT}", key="format",
            mark=mark, hint="use the imgbuild that wrote it; or delete it, and run imgbuild lock for each profile",
        )  # fmt: skip
        return None
    lock = validate(Lock, layered.data, layered, findings)
    return LockFile(path, lock, layered) if lock is not None and not findings.errors else None


def lock_text(lock: Lock) -> str:
    """The file of these pins: names sorted, fields in the order of the models, what is not set left out."""
    return _HEAD + yaml.dump(_plain(lock), Dumper=yaml.CSafeDumper, sort_keys=False, width=1 << 20, allow_unicode=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        fields = ((name, getattr(value, name)) for name in type(value).model_fields)
        return {
            name: _plain(each)
            for name, each in fields
            if each is not None and (each not in ({}, []) or name not in _LEFT_OUT)
        }
    if isinstance(value, dict):
        return {name: _plain(value[name]) for name in sorted(value)}
    return value
