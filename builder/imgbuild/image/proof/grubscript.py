"""GRUB's script language, as far as boot menus use it: parse a grub.cfg into its statements.

Written after the GRUB manual ("Writing full configuration files directly") and grub-core/script/: words with quotes
and variables, `if`, `function`, `menuentry`, `submenu`, and plain commands. Loops occur in no menu that grub-mkconfig
or grubby writes; one is refused rather than misread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from imgbuild.diagnostics.errors import HostError

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]+|\\\n)
  | (?P<comment>\#[^\n]*)
  | (?P<end>\n|;)
  | (?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;'"\\])+)
    """,
    re.VERBOSE | re.DOTALL,
)
_PART = re.compile(r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^'"\\]+)""", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?*@#]))")
_BLOCKS = {"function", "menuentry", "submenu"}


@dataclass(frozen=True)
class Word:
    """One word as it is in the file."""

    text: str

    def expand(self, variables: Mapping[str, str]) -> list[str]:
        """The word's values: none if an unquoted variable is empty, several if it has blanks."""
        out, quoted = [""], False
        for single, double, escaped, bare in _PART.findall(self.text):
            if bare:
                # Only a variable's value is split: a word in the file is one word.
                first, *more = (_substitute(bare, variables).split() or [""]) if "$" in bare else [bare]
                out[-1] += first
                out += more
            else:
                quoted = True
                out[-1] += single or escaped or re.sub(r"\\([\"\\$])", r"\1", _substitute(double, variables))
        return out if quoted or out != [""] else []


def _substitute(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], ""), text)


@dataclass(frozen=True)
class Command:
    """A plain command."""

    words: tuple[Word, ...]


@dataclass(frozen=True)
class If:
    """``if``, with its ``elif`` and ``else``: each condition with what follows it; else has none."""

    branches: tuple[tuple[tuple[Statement, ...], tuple[Statement, ...]], ...]


@dataclass(frozen=True)
class Block:
    """``function NAME { … }``, ``menuentry … { … }`` or ``submenu … { … }``."""

    kind: str
    words: tuple[Word, ...]
    body: tuple[Statement, ...] = field(repr=False)


Statement = Command | If | Block


def parse(text: str) -> tuple[Statement, ...]:
    """The statements of a script.

    Raises:
        HostError: GRUB would not read it; the line is named.
    """
    reader = _Reader(text)
    body, stopped = reader.statements(())
    if stopped:
        raise reader.wrong(f"{stopped!r} without a beginning")
    return body


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, int]] = []
        position, line = 0, 1
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                raise HostError(f"the boot menu cannot be read: line {line} has an unclosed quote")
            kind, token = found.lastgroup, found[0]
            if kind == "end" or (kind == "word" and token):
                self._tokens.append((token, line))
            line += token.count("\n")
            position = found.end()
        self._at = 0

    def wrong(self, why: str) -> HostError:
        line = self._tokens[min(self._at, len(self._tokens) - 1)][1] if self._tokens else 1
        return HostError(f"the boot menu cannot be read: line {line}: {why}")

    def statements(self, ends: tuple[str, ...]) -> tuple[tuple[Statement, ...], str]:
        """Everything up to one of the words ``ends`` (consumed), or up to the end of the text."""
        found: list[Statement] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at][0]
            if token in {"\n", ";"}:
                self._at += 1
            elif token in ends:
                self._at += 1
                return tuple(found), token
            elif token in {"fi", "then", "else", "elif", "}", "do", "done"}:
                raise self.wrong(f"{token!r} is out of place")
            else:
                found.append(self._statement(token))
        if ends:
            raise self.wrong(f"it ends before {' or '.join(ends)}")
        return tuple(found), ""

    def _statement(self, token: str) -> Statement:
        if token in {"while", "until", "for"}:
            raise self.wrong(f"imgbuild does not follow {token!r} in a boot menu")
        if token == "if":  # noqa: S105 - a word of the script
            return self._if()
        if token in _BLOCKS:
            self._at += 1
            words = self._words("{")
            body, _ = self.statements(("}",))
            return Block(token, words, body)
        return Command(self._words())

    def _if(self) -> If:
        branches = []
        self._at += 1
        stopped = "if"
        while stopped in {"if", "elif"}:
            condition, _ = self.statements(("then",))
            body, stopped = self.statements(("elif", "else", "fi"))
            branches.append((condition, body))
        if stopped == "else":
            body, _ = self.statements(("fi",))
            branches.append(((), body))
        return If(tuple(branches))

    def _words(self, stop: str = "") -> tuple[Word, ...]:
        """The words up to the line's end, or up to the word ``stop`` (consumed), which must be on the same line."""
        words: list[Word] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at][0]
            if token in {"\n", ";"}:
                break
            self._at += 1
            if token == stop:
                return tuple(words)
            words.append(Word(token))
        if stop:
            raise self.wrong(f"{stop!r} is missing")
        return tuple(words)
