"""Findings as text: the place, the line with the marked text underlined, the message, the fix.

The layout follows butane's and rustc's reports.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from imgbuild.diagnostics.findings import Finding, Mark, arranged
from imgbuild.diagnostics.severity import Severity

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold cyan"}
_MOST = 100
_LONGEST = 400  # characters of one line: the start of a value of megabytes is enough
_WINDOW = 100  # columns of a source line
_NARROWEST = 20


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Findings as text, in the order of file and line, with a blank line between them and a count at the end.

    The first hundred of each severity: a hostile file has 100,000. JSON has all of them.
    """
    every = arranged(findings)
    counts = Counter(finding.severity for finding in every)
    shown: Counter[Severity] = Counter()
    for finding in every:
        shown[finding.severity] += 1
        if shown[finding.severity] <= _MOST:
            _print_one(console, finding)
            console.print()
    for severity in (Severity.INFO, Severity.WARNING, Severity.ERROR):
        if counts[severity] > _MOST:
            name = "info" if severity is Severity.INFO else f"{severity}s"
            console.print(
                f"and {counts[severity] - _MOST} more {name}: fix these first, or list all with --format json"
            )
    if counts:
        console.print(", ".join(_counted(severity, counts[severity]) for severity in Severity if counts[severity]))


def _counted(severity: Severity, count: int) -> str:
    return f"{count} {severity}{'s' if count > 1 and severity is not Severity.INFO else ''}"


def _print_one(console: Console, finding: Finding) -> None:
    style, width = _STYLES[finding.severity], _width(console)
    where = f" {_clean(finding.key)}" if finding.key else ""
    _line(console, Text.assemble((f"{finding.severity}[{finding.code}]", style), where))
    if finding.mark is not None:
        _line(console, Text(f"  --> {_clean(finding.mark.named)}"))
        if finding.mark.text.strip():
            _excerpt(console, finding.mark, style, width)
    for line in _wrapped(finding.message, "  ", "    ", width):
        _line(console, Text(line))
    if finding.hint:
        first, *rest = _wrapped(f"fix: {finding.hint}", "  ", "       ", width)
        _line(console, Text.assemble("  ", ("fix:", "green"), first.removeprefix("  fix:")))
        for line in rest:
            _line(console, Text(line))


def _excerpt(console: Console, mark: Mark, style: str, width: int | None) -> None:
    """The source line, with the marked text underlined."""
    gutter = " " * len(str(mark.line))
    room = _WINDOW if width is None else min(_WINDOW, width - len(gutter) - 4)
    column = max(0, mark.column - 1)
    # A caret under a column far to the right does not help: show the surrounding text.
    start = column - len(_fitting(mark.text[:column][::-1], room * 3 // 5)) if cell_len(mark.text) > room else 0
    shown, before = _fitting(_clean(mark.text[start : start + room]), room), _clean(mark.text[start:column])
    meant = _clean(mark.text[column : min(max(mark.end - 1, column + 1), start + room)])
    carets = "^" * max(1, min(cell_len(meant), cell_len(shown) - cell_len(before)))
    _line(console, Text(f"{gutter}  |"))
    _line(console, Text(f" {mark.line} | {shown}"))
    _line(console, Text.assemble(f"{gutter}  | {' ' * cell_len(before)}", (carets, style)))


def _fitting(text: str, cells: int) -> str:
    """The start of a text that takes at most so many columns: a Chinese character takes two."""
    return chop_cells(text, cells)[0] if text else ""


def _width(console: Console) -> int | None:
    """The width at which text wraps; None in a pipe or a file, whose reader may search for whole lines."""
    if console.is_terminal or os.environ.get("COLUMNS", "").strip("0").isdigit():
        return max(_NARROWEST, console.width)
    return None


def _wrapped(text: str, first: str, rest: str, width: int | None) -> list[str]:
    """Lines of at most ``width`` cells, broken only between words, with a hanging indent.

    Each line of a text of several lines is indented too, so that it cannot look like one of imgbuild's own lines.
    """
    out: list[str] = []
    for number, line in enumerate(text.split("\n", _MOST)):
        here = rest if number else first
        for word_number, word in enumerate(_clean(line).split(" ") if width is not None else [_clean(line)]):
            longer = f"{here} {word}" if word_number else f"{here}{word}"
            if word_number and width is not None and cell_len(longer) > width:
                out.append(here)
                here = f"{rest}{word}"
            else:
                here = longer
        out.append(here.rstrip())
    return out


def _line(console: Console, text: Text) -> None:
    # As Text: input is neither markup nor emoji codes (:bug:). It is wrapped already.
    console.print(text, soft_wrap=True, highlight=False)


def _clean(text: str) -> str:
    """Input must not reach the terminal as control sequences or in full length."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}… ({len(text)} characters)"
    return "".join(c if c.isprintable() else " " if c == "\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    """As Python and YAML write it: ``\\x1b``, ``\\u3000``."""
    byte = ord(character) - 0xDC00  # Python has bytes of the command line that are not UTF-8 from U+DC80 on
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else character.encode("unicode_escape").decode()
