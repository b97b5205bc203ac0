"""The pages of docs/reference/findings, from the table of codes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from imgbuild.diagnostics.codes import FAMILIES, RETIRED
from imgbuild.diagnostics.codes.row import Code, cluster_text, profile_text

_MADE = "<!-- Made from builder/imgbuild/diagnostics/codes by `make reference`. -->"


def files(base: Path) -> dict[Path, str]:
    """Every page: one per family, and the list of all codes."""
    folder = base / "docs" / "reference" / "findings"
    index = base / "docs" / "reference" / "findings.md"
    head, _, rest = index.read_text().partition("<!-- codes -->")
    tail = rest.partition("<!-- end of codes -->")[2]
    out = {index: f"{head}<!-- codes -->\n\n{_index()}\n<!-- end of codes -->{tail}"}
    return out | {folder / f"{_name(family)}.md": _page(family) for family in FAMILIES}


def _name(family: ModuleType) -> str:
    return family.__name__.rpartition(".")[2].replace("_", "-")


def _title(family: ModuleType) -> str:
    return str(family.__doc__).partition("\n")[0].rstrip(".")


def severity(row: Code) -> str:
    """``error``, or ``error; warning if …``."""
    return f"{row.severity}; {row.lesser} if {row.when}" if row.lesser is not None else str(row.severity)


def _index() -> str:
    lines: list[str] = []
    for family in FAMILIES:
        lines += [f"## [{_title(family)}](findings/{_name(family)}.md)", "", "| Code | Severity | |", "|---|---|---|"]
        for row in family.CODES:
            both = f"{row.severity}, {row.lesser}" if row.lesser is not None else str(row.severity)
            lines.append(f"| [{row.code}](findings/{_name(family)}.md#{row.code.lower()}) | {both} | {row.title} |")
        lines.append("")
    lines += [f"Codes that are no longer reported: {', '.join(sorted(RETIRED))}.", ""]
    return "\n".join(lines)


def _page(family: ModuleType) -> str:
    intro = (
        "Each code with its reason, its fix, and an example with and without it.\n"
        "A user who can log in is left out of the examples.\n"
        "`imgbuild explain IB205` prints the same. [All codes](../findings.md)."
    )
    parts = [f"# {_title(family)}", "", _MADE, "", intro, ""]
    for row in family.CODES:
        parts += [
            f"## {row.code}",
            "",
            f"**{row.title}** ({severity(row)})",
            "",
            _lines(row.why),
            "",
            f"Fix: {_lines(row.fix)}",
            "",
        ]
        parts += _examples(row)
    return "\n".join(parts).rstrip() + "\n"


def _lines(text: str) -> str:
    """One sentence per line."""
    return re.sub(r"(?<=[\w)`'\"][.!]) (?=\S)", "\n", text)


def _examples(row: Code) -> Iterator[str]:
    if row.setup:
        yield from (f"When: {row.setup}", "")
        return
    yield from _example(row, "Reported", row.bad, row.bad_cluster, row.bad_options, row.day)
    yield from _example(row, "Not reported", row.good, row.good_cluster, row.good_options, row.good_day or row.day)


def _example(row: Code, head: str, profile: str, cluster: str, options: tuple[str, ...], day: str) -> Iterator[str]:
    on = f" on {day}" if day else ""
    yield from (f"{head}{on}:", "")
    words = ["imgbuild", "check", "--profile", "node.yaml", *(["--cluster", "lab.yaml"] if cluster else []), *options]
    if options or not (profile or cluster):
        yield from ("<!-- not run: an example -->", "```console", f"$ {shlex.join(words)}", "```", "")
    if profile or not cluster:
        yield from ("```yaml", *profile_text(profile).rstrip("\n").split("\n"), "```", "")
    if cluster:
        yield from ("```yaml", *cluster_text(cluster).rstrip("\n").split("\n"), "```", "")
