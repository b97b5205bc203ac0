"""One row of the table of codes."""

from __future__ import annotations

from dataclasses import dataclass

from imgbuild.diagnostics.severity import Severity


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means wherever it is reported."""

    code: str
    severity: Severity
    title: str
    fix: str
    lesser: Severity | None = None
    """The severity of the milder of two cases, where a code has two."""
