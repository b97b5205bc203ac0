"""Readers that end a pipe early, found in shell scripts.

Under ``pipefail`` such a reader (``grep -q``, ``head``, ``awk … exit``) makes an error of a good answer: the writer
dies of SIGPIPE when it goes on. mawk and a short answer hide it. ``shfmt`` parses; whatever is not known to read to its
end is reported. A here-document has no writer that could die: bash takes a pipe for it only where all of it fits.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.deadline import HUNG

Tree = dict[str, Any]
# They read all of their input, whatever their options. tar empties a pipe after an archive's end (src/system.c,
# sys_drain_input_pipe); source and comm read what they are given whole.
WHOLE = frozenset({
    "cat", "tee", "tr", "sort", "wc", "cut", "paste", "gzip", "base64", "sha256sum", "od", "iconv", "uniq", "tail",
    "xargs", "tar", "comm", "diff", "source", ".", "zstd",
})  # fmt: skip
# They run the words after them: how many words of their own, options and assignments apart.
PREFIXES = {"other": 1, "ask": 0, "timeout": 1, "sudo": 0, "env": 0, "command": 0, "nice": 0, "retry": 1, "exec": 0}


class Early(NamedTuple):
    """One reader: where it begins, and why the writer may not live to its end."""

    line: int
    why: str


class Operators(NamedTuple):
    """shfmt's numbers, which differ between its versions."""

    pipes: frozenset[int]
    either: frozenset[int]
    read: int
    heard: frozenset[int]
    giving: int
    taking: int


def parsed(text: str) -> Tree:
    """shfmt's tree of a script; a script that it cannot read is an error."""
    argv = ["shfmt", "--to-json", "-ln", "bash"]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=HUNG)
    assert done.returncode == 0, done.stderr
    tree: Tree = json.loads(done.stdout)
    return tree


def _nodes(tree: Any) -> Iterator[Tree]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


@functools.cache
def operators() -> Operators:
    """Asked of shfmt itself."""

    def binary(text: str) -> int:
        return int(parsed(text)["Stmts"][0]["Cmd"]["Op"])

    def redirect(text: str) -> int:
        return int(parsed(text)["Stmts"][0]["Redirs"][0]["Op"])

    def process(text: str) -> int:
        return next(int(node["Op"]) for node in _nodes(parsed(text)) if node.get("Type") == "ProcSubst")

    return Operators(
        frozenset({binary("a | b"), binary("a |& b")}),
        frozenset({binary("a && b"), binary("a || b")}),
        redirect("a < b"),
        frozenset({redirect("a <<< b"), redirect("a <<b\nb"), redirect("a <<-b\nb")}),
        process("a <(b)"),
        process("a >(b)"),
    )


def _text(word: Tree) -> str:
    """A word as far as it is known: what the shell would put in is one letter."""
    out = ""
    for part in word.get("Parts", ()):
        match part["Type"]:
            case "Lit":
                out += re.sub(r"\\(.)", r"\1", part["Value"])
            case "SglQuoted":
                out += part.get("Value", "")
            case "DblQuoted":
                out += _text(part)
            case _:
                out += "X"
    return out


def _words(statement: Tree) -> list[str]:
    """A command's own words, without what only runs it."""
    words = [_text(word) for word in statement["Cmd"].get("Args", ())]
    while words and words[0] in PREFIXES:
        skip = PREFIXES[words.pop(0)]
        while words and (skip or words[0].startswith("-") or "=" in words[0]):
            if not words[0].startswith("-") and "=" not in words[0]:
                skip -= 1
            words.pop(0)
    return words


def _arguments(words: list[str], values: str) -> tuple[dict[str, list[str]], list[str]]:
    """Options (letter or long name, with their values) and operands. ``values``: letters that take one."""
    options: dict[str, list[str]] = {}
    operands: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            operands += rest
        elif word.startswith("--"):
            name, _, value = word[2:].partition("=")
            options.setdefault(name, []).append(value)
        elif word.startswith("-") and word != "-":
            for index, letter in enumerate(word[1:], 1):
                if letter in values:
                    options.setdefault(letter, []).append(word[index + 1 :] or next(rest, ""))
                    break
                options.setdefault(letter, [])
        else:
            operands.append(word)
    return options, operands


def _grep(words: list[str]) -> str | None:
    options, operands = _arguments(words, "efmABCdD")
    early = {"q", "quiet", "silent", "m", "max-count", "l", "files-with-matches", "L", "files-without-match"} & set(
        options
    )
    if early:
        return f"grep goes at the first match (-{'-'.join(sorted(early))})"
    if len(operands) > (0 if {"e", "f", "regexp", "file"} & set(options) else 1) and operands[-1] not in ("-", "X"):
        return "grep reads a file instead"
    return None


def sed_quits(script: str) -> bool:
    """Has a sed script the command q or Q (at another line than the last)?"""
    at = 0
    while at < len(script):
        address = re.compile(
            r"""[\s;{}]*(?:(?:\d+(?:~\d+)?|\$|/(?:\\.|\[\^?\]?[^]]*\]|[^/\\])*/[IM]*|\\(?P<d>.)(?:\\.|(?!(?P=d)).)*(?P=d)[IM]*)"""
            r"""\s*,?\s*(?:[+~]?\d+)?)*\s*!?\s*""",
            re.DOTALL,
        ).match(script, at)
        assert address is not None
        at = address.end()
        if at >= len(script):
            break
        command = script[at]
        at += 1
        if command in "qQ":
            if address[0].strip(" \t\n;{}") != "$":
                return True
        elif command in "sy":
            mark, seen = script[at : at + 1], 0
            at += 1
            while at < len(script) and seen < 2:
                if script[at] == "\\":
                    at += 1
                elif script[at] == mark:
                    seen += 1
                at += 1
            at += len(re.match(r"[gpeimIM0-9]*(w[^\n]*)?", script[at:])[0])  # type: ignore[index]
        elif command in "aicrwRW#":
            at += len(re.match(r"(\\.|[^\\\n])*", script[at:], re.DOTALL)[0])  # type: ignore[index]
        elif command in "btT:":
            at += len(re.match(r"[^;}\n]*", script[at:])[0])  # type: ignore[index]
    return False


def _sed(words: list[str]) -> str | None:
    options, operands = _arguments(words, "efl")
    scripts = options.get("e", []) + options.get("expression", [])
    if "f" in options or "file" in options:
        return "sed's script is in a file"
    if not scripts:
        scripts, operands = operands[:1], operands[1:]
    if operands and operands[-1] not in ("-", "X"):
        return "sed reads a file instead"
    return "sed goes at q" if any(sed_quits(script) for script in scripts) else None


def awk_parts(program: str) -> list[tuple[str, str]]:
    """An awk program's patterns and actions, without comments, texts and regular expressions."""
    token = re.compile(
        r"""(?P<comment>\#[^\n]*)|(?P<text>"(?:\\.|[^"\\])*")"""
        r"""|(?P<regexp>(?:(?<=[(,!~{};&|\n])|(?<=^))(?P<gap>\s*)/(?:\\.|\[\^?\]?(?:\[:\w+:\]|[^]])*\]|[^/\\\n])+/)""",
        re.DOTALL,
    )
    bare = token.sub(lambda m: "" if m["comment"] else (m["gap"] or "") + ' "" ', program)
    parts, depth, pattern, action = [], 0, "", ""
    for character in bare:
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                parts.append((pattern.strip(), action))
                pattern = action = ""
        elif depth:
            action += character
        elif character in "\n;" and pattern.strip() and not pattern.rstrip().endswith((",", "&&", "||")):
            parts.append((pattern.strip(), ""))  # a pattern alone prints
            pattern = ""
        else:
            pattern += character
    if pattern.strip():
        parts.append((pattern.strip(), ""))
    return parts


def _awk(words: list[str]) -> str | None:
    options, operands = _arguments(words, "fFv")
    if "f" in options or not operands:
        return "awk's program is in a file"
    parts = awk_parts(operands[0])
    if any(not re.fullmatch(r"-|X|\w+=.*", operand) for operand in operands[1:]):
        return "awk reads a file instead"
    if all(pattern == "BEGIN" or re.match(r"func(tion)?\b", pattern) for pattern, _ in parts):
        return "awk reads nothing: its program is BEGIN alone"
    if any(re.search(r"\bexit\b", action) for pattern, action in parts if pattern != "END"):
        return "gawk goes at exit"
    return None


def _head(words: list[str]) -> str | None:
    options, _ = _arguments(words, "nc")
    counts = [value for name in ("n", "c", "lines", "bytes") for value in options.get(name, [])]
    return None if counts and all(value.startswith("-") for value in counts) else "head goes after its last line"


def _read(words: list[str]) -> str | None:
    options, _ = _arguments(words, "dnNptua")
    return None if options.get("d") == [""] else "read goes after one line"


def _openssl(words: list[str]) -> str | None:
    _, operands = _arguments(words, "")
    return None if operands == ["dgst"] else "openssl may read something else"


def _python(words: list[str]) -> str | None:
    return None if words[:1] == ["-c"] and "json.load(sys.stdin)" in words[1] else "python3 may not read to its end"


def _dd(words: list[str]) -> str | None:
    return "dd may stop early" if any(word.startswith(("if=", "count=")) for word in words) else None


KNOWN = {
    "openssl": _openssl, "python3": _python, "dd": _dd,
    "grep": _grep, "egrep": _grep, "fgrep": _grep, "sed": _sed, "head": _head, "read": _read,
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), _awk),
    "mapfile": lambda words: "mapfile -n goes early" if "n" in _arguments(words, "dnOsuCc")[0] else None,
}  # fmt: skip


class Scripts:
    """Scripts and the functions that they share: one of another file may be the reader."""

    def __init__(self, texts: dict[str, str]) -> None:
        """
        Args:
            texts: Name to script. One for sh is read as bash, too.
        """
        self.trees = {name: parsed(text) for name, text in texts.items()}
        self.functions: dict[str, list[Tree]] = {}
        for tree in self.trees.values():
            for node in _nodes(tree):
                if node.get("Type") == "FuncDecl":
                    self.functions.setdefault(node["Name"]["Value"], []).append(node["Body"])

    def early(self) -> dict[str, list[Early]]:
        """The readers of each script that may go before their writer."""
        found = {name: sorted(set(self._of(tree))) for name, tree in self.trees.items()}
        return {name: lines for name, lines in found.items() if lines}

    def _of(self, tree: Tree) -> Iterator[Early]:
        ops = operators()
        for node in _nodes(tree):
            reader: Tree | None = None
            why = None
            if node.get("Type") == "BinaryCmd" and node["Op"] in ops.pipes:
                reader = node["Y"]
                why = self._why(reader)
            elif "Cmd" in node and any(self._gives(redirect) for redirect in node.get("Redirs", ())):
                reader = node
                why = self._why(node, own=True)
            elif node.get("Type") == "CallExpr" and any(
                part.get("Type") == "ProcSubst" and part["Op"] == ops.giving
                for word in node.get("Args", ())
                for part in word.get("Parts", ())
            ):
                reader = {"Cmd": node, "Pos": node["Pos"]}
                why = self._why(reader)
            elif node.get("Type") == "ProcSubst" and node["Op"] == ops.taking:
                reader = node
                why = self._group(node["Stmts"])
            if reader is not None and why is not None:
                yield Early(reader["Pos"]["Line"], why)

    def _gives(self, redirect: Tree) -> bool:
        parts = redirect.get("Word", {}).get("Parts", ())
        return redirect["Op"] == operators().read and any(part["Type"] == "ProcSubst" for part in parts)

    def _why(self, statement: Tree, *, own: bool = False, inside: tuple[str, ...] = ()) -> str | None:
        """Why this reader may go early; None if it reads to the end. ``own``: its ``< <(…)`` is what it reads."""
        ops, command = operators(), statement.get("Cmd")
        if not own and any(
            r["Op"] in ops.heard or (r["Op"] == ops.read and not r.get("N")) for r in statement.get("Redirs", ())
        ):
            return "it reads something else"
        if command is None:
            return "there is no command"
        match command["Type"]:
            case "CallExpr":
                return self._call(statement, inside)
            case "Block" | "Subshell":
                return self._group(command["Stmts"], inside)
            case "WhileClause":
                return _loop(command)
            case "BinaryCmd" if command["Op"] in ops.pipes:
                return self._why(command["X"], inside=inside)
            case "BinaryCmd" if command["Op"] in ops.either:
                return self._group([command["X"], command["Y"]], inside)
            case "IfClause":
                return self._branches(command, inside)
            case kind:
                return f"a {kind} is not known to read to its end"

    def _group(self, statements: list[Tree], inside: tuple[str, ...] = ()) -> str | None:
        """One of them reads to the end: then so does the group."""
        reasons = [self._why(statement, inside=inside) for statement in statements]
        return None if None in reasons else reasons[-1] if reasons else "it is empty"

    def _branches(self, clause: Tree, inside: tuple[str, ...]) -> str | None:
        """Every branch reads to the end, and there is one for each case."""
        if not clause.get("Cond"):  # else
            return self._group(clause["Then"], inside)
        if "Else" not in clause:
            return "nothing reads if the condition is false"
        return self._group(clause["Then"], inside) or self._branches(clause["Else"], inside)

    def _call(self, statement: Tree, inside: tuple[str, ...]) -> str | None:
        words = _words(statement)
        if not words:
            return "there is no command"
        name = words[0].rpartition("/")[2]
        if name in KNOWN:
            known: Callable[[list[str]], str | None] = KNOWN[name]
            return known(words[1:])
        if name in WHOLE:
            return None
        if name in self.functions and name not in inside:
            bodies = [self._why(body, inside=(*inside, name)) for body in self.functions[name]]
            return next((why for why in bodies if why is not None), None)
        return f"{name} is not known to read to its end"


def _loop(command: Tree) -> str | None:
    """``while read``: to the end, unless something leaves it."""
    condition = command["Cond"]
    first = condition[0].get("Cmd", {}) if len(condition) == 1 else {}
    if command.get("Until") or first.get("Type") != "CallExpr" or _words(condition[0])[:1] != ["read"]:
        return "the loop may end before its input"
    for name in _leaving(command["Do"], 1):
        return f"the loop is left by {name}"
    return None


def _leaving(tree: Any, depth: int) -> Iterator[str]:
    """break, return and exit in a loop's body that leave this very loop."""
    if isinstance(tree, list):
        for item in tree:
            yield from _leaving(item, depth)
    elif isinstance(tree, dict):
        if tree.get("Type") == "CallExpr" and tree.get("Args"):
            words = [_text(word) for word in tree["Args"]]
            if words[0] in ("return", "exit") or (words[0] == "break" and int((words[1:] or ["1"])[0]) >= depth):
                yield words[0]
        elif tree.get("Type") == "FuncDecl":
            return
        inner = depth + (tree.get("Type") in ("WhileClause", "ForClause", "SelectClause"))
        for value in tree.values():
            yield from _leaving(value, inner)


def is_script(name: str, content: bytes) -> bool:
    """Bash and sh: by the first line, or by the name."""
    return bool(re.match(rb"#!.*\b(ba)?sh\b|# shellcheck shell=", content)) or name.endswith((".sh", ".bash"))


def scripts_below(folder: Path) -> dict[str, str]:
    """Every script below a folder, by its path; templates are none until they are rendered."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix != ".j2":
            content = path.read_bytes()
            if is_script(path.name, content):
                found[str(path.relative_to(folder))] = content.decode()
    return found
