"""What a test does inside a guest of a cluster: one of the functions of guest/act.py, from a disk of the test's own."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.machine import BootResult, MachineSpec, boot
from imgbuild.machine.report import Message
from tests.support.machine.testdisk import write_disk
from tests.support.places import SUPPORT

SECONDS = 2400.0
"""On two busy cores. Nothing depends on how long it takes."""


def act(spec: MachineSpec, what: str, folder: Path) -> BootResult:
    """Boot, and do it in the guest (guest/act.py), to its end."""
    spec = replace(spec, extra_disks=(make_disk(folder / "act.iso", what),))
    steps = PlainSteps(sys.stderr)
    result = boot(spec, steps, folder / "boot", check=False, until=told, seconds=SECONDS, temp=folder)
    heard = said(result)
    assert "error" not in heard, heard["error"]
    assert "done" in heard, result.failure()
    return result


def said(result: BootResult) -> Mapping[str, Mapping[str, Any]]:
    """What the guest told, by its name."""
    return {str(m.body["name"]): m.body for m in result.messages if m.kind == "probe"}


def told(messages: Sequence[Message]) -> bool:
    """Whether the guest has said what it had to say."""
    return any(m.kind == "probe" and m.body["name"] in {"done", "error"} for m in messages)


def make_disk(path: Path, what: str) -> Path:
    """The ISO that brings what is done in the guest."""
    here = SUPPORT / "cluster"
    name = path.with_suffix(".act")
    name.write_text(what)
    act, probe = here / "guest/act.py", SUPPORT / "machine/guest/probe.py"
    return write_disk(path, {act.name: act, probe.name: probe, "act": name})
