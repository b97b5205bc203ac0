"""The result of a boot, and its JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from imgbuild.machine.report import Message
from imgbuild.machine.serial import Milestone
from imgbuild.machine.times import Times
from imgbuild.machine.verdict import Check, all_ok


@dataclass(frozen=True)
class BootResult:
    """One boot. ``checked`` is whether checks were requested; ``seconds`` is from power on to the verdict.

    ``problem`` is what ended the boot early, empty if nothing did; ``console_tail`` are then the
    last lines of the console. ``times`` are those of the guest's first boot, if it had one. ``messages`` is
    everything the guest sent. ``powered_off`` is whether the guest shut itself down on request. ``files`` maps
    what was kept ("console", "screenshot", "plot", "checks") to where.
    """

    checked: bool
    checks: tuple[Check, ...] = ()
    times: Times | None = None
    problem: str = ""
    console_tail: tuple[str, ...] = ()
    milestones: tuple[Milestone, ...] = ()
    messages: tuple[Message, ...] = ()
    seconds: float = 0.0
    boots: int = 1
    powered_off: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """No problem, and if checks were requested, at least one passed and none failed."""
        return not self.problem and (not self.checked or all_ok(self.checks))

    def failure(self) -> str:
        """What went wrong, as text: empty if nothing did."""
        if self.ok:
            return ""
        lines = [self.problem] if self.problem else []
        bad = [check.name for check in self.checks if check.ok is False]
        if bad:
            lines.append(f"{len(bad)} of {len(self.checks)} checks failed: {', '.join(bad)}")
        elif self.checked and not self.problem:
            lines.append("the guest's report has no check that passed")
        if self.problem and self.console_tail:
            lines += [f"the last {len(self.console_tail)} lines of the console:"]
            lines += [f"  | {line}" for line in self.console_tail]
        lines += [f"{what}: {path}" for what, path in self.files.items() if what in ("console", "screenshot")]
        return "\n".join(lines)


def result_json(result: BootResult) -> str:
    """The result as JSON text, without what the guest sent beyond its checks."""
    return json.dumps(result_fields(result), indent=2, ensure_ascii=False) + "\n"


def result_fields(result: BootResult) -> dict[str, object]:
    """The same as values."""
    return {
        "ok": result.ok,
        "checked": result.checked,
        "problem": result.problem,
        "seconds": result.seconds,
        "boots": result.boots,
        "powered_off": result.powered_off,
        "milestones": [asdict(milestone) for milestone in result.milestones],
        "checks": [asdict(check) for check in result.checks],
        "first_boot": None
        if result.times is None
        else {"end": round(result.times.end, 2), "own": round(result.times.own, 2), **asdict(result.times)},
        "console_tail": list(result.console_tail),
        "files": {what: path.name for what, path in result.files.items()},
    }
