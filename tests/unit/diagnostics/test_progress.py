"""Progress of a download: a bar on a terminal, lines in a log, objects for machines."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from imgbuild.diagnostics.progress import JsonSteps, PlainSteps, Steps
from tests.support.places import ROOT

MIB = 1 << 20


class Clock:
    """A second for each report."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def transfer(steps: Steps, clock: Clock, total: int | None) -> None:
    with steps.step("Fetch it"), steps.transfer() as report:
        for done in range(0, 201 * MIB, MIB):
            report(done, total)
            clock.now += 0.5
            if done == 100 * MIB:
                steps.note("the server has stalled: retrying in 1 s")


def test_lines_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    transfer(PlainSteps(out), Clock(monkeypatch), 200 * MIB)
    lines = [line.strip() for line in out.getvalue().splitlines()]
    assert lines[:3] == ["> Fetch it", "10 % of 200 MiB, 2.0 MiB/s, 90 s left", "20 % of 200 MiB, 2.0 MiB/s, 80 s left"]
    assert lines[-2] == "100 % of 200 MiB, 2.0 MiB/s"
    assert len(lines) == 13
    assert "\r" not in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_a_size_that_is_not_known_is_told_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    transfer(PlainSteps(out), Clock(monkeypatch), None)
    lines = [line.strip() for line in out.getvalue().splitlines()]
    assert lines[1] == "60 MiB, 2.0 MiB/s"
    assert len(lines) == 6


def test_a_transfer_that_starts_again_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    out, clock = io.StringIO(), Clock(monkeypatch)
    steps = PlainSteps(out)
    with steps.transfer() as report:
        for done in (0, 50 * MIB, 0, 50 * MIB):
            clock.now += 1
            report(done, 100 * MIB)
    assert out.getvalue().count("50 % of 100 MiB, 50.0 MiB/s, 1 s left") == 2


def test_objects_for_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    transfer(JsonSteps(out), Clock(monkeypatch), 200 * MIB)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    first = next(e for e in events if e["event"] == "transfer")
    assert (first["bytes"], first["total"], first["bytes_per_second"]) == (20 * MIB, 200 * MIB, 2 * MIB)


_CODE = """
from imgbuild.cli.terminal import Console
from imgbuild.diagnostics.progress import TerminalSteps
import time
steps = TerminalSteps(Console(stderr=True))
with steps.step("Fetch it"), steps.transfer() as report:
    for done in range(0, 201, 40):
        report(done << 20, 200 << 20)
        time.sleep(0.15)
    steps.note("retrying in 1 s")
    report(0, 200 << 20)
    report(100 << 20, 200 << 20)
    time.sleep(0.15)
"""


def on_a_terminal(code: str) -> str:
    """What is shown: rich shows no bar where nobody looks."""
    ours, theirs = os.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "140", "LC_ALL": "C.UTF-8"}
    argv = [sys.executable, "-c", code]
    process = subprocess.Popen(argv, stderr=theirs, env=environment, cwd=ROOT)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the other side is closed
        while block := os.read(ours, 4096):
            shown += block
    os.close(ours)
    assert process.wait(30) == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_a_bar_on_a_terminal() -> None:
    text = on_a_terminal(_CODE)
    for expected in (
        "Fetch it",
        "200.0/200.0 MiB",
        "100%",
        "━",
        "MiB/s",
        "100.0/200.0 MiB",
        "50%",
        "retrying in 1 s",
    ):
        assert expected in text
    assert "✓ Fetch it" in text


_SEVERAL = """
from imgbuild.cli.terminal import Console
from imgbuild.diagnostics.progress import TerminalSteps
import threading, time
steps = TerminalSteps(Console(stderr=True))
def one(name, mib):
    with steps.transfer(name) as report:
        for done in range(0, mib + 1, mib // 5):
            report(done << 20, mib << 20)
            time.sleep(0.1)
    steps.note(f"{name} is there")
with steps.step("Fetch 2 files"):
    threads = [threading.Thread(target=one, args=args) for args in (("kernel", 50), ("helm", 20))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_a_bar_for_each_of_several_transfers() -> None:
    text = on_a_terminal(_SEVERAL)
    for expected in ("kernel", "helm", "50.0/50.0 MiB", "20.0/20.0 MiB", "MiB/s", "helm is there", "✓ Fetch 2 files"):
        assert expected in text
