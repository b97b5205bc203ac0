"""Read a boot menu as GRUB would: which entry starts if no key is pressed, and what it loads.

GRUB reports almost no errors in a menu: with a default that does not exist it starts the first entry, with a
missing grubenv too. Here each of those is an error, before a machine meets it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.disk.bls import ENTRIES, sort_key
from imgbuild.image.disk.bls import Entry as BlsEntry
from imgbuild.image.disk.bls import parse as parse_bls
from imgbuild.image.proof.grubscript import Block, Command, If, Statement, parse

_DEPTH = 20  # files that load other files
_LOADERS = {"linux", "linux16", "linuxefi"}
_INITRDS = {"initrd", "initrd16", "initrdefi"}


@dataclass(frozen=True)
class Device:
    """One file system that GRUB can read, by the name that it has in this reading.

    ``read`` returns a file's content, None if it is missing; ``names`` the files of a folder.
    """

    name: str
    uuid: str
    read: Callable[[str], bytes | None]
    names: Callable[[str], Sequence[str]]


@dataclass
class Entry:
    """One entry of a menu, or a submenu with its entries."""

    title: str
    name: str
    body: Block | BlsEntry = field(repr=False)
    root: str = ""
    """The device of file names without one."""
    linux: list[str] = field(default_factory=list)
    """Kernel (with its device, as GRUB writes it) and arguments; empty if it starts none."""
    initrd: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


class Menu:
    """A menu that has been run: its entries and the variables at its end."""

    def __init__(self, devices: Sequence[Device], root: str, prefix: str) -> None:
        """Start as GRUB's core image does: ``root`` is a device's name, ``prefix`` the folder of its files on it."""
        self._devices = {device.name: device for device in devices}
        self.variables = {"root": root, "prefix": f"({root}){prefix}"}
        # Features that EL's and Debian's GRUB declare (grub-core/normal/main.c: features).
        for feature in ("menuentry_id", "timeout_style", "platform_search_hint", "all_video_module"):
            self.variables[f"feature_{feature}"] = "y"
        self.entries: list[Entry] = []
        self._functions: dict[str, tuple[Statement, ...]] = {}
        self._running: Entry | None = None
        self._depth = 0

    def run(self, path: str) -> None:
        """Read the file ``path`` ("(esp)/EFI/centos/grub.cfg").

        Raises:
            HostError: GRUB would show a prompt.
        """
        content = self._read(path)
        if content is None:
            raise HostError(f"GRUB looks for {path}, which does not exist")
        self._depth += 1
        if self._depth > _DEPTH:
            raise HostError(f"the boot menu {path} loads itself in a loop")
        outer = {key: self.variables.get(key, "") for key in ("config_file", "config_directory")}
        self.variables |= {"config_file": path, "config_directory": str(PurePosixPath(path).parent)}
        self._all(parse(content.decode(errors="replace")))
        self.variables |= outer
        self._depth -= 1

    def default(self) -> Entry:
        """The entry that starts by itself, with what it loads.

        Raises:
            HostError: the menu has no such entry.
        """
        wanted = self.variables.get("default", "") or "0"
        entries: list[Entry] = self.entries
        entry: Entry | None = None
        for step in wanted.split(">"):
            entry = _pick(entries, step)
            if entry is None:
                raise HostError(
                    f"the boot menu names {wanted!r} as its default but has no such entry: "
                    f"it has {', '.join(repr(e.name or e.title) for e in entries) or 'none'}"
                )
            self._open(entry)
            entries = entry.entries
        if entry is None or not entry.linux:
            raise HostError(f"the boot menu's default {wanted!r} starts no kernel")
        return entry

    def _open(self, entry: Entry) -> None:
        """Run an entry's own commands, or a submenu's."""
        body = entry.body
        self.variables["chosen"] = entry.name or entry.title
        if isinstance(body, BlsEntry):
            options = body.one("options") or self.variables.get("default_kernelopts", "")  # GRUB uses the first only
            entry.linux = _words([body.one("linux"), options], self.variables)
            entry.initrd = _words(body.values("initrd"), self.variables)
        else:
            outer, self.entries, self._running = self.entries, entry.entries, entry
            self._all(body.body)
            self.entries, self._running = outer, None
        entry.root = self.variables["root"]

    def _all(self, statements: Sequence[Statement]) -> bool:
        ok = True
        for statement in statements:
            ok = self._one(statement)
        return ok

    def _one(self, statement: Statement) -> bool:
        if isinstance(statement, If):
            for condition, body in statement.branches:
                if not condition or self._all(condition):
                    return self._all(body)
            return True
        if isinstance(statement, Block):
            words = [value for word in statement.words for value in word.expand(self.variables)]
            if statement.kind == "function":
                self._functions[words[0]] = statement.body
            else:
                self.entries.append(_entry(words, statement))
            return True
        return self._command(statement)

    def _command(self, command: Command) -> bool:
        words = [value for word in command.words for value in word.expand(self.variables)]
        if not words:
            return True
        name, arguments = words[0], words[1:]
        if re.match(r"[A-Za-z_]\w*=", name):
            self._do_set(words)
            return True
        if name in self._functions:
            return self._all(self._functions[name])
        if name in {"[", "test"}:
            return _Test(self, arguments[:-1] if name == "[" else arguments).value()
        if name in _LOADERS and self._running:
            self._running.linux = arguments
        elif name in _INITRDS and self._running:
            self._running.initrd = arguments
        elif run := getattr(self, f"_do_{name.replace('.', '_')}", None):
            return run(arguments) is not False
        return name != "false"  # a command that only shows or loads something succeeds

    def _do_set(self, words: list[str]) -> None:
        for word in words:
            key, _, value = word.partition("=")
            self.variables[key] = value

    def _do_unset(self, words: list[str]) -> None:
        for word in words:
            self.variables.pop(word, None)

    def _do_source(self, words: list[str]) -> None:
        self.run(self._full(words[0]))

    def _do_configfile(self, words: list[str]) -> None:
        """Another menu in this one's place; GRUB returns only if Escape is pressed."""
        path = self._full(words[0])
        self.entries.clear()
        self.run(path)

    def _do_load_env(self, words: list[str]) -> bool:
        path = f"{self.variables['prefix']}/grubenv"
        while words and words[0].startswith("-"):
            option, *words = words
            if option in {"-f", "--file"}:
                path, *words = words
        block = self._read(self._full(path))
        if block is None:
            return False
        for key, value in environment(block).items():
            if not words or key in words:
                self.variables[key] = value
        return True

    def _do_search_fs_uuid(self, words: list[str]) -> bool:
        return self._search(words[0], words[1] if len(words) > 1 else "root")

    def _do_search(self, words: list[str]) -> bool:
        variable, kind, plain = "root", "", []
        for word in words:
            if word.startswith("--set"):
                variable = word.partition("=")[2] or "root"
            elif word in {"--fs-uuid", "-u", "--file", "-f", "--label", "-l"}:
                kind = word
            elif not word.startswith("-"):
                plain.append(word)
        if kind not in {"--fs-uuid", "-u"}:
            raise HostError(
                f"the boot menu looks for its file system by {kind or 'nothing'}: imgbuild follows UUIDs only"
            )
        return self._search(plain[-1], variable)

    def _search(self, uuid: str, variable: str) -> bool:
        for device in self._devices.values():
            if device.uuid.lower() == uuid.lower():
                self.variables[variable] = device.name
                return True
        known = ", ".join(f"{device.name} {device.uuid}" for device in self._devices.values())
        raise HostError(f"GRUB looks for the file system {uuid}; this disk has {known}")

    def _do_blscfg(self, _words_: list[str]) -> None:
        """Boot Loader Specification entries, the newest first (EL's patch: grub-core/commands/blscfg.c)."""
        device = self._devices[self.variables["root"]]
        found = []
        for name in device.names(ENTRIES):
            if name.endswith(".conf"):
                found.append(parse_bls(name.removesuffix(".conf"), device.read(f"{ENTRIES}/{name}") or b""))
        for bls in sorted(found, key=sort_key, reverse=True):
            if bls.one("linux"):  # GRUB silently skips an entry without a kernel
                self.entries.append(Entry(bls.one("title"), bls.name, bls))

    def _full(self, path: str) -> str:
        return path if path.startswith("(") else f"({self.variables['root']}){path}"

    def _read(self, path: str) -> bytes | None:
        found = re.fullmatch(r"\(([^)]*)\)(/.*)", path)
        device = self._devices.get(found[1]) if found else None
        return device.read(found[2]) if found and device else None

    def exists(self, path: str, *, filled: bool = False) -> bool:
        """GRUB's ``-e`` and ``-f``; with ``filled`` its ``-s``."""
        content = self._read(self._full(path))
        return content is not None and (bool(content) or not filled)


class _Test:
    """GRUB's ``[``, as menus use it (grub-core/commands/test.c): -o binds weaker than -a, ! stronger than both."""

    def __init__(self, menu: Menu, words: list[str]) -> None:
        self._menu, self._words = menu, words

    def value(self) -> bool:
        return any(all(self._one(term) for term in _split(part, "-a")) for part in _split(self._words, "-o"))

    def _one(self, words: list[str]) -> bool:
        match words:
            case ["!", *rest]:
                return not self._one(rest)
            case ["-s", path]:
                return self._menu.exists(path, filled=True)
            case ["-e" | "-f", path]:
                return self._menu.exists(path)
            case ["-n", text]:
                return bool(text)
            case ["-z", text]:
                return not text
            case [left, "=" | "==", right]:
                return left == right
            case [left, "!=", right]:
                return left != right
            case [text]:
                return bool(text)
        return False


def environment(block: bytes) -> dict[str, str]:
    """The variables of a grubenv (grub-core/lib/envblk.c): lines, a backslash before a literal character."""
    out = {}
    for line in block.decode(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            out[key] = re.sub(r"\\(.)", r"\1", value)
    return out


def _split(words: list[str], at: str) -> list[list[str]]:
    out: list[list[str]] = [[]]
    for word in words:
        if word == at:
            out.append([])
        else:
            out[-1].append(word)
    return out


def _words(values: Sequence[str], variables: dict[str, str]) -> list[str]:
    """The words of a BLS entry's values, with variables expanded."""
    text = " ".join(values)
    return re.sub(r"\$\{?([A-Za-z_]\w*)\}?", lambda found: variables.get(found[1], ""), text).split()


def _entry(words: list[str], body: Block) -> Entry:
    title, name, rest = words[0], "", words[1:]
    while rest:
        option, *rest = rest
        if option == "--id" and rest:
            name, *rest = rest
        elif option.startswith("--id="):
            name = option.removeprefix("--id=")
    return Entry(title, name, body)


def _pick(entries: Sequence[Entry], wanted: str) -> Entry | None:
    if wanted.isdigit():
        return entries[int(wanted)] if int(wanted) < len(entries) else None
    return next((e for e in entries if wanted in {e.name, e.title}), None)
