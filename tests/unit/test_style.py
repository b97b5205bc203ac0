"""The worst patterns of STYLE.md stay out of what people read. (codespell, in `make lint`, finds misspelled words.)

Program output is excepted: fenced blocks, code spans, and the column "Message" of a table. It follows the code.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.places import ROOT

UNITS = (
    "line", "file", "item", "node", "key", "minor", "module", "registry", "stage", "commit", "group", "system",
    "machine", "row",
)  # fmt: skip

BETTER = {
    r"without a word|in silence": "silently",
    r"for ever": "always, permanently, or how long",
    r"mend(s|ed|ing)?": "fix",
    r"shall": "must",
    r"wants|(is|are|was|were) wanted": "requires, needs; the required, configured, requested one",
    r"stands|stood": "is; for a value that is given twice: duplicate",
    r"lies|lie (in|on|at|beside|there)": "is in, is on",
    r"says|said": "reports, prints, shows, explains",
    r"(take|takes|taking|taken|took) ((it|them|that|this) )?out": "remove",
    r"(?<!there\s)(is|are) no(?! (longer|more|fewer|less|newer|older|earlier|later))": "is not a",
    r"dear": "expensive",
    r"anew": "again, or a verb with re-: rebuild, rewrite",
    r"(does|do) not do(?! (it|that|this|so|yet))": "what is invalid: '1.30' is not a valid version",
    r"all the same": "anyway",
    r"(?<!one\s)of imgbuild's(?! \w)|of yours|of ours": "imgbuild's file, your file, our file",
    rf"one ((?!is|was|of|with)\w+ )?an? ({'|'.join(UNITS)})": "one per line",
    r"values? a line": "values per line",
    r"laid (together|over)": "merged; applied on top of",
    r"(path|file|one) counts from": "is relative to",
    r"joins by it|(kubeadm|chart) by it": "with it",
    r"unless ((it|they) (is|are) )?told": "unless it is configured, unless an option sets it",
    r"goes without|without a hand": "needs none; without anyone touching it",
    r"in the words of": "in the format of",
    r"who knows": "(leave the words out)",
    r"some [0-9]+": "about 290",
    r"please|simply|obviously": "(leave the word out)",
}  # fmt: skip
"""Pattern and better wording. Patterns match whole words in any case; a space also matches a line break."""

PATTERNS = [(re.compile(rf"\b(?:{p})".replace(" ", r"\s+") + r"(?!\w)", re.I), better) for p, better in BETTER.items()]

GENERATED = re.compile(r"(?s)<!-- (keys|scopes)\b[^>]*-->.*?<!-- end of \1 -->")
"""Written from the declarations, so the words are those of the code."""

FENCED = r"(?ms)^ *```.*?^ *```$|<!--.*?-->"

MOST_LINES = 400
LONGEST = 120
"""Characters of a line with more than one sentence."""


@dataclass(frozen=True)
class Text:
    """Something that people read; ``line`` is that of its first character in the file."""

    path: Path
    line: int
    text: str


def faults(texts: Iterator[Text]) -> list[str]:
    """Where a pattern is used, with the better wording."""
    return [
        f"{text.path.relative_to(ROOT)}:{text.line + text.text.count(chr(10), 0, match.start())}: "
        f"{' '.join(match[0].split())!r}: better: {better}"
        for text in texts
        for pattern, better in PATTERNS
        for match in pattern.finditer(text.text)
    ]


def blank(match: re.Match[str]) -> str:
    """As many lines without anything in them, so that line numbers stay."""
    return "\n" * match[0].count("\n") or " "


def prose(page: str) -> str:
    """A Markdown page without program output, HTML comments and the targets of links."""
    text = re.sub(rf"{FENCED}|(?<=\])\([^)]*\)|`[^`]*`", blank, GENERATED.sub(blank, page))
    lines = text.split("\n")
    column = None
    for number, line in enumerate(lines):
        cells = line.split("|")
        if not line.startswith("|"):
            column = None
        elif column is None:
            column = next((at for at, cell in enumerate(cells) if cell.strip() == "Message"), 0)
        elif column:
            cells[column] = " "
            lines[number] = "|".join(cells)
    return "\n".join(lines)


def too_long(page: str) -> Iterator[int]:
    """The lines of a Markdown page that are long and have more than one sentence; a label in bold is not one."""
    for number, line in enumerate(re.sub(FENCED, blank, GENERATED.sub(blank, page)).split("\n"), 1):
        text = re.sub(r"`[^`]*`|(?<=\])\([^)]*\)", "x", line)
        text = re.sub(r"^ *([-*]|[0-9]+\.) +(\*\*[^*]*\*\*)?|^\|.*|^    .*", "", text)
        if len(line) > LONGEST and re.search(r"[.!?][\"')*_]* +\S", text):
            yield number


def hash_comments(source: str) -> str:
    """The comments of YAML and shell, at their lines."""
    found = (re.search(r"(?:^|\s)#(?!!)(.*)", line) for line in source.split("\n"))
    return "\n".join(match[1] if match else "" for match in found)


def python_comments(source: str) -> str:
    """The comments and docstrings of Python, at their lines."""
    lines = [""] * (source.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = token.string.lstrip("#")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number, line in enumerate(source.split("\n")[node.lineno - 1 : node.end_lineno], node.lineno - 1):
                lines[number] = re.sub(r"``.*?``", " ", line.replace('"""', ""))
    return "\n".join(lines)


def python_strings(source: str) -> Iterator[tuple[int, str]]:
    """The strings of Python that are not docstrings, each with its line."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


# --- what can be in scope ---------------------------------------------------------------------------------------------


def pages() -> Iterator[Text]:
    """The documentation. STYLE.md names the patterns."""
    for path in [*ROOT.glob("*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("docs/**/*.md")]:
        if path.name != "STYLE.md":
            yield Text(path, 1, prose(path.read_text()))


def examples() -> Iterator[Text]:
    """The comments of what users copy."""
    for path in [*ROOT.glob("examples/**/*.yaml"), *ROOT.glob("examples/**/*.yml")]:
        yield Text(path, 1, hash_comments(path.read_text()))


def comments() -> Iterator[Text]:
    """The comments and docstrings of the package."""
    for path in ROOT.glob("builder/**/*.py"):
        yield Text(path, 1, python_comments(path.read_text()))


def node_files() -> Iterator[Text]:
    """The comments of the node's files and of the data."""
    for folder in ("node", "elements", "cloudinit", "profiles"):
        for path in sorted(p for p in (ROOT / folder).rglob("*") if p.is_file() and not p.is_symlink()):
            yield Text(path, 1, hash_comments(path.read_text()))


def messages() -> Iterator[Text]:
    """The strings of the package: messages, fixes, help, descriptions of keys and codes."""
    for path in ROOT.glob("builder/**/*.py"):
        yield from (Text(path, line, text) for line, text in python_strings(path.read_text()))


SCOPE: tuple[Callable[[], Iterator[Text]], ...] = (pages, examples, node_files, comments, messages)


@pytest.mark.parametrize("texts", SCOPE)
def test_the_worst_patterns_are_not_used(texts: Callable[[], Iterator[Text]]) -> None:
    found = faults(texts())
    assert not found, "\n".join(["STYLE.md has better words:", *found])


def test_lines_are_short_or_one_sentence() -> None:
    paths = [*ROOT.glob("*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("docs/**/*.md")]
    found = [f"{path.relative_to(ROOT)}:{number}" for path in paths for number in too_long(path.read_text())]
    assert not found, "\n".join([f"one sentence per line, or at most {LONGEST} characters:", *found])


def test_no_module_is_too_long_to_read_at_once() -> None:
    """CONTRIBUTING.md's limit, for the package."""
    long = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in ROOT.glob("builder/**/*.py")}
    assert not {path: lines for path, lines in long.items() if lines > MOST_LINES}


# --- the check itself -------------------------------------------------------------------------------------------------

BAD = [
    "dropped without a\nword", "cgroup v1 for ever", "mend that", "it shall rule", "the kubelet wants it",
    "one is wanted", "eth0 stands twice", "the log lies there", "as the message said", "take it out", "is dear",
    "this is no qcow2 image", "built anew", "'1.30' does not do", "run all the same", "a file of imgbuild's",
    "files of yours", "one sentence a line", "Please read on", "one seed a group", "laid over it", "some 290 MB",
    "a path counts from it", "a node joins by it", "unless told otherwise", "a key and its values a line",
]  # fmt: skip
GOOD = [
    "there is no check", "it is no longer used", "is no newer than", "tests use stand-ins", "a replacement",
    "underlies", "one is a node", "amend the commit", "imgbuild's own files", "of imgbuild's own files",
    "`lies` and `stands`", "[it](docs/lies.md)", "one of imgbuild's",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_a_bad_sentence_is_found(text: str) -> None:
    assert faults(iter([Text(ROOT / "page.md", 1, prose(text))]))


@pytest.mark.parametrize("text", GOOD)
def test_a_good_sentence_is_not(text: str) -> None:
    assert not faults(iter([Text(ROOT / "page.md", 1, prose(text))]))


def test_a_long_line_is_found() -> None:
    one, table = f"{'word ' * 30}end.", f"| {'word ' * 30}end. Another. |"
    page = f"{one}\n\n- {one} Another.\n\n{table}\n\n- **Label.** {one}\n\n```text\n{one} Another.\n```\n\n{one} `x`.\n"
    page += f"<!-- keys: a -->\n{one} Another.\n<!-- end of keys -->\nShort. Short.\n"
    assert list(too_long(page)) == [3, 13]


def test_program_output_is_excepted_and_the_line_is_right() -> None:
    page = "a\n```text\nit lies here\n```\n| Stage | Message |\n|---|---|\n| lies | it lies here |\n"
    assert [f.split(": ")[0] for f in faults(iter([Text(ROOT / "page.md", 1, prose(page))]))] == ["page.md:7"]


def test_comments_docstrings_and_messages_are_read() -> None:
    source = 'def f() -> str:\n    """It lies here."""\n    # mend it\n    return "for ever"\n'
    found = faults(iter([Text(ROOT / "a.py", 1, python_comments(source))]))
    assert [f.split(": ")[0] for f in found] == ["a.py:3", "a.py:2"]
    assert list(python_strings(source)) == [(4, "for ever")]
    assert hash_comments("#!/bin/bash\na='#b' # mend it\n") == "\n mend it\n"
