"""Shell scripts without comments and indentation, for user-data: clouds limit its size, and comments are a quarter.

Only lines that are a comment as a whole are removed, and blanks before the first word of a line, where the shell reads
commands: not in quotes (an awk program), not in a here-document, not in ``${name#pattern}``. A script that is not
understood to its end stays as it is. That nothing else changes is tested for each script, with shfmt's own parser.
"""

from __future__ import annotations

import re
from functools import cache

_COMMENT = re.compile(r"[ \t]*#.*(\n|$)")
_BLANKS = re.compile(r"[ \t]*")
_HEREDOC = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|(\\?[^\s;&|<>()'\"`$]+))")
_DULL = re.compile(r"""[^\\'"`\n$(){}#<]+""")  # nothing begins or ends there, in any context
_WORD_ENDS = " \t\n;&|()<>`"
_CODE = ("", "(", "`")
"""Contexts in which commands are read: the script itself, a subshell or substitution, an old substitution."""


@cache  # every node gets the same few scripts, and reading one takes milliseconds
def bare(script: str) -> str:
    """``script`` without lines that are comments and without indentation; the first line is kept if it is ``#!``."""
    reader = _Reader(script)
    out = reader.read()
    return out if reader.whole else script


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._contexts: list[str] = []
        self._pending: list[tuple[str, bool]] = []
        self._out: list[str] = []
        self.whole = True

    def read(self) -> str:
        start = not self._text.startswith("#!")  # at the start of a line that may be a comment
        while self._at < len(self._text):
            if start and self._context in _CODE and (found := _COMMENT.match(self._text, self._at)):
                self._at = found.end()
                continue
            if start and self._context in _CODE:
                self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr] # it always matches
                if self._at == len(self._text):
                    break
            start = self._step()
        self.whole = not self._contexts and not self._pending
        return "".join(self._out)

    @property
    def _context(self) -> str:
        return self._contexts[-1] if self._contexts else ""

    def _take(self, count: int) -> None:
        self._out.append(self._text[self._at : self._at + count])
        self._at += count

    def _step(self) -> bool:
        """Read on; True if the next character is the first of a line."""
        if found := _DULL.match(self._text, self._at):
            self._take(len(found[0]))
            return False
        context, char = self._context, self._text[self._at]
        if context == "'":
            return self._quoted(char)
        if char == "\\":
            self._take(2)
            return False
        if char == "\n":
            return self._newline()
        if context == "$'" and char != "'":
            self._take(1)
        elif not self._opened(context, char):
            self._closed(context, char)
        return False

    def _quoted(self, char: str) -> bool:
        if char == "'":
            self._contexts.pop()
        self._take(1)
        return char == "\n"

    def _newline(self) -> bool:
        self._take(1)
        if self._context in _CODE:
            for word, dash in self._pending:
                self._here_document(word, dash=dash)
            self._pending = []
        return True

    def _here_document(self, word: str, *, dash: bool) -> None:
        while self._at < len(self._text):
            end = self._text.find("\n", self._at)
            line = self._text[self._at : end if end >= 0 else len(self._text)]
            self._take(len(line) + 1)
            if (line.lstrip("\t") if dash else line) == word:
                return
        self.whole = False

    def _opened(self, context: str, char: str) -> bool:
        """Whether a context begins here, or a word that is read in one go."""
        rest = self._text[self._at : self._at + 3]
        opens = next((one for one in ("$((", "$(", "${", "$'") if rest.startswith(one)), "")
        if opens == "$'" and context == '"':
            opens = ""
        if opens:
            self._contexts.append({"$((": "((", "$(": "(", "${": "{", "$'": "$'"}[opens])
            self._take(len(opens))
            return True
        if context == "$'":
            return False
        if char == '"' and context != '"':
            self._contexts.append('"')
        elif char == "'" and (context in _CODE or (context == "{" and '"' not in self._contexts)):
            self._contexts.append("'")
        elif char == "`" and context != "`":
            self._contexts.append("`")
        else:
            return self._word(context, char, rest)
        self._take(1)
        return True

    def _word(self, context: str, char: str, rest: str) -> bool:
        before = self._text[self._at - 1] if self._at else "\n"
        if context == "((" and char == "(":
            self._contexts.append("()")
        elif context in _CODE and rest.startswith("((") and before in _WORD_ENDS:
            self._contexts.append("((")
            self._take(1)
        elif context in _CODE and char == "(":
            self._contexts.append("(")
        elif context in _CODE and char == "#" and before in _WORD_ENDS:
            end = self._text.find("\n", self._at)
            self._take((end if end >= 0 else len(self._text)) - self._at)
            return True
        elif context in _CODE and rest.startswith("<<"):
            return self._redirection(rest)
        else:
            return False
        self._take(1)
        return True

    def _redirection(self, rest: str) -> bool:
        found = None if rest == "<<<" else _HEREDOC.match(self._text, self._at)
        if found is not None:
            word = found[2] or found[3] or found[4].removeprefix("\\")
            self._pending.append((word, found[1] == "-"))
        self._take(len(found[0]) if found is not None else 3)
        return True

    def _closed(self, context: str, char: str) -> None:
        ends = {"(": ")", "()": ")", "{": "}", "`": "`", '"': '"', "$'": "'"}
        if context == "((":
            if self._text.startswith("))", self._at):
                self._contexts.pop()
                self._take(1)
        elif ends.get(context) == char:
            self._contexts.pop()
        self._take(1)
