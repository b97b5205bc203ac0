"""What imgbuild says about its input: where, how bad, what, and how to mend it.

The layout of the text form is learnt from butane's reports: the place, the line, a caret, the fix.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from imgbuild.diagnostics.codes import CODES
from imgbuild.diagnostics.mask import mask
from imgbuild.diagnostics.severity import Severity

Path = tuple[str | int, ...]
"""A key's place in a document: ("kernel", "sysctl", "net.ipv4.ip_forward")."""


def few(names: Sequence[str], most: int) -> str:
    """The first ``most`` of these names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file. ``line`` and ``column`` count from 1; ``text`` is the whole line."""

    file: str
    line: int
    column: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Finding:
    """One message about the input. ``code`` is stable (IB…) and has a row in imgbuild.diagnostics.codes."""

    code: str
    severity: Severity
    message: str
    hint: str = ""
    key: str = ""
    mark: Mark | None = None


def finding(
    code: str, message: str, *, hint: str = "", key: str = "", mark: Mark | None = None, lesser: bool = False
) -> Finding:
    """One finding, with the severity that the table of codes gives it. No login in an address is shown.

    ``lesser``: the milder case of a code that has two. Callers keep private values out of it
    (imgbuild.config.redact); a mark's line has none.
    """
    row = CODES[code]
    severity = row.lesser if lesser and row.lesser is not None else row.severity
    return Finding(code, severity, mask(message), mask(hint), key, mark)


@dataclass
class Findings:
    """Collects findings, so that a user sees all of them at once."""

    items: list[Finding] = field(default_factory=list)
    _seen: set[Finding] = field(default_factory=set, repr=False)

    def add(
        self, code: str, message: str, *, hint: str = "", key: str = "", mark: Mark | None = None, lesser: bool = False
    ) -> None:
        """Add one finding (`finding`); the same finding twice is kept once."""
        self.extend([finding(code, message, hint=hint, key=key, mark=mark, lesser=lesser)])

    def extend(self, more: Iterable[Finding]) -> None:
        """Add findings, without repeats."""
        for finding in more:
            if finding not in self._seen:
                self._seen.add(finding)
                self.items.append(finding)

    @property
    def errors(self) -> Sequence[Finding]:
        """Those that stop a build."""
        return [f for f in self.items if f.severity is Severity.ERROR]


class InvalidInput(Exception):  # noqa: N818  (it is the input that is wrong, not imgbuild)
    """The input has errors: exit code 1, nothing written."""

    exit_code = 1

    def __init__(self, findings: Findings) -> None:
        super().__init__(f"{len(findings.errors)} errors in the input")
        self.findings = findings


def format_path(path: Sequence[str | int]) -> str:
    """A path as a user writes it: ``kernel.sysctl."net.ipv4.ip_forward"``, ``users[0].name``."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            text = f'"{part}"' if "." in part or part == "" else part
            out += f".{text}" if out else text
    return out


_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold cyan"}


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Findings as text, errors last so that they are what a scrolled terminal shows.

    Of each severity the first hundred: nobody reads more, and a hostile file has 100,000. JSON has all of them.
    """
    counts: list[str] = []
    for severity in (Severity.INFO, Severity.WARNING, Severity.ERROR):
        alike = [finding for finding in findings if finding.severity is severity]
        for finding in alike[:_MOST]:
            _print_one(console, finding)
        name = "info" if severity is Severity.INFO else f"{severity}s"
        if len(alike) > _MOST:
            console.print(f"and {len(alike) - _MOST} more {name}: fix these first, or list all with --format json")
        if alike:
            counts.insert(0, f"{len(alike)} {name if len(alike) > 1 else severity}")
    if counts:
        console.print(", ".join(counts))


_MOST = 100
_LONGEST = 400  # characters of one line: a value of megabytes says no more than its start


def _print_one(console: Console, finding: Finding) -> None:
    style = _STYLES[finding.severity]
    where = f" {_clean(finding.key)}" if finding.key else ""
    _line(console, Text.assemble((f"{finding.severity}[{finding.code}]", style), where))
    mark = finding.mark
    if mark is not None:
        _line(console, Text(f"  --> {_clean(str(mark))}"))
    if mark is not None and mark.text.strip():
        gutter = " " * len(str(mark.line))
        column = max(0, mark.column - 1)
        # A caret under a column far to the right helps nobody: show the neighbourhood.
        start = max(0, column - 60) if len(mark.text) > 100 else 0
        shown, before = _clean(mark.text[start : start + 100]), _clean(mark.text[start:column])
        _line(console, Text(f"{gutter}  |"))
        _line(console, Text(f" {mark.line} | {shown}"))
        _line(console, Text.assemble(f"{gutter}  | {' ' * cell_len(before)}", ("^", style)))
    _line(console, Text(f"  {_lines(finding.message)}"))
    if finding.hint:
        _line(console, Text.assemble("  ", ("fix:", "green"), f" {_lines(finding.hint)}"))


def _line(console: Console, text: Text) -> None:
    # As Text: input is neither markup nor emoji codes (:bug:), and is not wrapped.
    console.print(text, soft_wrap=True, highlight=False)


def _lines(text: str) -> str:
    """Text of several lines, each indented, so that none passes for a line of imgbuild's own."""
    lines = text.split("\n", _MOST)
    return "\n    ".join(_clean(line) for line in lines)


def _clean(text: str) -> str:
    """Input must not reach the terminal as control sequences, nor by the megabyte."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}… ({len(text)} characters)"
    return "".join(c if c.isprintable() else " " if c == "\t" else f"\\x{ord(c):02x}" for c in text)


def finding_json(finding: Finding) -> dict[str, object]:
    """A finding's fields in its JSON event."""
    mark = finding.mark
    return {
        "code": finding.code,
        "severity": str(finding.severity),
        "key": finding.key,
        "message": finding.message,
        "hint": finding.hint,
        "file": mark.file if mark else None,
        "line": mark.line if mark else None,
        "column": mark.column if mark else None,
    }
