"""Checks of a machine, and what makes their result good."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from imgbuild.machine.text import as_text


@dataclass(frozen=True)
class Check:
    """One check. ``ok`` None means that the guest skipped it, with the reason in ``found``."""

    name: str
    ok: bool | None
    expected: str = ""
    found: str = ""
    hint: str = ""


HOST = "host: "
"""The prefix of checks made on this side, so that a guest's own check cannot replace one."""


def missing_checks(checks: Sequence[Check], required: Collection[str]) -> tuple[Check, ...]:
    """One failed check for each required name that the guest did not report, or skipped."""
    by_name = {check.name: check for check in checks}
    failed = []
    for name in sorted(required):
        there = by_name.get(name)
        if there is None:
            failed.append(
                Check(
                    f"{HOST}{name} reported",
                    False,
                    "in the report",
                    "missing",
                    "check that the image is not an old one",
                )
            )
        elif there.ok is None:
            failed.append(Check(f"{HOST}{name} reported", False, "checked", f"skipped: {there.found}"))
    return tuple(failed)


def host_checks(
    report: Mapping[str, object], checks: Sequence[Check], expected: Mapping[str, str]
) -> tuple[Check, ...]:
    """Compare the guest's report with what this side knows.

    The guest judges itself by files in the image and the seed; a machine that started with the wrong seed
    would find no fault. Each key of ``expected`` names a value of the report by a dotted path ("host.name"), or
    else a check, of which ``found`` counts.
    """
    by_name = {check.name: check for check in checks}
    result = []
    for key, want in sorted(expected.items()):
        value = _by_path(report, key)
        if value is None and key in by_name:
            value = by_name[key].found
        found = as_text(value)
        hint = "" if value is not None else "check the image: the guest reports no such value"
        result.append(Check(f"{HOST}{key}", found == want, want, found or "nothing", hint))
    return tuple(result)


def _by_path(report: Mapping[str, object], path: str) -> object:
    value: object = report
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value if isinstance(value, str | int | float) else None


def all_ok(checks: Sequence[Check]) -> bool:
    """True if something was checked and nothing failed. A skipped check is not a failure unless it is required."""
    return any(check.ok for check in checks) and not any(check.ok is False for check in checks)
