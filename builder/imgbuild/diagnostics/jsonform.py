"""Findings as JSON."""

from __future__ import annotations

from imgbuild.diagnostics.findings import Finding


def finding_json(finding: Finding) -> dict[str, object]:
    """One finding as a JSON object. ``column`` and ``end`` count from 1; ``end`` is after the marked text."""
    mark = finding.mark
    return {
        "code": finding.code,
        "severity": str(finding.severity),
        "key": finding.key,
        "message": finding.message,
        "hint": finding.hint,
        "file": mark.file if mark else None,
        "shipped": mark.shipped if mark else False,
        "line": mark.line if mark else None,
        "column": mark.column if mark else None,
        "end": mark.end if mark and mark.end else None,
        "nodes": list(finding.who),
        "also": [
            {"file": place.file, "shipped": place.shipped, "line": place.line, "column": place.column}
            for place in finding.also
        ],
    }
