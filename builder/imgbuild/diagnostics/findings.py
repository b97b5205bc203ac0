"""Diagnostics: location, severity, message and fix.

text.py writes them as text, jsonform.py as JSON; codes/ has a row for every code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from imgbuild.diagnostics.codes import CODES
from imgbuild.diagnostics.mask import mask
from imgbuild.diagnostics.severity import Severity

Path = tuple[str | int, ...]
"""A key's place in a document: ("kernel", "sysctl", "net.ipv4.ip_forward")."""


def few(names: Sequence[str], most: int) -> str:
    """The first ``most`` of these names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def listing(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([part for part in (", ".join(names[:-1]), *names[-1:]) if part])


def nodes(names: Sequence[str]) -> str:
    """Nodes as messages name them: ``node a``, ``nodes a, b, c and 20 more``."""
    return f"node{'s' if len(names) > 1 else ''} {few(names, 3)}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file. ``line`` and ``column`` count from 1; ``text`` is the whole line.

    ``end`` is the column after the marked text, 0 if only its start is known. ``shipped``: the file is one that
    imgbuild ships, and ``file`` is its name below the installation, which a file of the user's may have too.
    """

    file: str
    line: int
    column: int
    text: str = ""
    end: int = field(default=0, compare=False)
    shipped: bool = False

    @property
    def named(self) -> str:
        """The place as messages name it, so that nobody looks for imgbuild's file among their own."""
        return f"imgbuild's {self}" if self.shipped else str(self)

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
    who: tuple[str, ...] = ()
    """The nodes that it is about; ``message`` begins with them."""
    about: str = field(default="", compare=False)
    """If it is about nodes, the message without them."""
    also: tuple[Mark, ...] = field(default=(), compare=False)
    """The places of the same finding for other nodes."""


def finding(
    code: str,
    message: str,
    *,
    hint: str = "",
    key: str = "",
    mark: Mark | None = None,
    lesser: bool = False,
    who: Sequence[str] = (),
) -> Finding:
    """One finding, with its severity from the table of codes. Logins and private keys are redacted.

    ``lesser``: the milder case of a code that has two; ``who``: the nodes that it is about. Callers put no private
    values in it (imgbuild.config.redact); a mark's line has none.
    """
    row = CODES[code]
    severity = row.lesser if lesser and row.lesser is not None else row.severity
    message, hint, key = mask(message), mask(hint), mask(key)
    if not who:
        return Finding(code, severity, message, hint, key, mark)
    return Finding(code, severity, f"{nodes(who)}: {message}", hint, key, mark, tuple(who), message)


@dataclass
class Findings:
    """Collects findings, so that a user sees all of them at once."""

    items: list[Finding] = field(default_factory=list)
    _seen: set[Finding] = field(default_factory=set, repr=False)

    def add(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        key: str = "",
        mark: Mark | None = None,
        lesser: bool = False,
        who: Sequence[str] = (),
    ) -> None:
        """Add one finding (`finding`), unless it is there already."""
        self.extend([finding(code, message, hint=hint, key=key, mark=mark, lesser=lesser, who=who)])

    def extend(self, more: Iterable[Finding]) -> None:
        """Add findings, without repeats."""
        for finding in more:
            if finding not in self._seen:
                self._seen.add(finding)
                self.items.append(finding)

    @property
    def errors(self) -> Sequence[Finding]:
        """The findings that stop a build."""
        return [f for f in self.items if f.severity is Severity.ERROR]


def format_path(path: Sequence[str | int]) -> str:
    """A path as users write it: ``kernel.sysctl."net.ipv4.ip_forward"``, ``users[0].name``.

    A name may be an address in the wrong place: its login is redacted.
    """
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            part = mask(part)
            text = f'"{part}"' if "." in part or part == "" else part
            out += f".{text}" if out else text
    return out


def arranged(findings: Iterable[Finding]) -> list[Finding]:
    """Findings as they are reported: ordered by file and line, and the same one for many nodes only once.

    Findings without a place in a file come last.
    """
    out: dict[object, Finding] = {}
    for number, each in enumerate(sorted(findings, key=_place)):
        # By its number: a finding without nodes is never merged with another.
        alike = (each.code, each.severity, each.about, each.hint) if each.who else number
        first = out.get(alike)
        out[alike] = each if first is None else _joined(first, each)
    return list(out.values())


def _place(each: Finding) -> tuple[bool, str, int, int]:
    mark = each.mark
    return (True, "", 0, 0) if mark is None else (False, mark.file, mark.line, mark.column)


def _joined(first: Finding, other: Finding) -> Finding:
    who = (*first.who, *(name for name in other.who if name not in first.who))
    places = (*first.also, other.mark) if other.mark not in (None, first.mark, *first.also) else first.also
    return replace(first, who=who, message=f"{nodes(who)}: {first.about}", also=tuple(filter(None, places)))
