"""Shell scripts without comments and layout, for user-data: clouds limit its size, and comments are a quarter.

Only comments are removed, empty lines, blanks before the first word of a line, and blanks around operators, where the
shell reads commands: not in quotes, not in a here-document, not in ``${name#pattern}``. Of an awk
program, lines that are a comment are removed too, and all but one blank at the start of a line. A script that is not
understood to its end stays as it is. That nothing else changes is tested for each script, with shfmt's own parser.
"""

from __future__ import annotations

import re
from functools import cache

_NOTHING = re.compile(r"[ \t]*(#.*(\n|$)|\n)")
_BLANKS = re.compile(r"[ \t]*")
_HEREDOC = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|(\\?[^\s;&|<>()'\"`$]+))")
_DULL = re.compile(r"""[^\\'"`\n$(){}#<]+""")  # nothing begins or ends there, in any context
_AWK = re.compile(r"\bawk\b[^|;&]*$")  # the line before the quote that opens a program of several lines
_AWK_COMMENT = re.compile(r"(?m)(?<!\\\n)^[ \t]*#.*\n")
_AWK_INDENT = re.compile(r"(?m)(?<!\\\n)^[ \t]+")
_OPERATOR = re.compile(r"[ \t]*(\|\||&&|;;|[|;])[ \t]*")
_TEST = re.compile(r"(\[\[(?=[ \t])|(?<=[ \t])\]\])")
_TO_FILE = re.compile(r"(>[>|]?)[ \t]+(?=[^\s>&(])")
_TO_QUOTED = re.compile(r">[>|]?[ \t]+$")
_WORD_ENDS = " \t\n;&|()<>`"
_QUOTES = ("'", '"', "$")
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
        self._tests: set[int] = set()  # the depths of contexts at which a [[ is open
        self._out: list[str] = []
        self.whole = True

    def read(self) -> str:
        start = not self._text.startswith("#!")  # at the start of a line that may be a comment
        while self._at < len(self._text):
            if start and self._context in _CODE and (found := _NOTHING.match(self._text, self._at)):
                self._at = found.end()
                continue
            if start and self._context in _CODE:
                self._skip_blanks()
                if self._at == len(self._text):
                    break
            start = self._step()
        self.whole = not self._contexts and not self._pending
        return "".join(self._out)

    @property
    def _context(self) -> str:
        return self._contexts[-1] if self._contexts else ""

    def _dense(self, text: str) -> str:
        """``text``, where commands are read, without the blanks around operators. In [[ ]] a blank may be a regex's."""
        depth, out = len(self._contexts), []
        for part in _TEST.split(text):
            if part in ("[[", "]]"):
                self._tests.symmetric_difference_update({depth})
            elif not self._tests:
                part = _TO_FILE.sub(r"\1", _OPERATOR.sub(r"\1", part))
            out.append(part)
        text = "".join(out)
        return (
            text.rstrip(" \t") if _TO_QUOTED.search(text) and self._text[self._at : self._at + 1] in _QUOTES else text
        )

    def _skip_blanks(self) -> None:
        self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr] # it always matches

    def _take(self, count: int) -> None:
        self._out.append(self._text[self._at : self._at + count])
        self._at += count

    def _step(self) -> bool:
        """Read on; True if the next character is the first of a line."""
        if found := _DULL.match(self._text, self._at):
            self._at = found.end()
            self._out.append(self._dense(found[0]) if self._context in _CODE else found[0])
            return False
        context, char = self._context, self._text[self._at]
        if context == "'":
            return self._quoted(char)
        if char == "\\":
            self._take(2)
            if self._text[self._at - 1] == "\n" and context in _CODE and self._text[self._at - 3] in " \t":
                self._skip_blanks()
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
            if self._awk(context):
                return True
            self._contexts.append("'")
        elif char == "`" and context != "`":
            self._contexts.append("`")
        else:
            return self._word(context, char, rest)
        self._take(1)
        return True

    def _awk(self, context: str) -> bool:
        """Whether the quote opens an awk program of several lines, which is then read to its end."""
        end = self._text.find("'", self._at + 1)
        before = self._text[self._text.rfind("\n", 0, self._at) + 1 : self._at]
        if context not in _CODE or end < 0 or self._text[self._at + 1] != "\n" or not _AWK.search(before):
            return False
        self._out.append(_AWK_INDENT.sub(" ", _AWK_COMMENT.sub("", self._text[self._at : end + 1])))
        self._at = end + 1
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
            length = (end if end >= 0 else len(self._text)) - self._at
            if self._text.startswith("#!") and self._at == 0:
                self._take(length)
                return True
            self._at += length
            if self._out:
                self._out[-1] = self._out[-1].rstrip(" \t")
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
        if found is None and self._text[self._at : self._at + 2].lstrip(" \t")[:1] in _QUOTES:
            self._skip_blanks()
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
