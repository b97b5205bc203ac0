"""Reading a grub.cfg as GRUB would: which entry starts when nobody touches a key."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from builder.errors import HostError

_BLOCK = re.compile(r"^\s*(menuentry|submenu)\s+(.*)\{\s*$")
_DEFAULT = re.compile(r"^\s*set default=(.*)$", re.MULTILINE)


@dataclass
class Entry:
    """One entry of a menu, or a submenu with its entries."""

    title: str
    name: str = ""
    commands: list[list[str]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def words(self, *commands: str) -> list[str]:
        """The words after the first of ``commands`` in this entry; empty where it has none."""
        return next((c[1:] for c in self.commands if c and c[0] in commands), [])


def parse(text: str) -> list[Entry]:
    """The menu of a grub.cfg as grub-mkconfig (and imgbuild) writes it: one block a menuentry, "}" on its own line."""
    return _entries(iter(text.splitlines()))


def _entries(lines: Iterator[str]) -> list[Entry]:
    found: list[Entry] = []
    for line in lines:
        if block := _BLOCK.match(line):
            entry = _entry(block[2])
            if block[1] == "submenu":
                entry.entries = _entries(lines)
            else:
                entry.commands = _commands(lines)
            found.append(entry)
        elif line.strip() == "}":
            break
    return found


def _entry(head: str) -> Entry:
    words = shlex.split(head)
    name = ""
    for option, value in itertools.pairwise(words):
        if option in {"--id", "$menuentry_id_option", "${menuentry_id_option}"}:
            name = value
    return Entry(words[0], name)


def _commands(lines: Iterator[str]) -> list[list[str]]:
    commands = []
    for line in lines:
        if line.strip() == "}":
            break
        if line.strip() and not line.lstrip().startswith("#"):
            commands.append(shlex.split(line))
    return commands


def default(text: str, environment: bytes = b"") -> Entry:
    """The entry that starts by itself; ``environment`` is grubenv, for a default that is saved there.

    Raises HostError when the menu has no such entry: GRUB would then start the first one, or none.
    """
    wanted = "0"
    for value in _DEFAULT.findall(text):
        plain = value.strip().strip("\"'")
        if plain == "${saved_entry}":
            wanted = _saved(environment) or wanted
        elif "$" not in plain:
            wanted = plain
    entries: Sequence[Entry] = parse(text)
    entry: Entry | None = None
    for step in wanted.split(">"):
        entry = _pick(entries, step)
        if entry is None:
            raise HostError(f"the boot menu has no entry {wanted!r}, which it names as its default")
        entries = entry.entries
    if entry is None or not entry.commands:
        raise HostError(f"the boot menu's default {wanted!r} starts nothing")
    return entry


def _pick(entries: Sequence[Entry], wanted: str) -> Entry | None:
    if wanted.isdigit():
        return entries[int(wanted)] if int(wanted) < len(entries) else None
    return next((e for e in entries if wanted in {e.name, e.title}), None)


def _saved(environment: bytes) -> str:
    for line in environment.decode(errors="replace").splitlines():
        if line.startswith("saved_entry="):
            return line.removeprefix("saved_entry=")
    return ""
