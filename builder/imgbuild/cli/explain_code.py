"""What a code of a finding means, by its row in the table."""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgbuild.cli.wrap import wrap
from imgbuild.config.setting_words import without_links
from imgbuild.diagnostics.codes import CODES, RETIRED
from imgbuild.diagnostics.codes.row import Code, cluster_text, profile_text
from imgbuild.diagnostics.errors import UsageError

_CODE = re.compile(r"(?i)ib[0-9]{1,4}")


def is_code(word: str) -> bool:
    """Whether a word is a code: ``IB205``, ``ib205``."""
    return _CODE.fullmatch(word) is not None


def code(word: str) -> Code:
    """The row of a code.

    Raises:
        UsageError: there is no such code.
    """
    name = word.upper()
    if name in RETIRED:
        raise UsageError(f"{name} is no longer reported", "see the list of codes in docs/reference/findings.md")
    if name not in CODES:
        raise UsageError(f"there is no code {name}", "see the list of codes in docs/reference/findings.md")
    return CODES[name]


def as_json(row: Code) -> dict[str, object]:
    """As JSON."""
    return {
        "code": row.code,
        "severity": str(row.severity),
        "lesser": None if row.lesser is None else {"severity": str(row.lesser), "when": row.when},
        "title": row.title,
        "why": row.why,
        "fix": row.fix,
        "setup": row.setup or None,
        "bad": _files(row.bad, row.bad_cluster, row.bad_options, row),
        "good": _files(row.good, row.good_cluster, row.good_options, row),
    }


def _files(profile: str, cluster: str, options: tuple[str, ...], row: Code) -> dict[str, object] | None:
    if row.setup:
        return None
    return {
        "profile": profile_text(profile),
        "cluster": cluster_text(cluster) or None,
        "options": list(options),
    }


def lines(row: Code, width: int) -> Iterator[str]:
    """As text."""
    both = f"{row.severity}; {row.lesser} if {row.when}" if row.lesser is not None else str(row.severity)
    yield f"{row.code}: {_plain(row.title)} ({both})"
    yield ""
    yield from wrap(_plain(row.why), width)
    yield ""
    yield from wrap(f"fix: {_plain(row.fix)}", width, subsequent_indent="     ")
    if row.setup:
        yield from ("", f"when: {_plain(row.setup)}")
        return
    yield from _example("reported", row.bad, row.bad_cluster, row.bad_options, row.day)
    yield from _example("not reported", row.good, row.good_cluster, row.good_options, row.good_day or row.day)


def _example(head: str, profile: str, cluster: str, options: tuple[str, ...], day: str) -> Iterator[str]:
    more = f" with {' '.join(options)}" if options else ""
    yield from ("", f"{head}{more}{f' on {day}' if day else ''}:")
    if profile or not cluster:
        yield from (f"  {line}" for line in profile_text(profile).rstrip("\n").split("\n"))
    if cluster:
        yield "  cluster file:"
        yield from (f"    {line}" for line in cluster_text(cluster).rstrip("\n").split("\n"))


def _plain(text: str) -> str:
    return without_links(text, "docs/reference/findings").replace("`", "")
