"""Whole boots of a tiny guest: what the real QEMU, kernel and virtio-serial port make of each way to end."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.machine import BootResult, MachineSpec, boot
from tests.support.deadline import HUNG, Deadline
from tests.support.machine.tinyguest import SVG, TinyGuest, tiny_spec
from tests.support.places import ROOT

pytestmark = pytest.mark.boot

REQUIRED = frozenset({"kernel", "swap"})


def _boot(
    tiny: TinyGuest, part: str, steps: Steps, out: Path, seconds: float = 180, overlay: Path | None = None
) -> BootResult:
    return boot(
        replace(tiny_spec(tiny, part, out.parent), overlay=overlay), steps, out,
        check=True, required=REQUIRED, expected={"host.name": "tiny"}, seconds=seconds,
    )  # fmt: skip


def test_a_good_report_passes_and_the_evidence_is_kept(
    tiny: TinyGuest, steps: Steps, out: Path, progress: io.StringIO
) -> None:
    result = _boot(tiny, "good", steps, out)
    assert result.ok, result.failure()
    assert result.failure() == ""
    assert {check.name: check.ok for check in result.checks} == {
        "kernel": True, "swap": True, "bpffs": None, "host: host.name": True,
    }  # fmt: skip
    assert result.powered_off
    assert result.boots == 1
    assert (out / "screenshot.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert (out / "boot-plot.svg").read_bytes() == SVG
    assert b"Power down" in (out / "console.log").read_bytes()
    kept = json.loads((out / "checks.json").read_text())
    assert kept["ok"] is True
    assert len(kept["checks"]) == 4
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert "the guest reported 3 checks" in progress.getvalue()
    assert "  done: Boot tiny.qcow2 (BIOS, tcg)" in progress.getvalue()


def test_a_failed_check_fails(tiny: TinyGuest, steps: Steps, out: Path, progress: io.StringIO) -> None:
    result = _boot(tiny, "bad", steps, out)
    assert not result.ok
    assert "1 of 3 checks failed: swap" in result.failure()
    assert "  failed: Boot tiny.qcow2" in progress.getvalue()


def test_a_guest_that_reboots_reports_later(tiny: TinyGuest, steps: Steps, out: Path) -> None:
    result = _boot(tiny, "reboot", steps, out)
    assert result.ok, result.failure()
    assert result.boots == 2


def test_an_overlay_that_is_kept_is_the_next_machines_disk(
    tiny: TinyGuest, steps: Steps, out: Path, tmp_path: Path
) -> None:
    boots = [_boot(tiny, "reboot", steps, out, overlay=tmp_path / "kept.qcow2").boots for _ in range(2)]
    assert boots == [2, 1]


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("garbage", "not JSON"),
        ("flood", "a line of more than 8 MiB"),
        ("poweroff", "powered off before it sent its report"),
        ("panic", "the kernel panicked"),
    ],
)
def test_a_guest_that_goes_wrong(tiny: TinyGuest, steps: Steps, out: Path, part: str, says: str) -> None:
    result = _boot(tiny, part, steps, out)
    assert not result.ok
    assert says in result.problem
    assert result.problem.isprintable()
    assert json.loads((out / "checks.json").read_text())["problem"] == result.problem
    if part == "panic":
        assert any("Attempted to kill init" in line for line in result.console_tail)
        assert str(out / "screenshot.png") in result.failure()


def test_a_silent_guest_ends_at_the_limit(tiny: TinyGuest, steps: Steps, out: Path) -> None:
    result = _boot(tiny, "silent", steps, out, seconds=5)
    assert "no report from the guest within 5 s" in result.problem
    assert 5 <= result.seconds < 60
    assert (out / "screenshot.png").is_file()


def test_without_checks_a_login_prompt_is_enough(tiny: TinyGuest, steps: Steps, out: Path) -> None:
    result = boot(tiny_spec(tiny, "login", out.parent), steps, out, check=False, seconds=180, powerdown_seconds=1)
    assert result.ok
    assert not result.powered_off
    assert [milestone.name for milestone in result.milestones] == ["login"]


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_a_disk_that_does_not_boot(steps: Steps, out: Path, firmware: str) -> None:
    disk = out.parent / "no,thing.qcow2"  # a comma is special to QEMU
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"], check=True)
    spec = MachineSpec("efi" if firmware == "efi" else "bios", disk, memory_mib=256, cpus=1)
    result = boot(spec, steps, out, check=True, seconds=900)  # minutes for OVMF where other machines run beside it
    assert "the firmware found nothing to boot" in result.problem
    assert (out / "screenshot.png").stat().st_size > 1000


def test_what_the_host_lacks_is_said(tiny: TinyGuest, steps: Steps, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tiny_spec(tiny, "good", out.parent)
    raw = out.parent / "raw.img"
    raw.write_bytes(b"\0" * 65536)
    cases = [
        (MachineSpec("bios", out.parent / "none.qcow2"), "cannot read the disk image"),
        (MachineSpec("bios", good.disk, seed=out.parent / "none.iso"), "cannot read the seed"),
        (MachineSpec("bios", raw), "raw.img.*not in qcow2 format"),
        (MachineSpec("bios", good.disk, cpu="z80"), "QEMU did not start: .*z80"),
    ]
    for spec, says in cases:
        with pytest.raises(HostError, match=says):
            boot(spec, steps, out, check=True)
    monkeypatch.setenv("PATH", str(out.parent))
    with pytest.raises(HostError, match="qemu-system-x86_64 is not installed"):
        boot(good, steps, out, check=True)


_RUN = """
import sys
from pathlib import Path
from imgbuild.machine import boot
from imgbuild.diagnostics.progress import PlainSteps
from tests.support.machine.tinyguest import TinyGuest, tiny_spec
*guest, folder = map(Path, sys.argv[1:])
boot(tiny_spec(TinyGuest(*guest), "silent", folder), PlainSteps(sys.stdout), folder / "out", check=True, temp=folder)
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_no_qemu_outlives_imgbuild(tiny: TinyGuest, tmp_path: Path, sign: signal.Signals) -> None:
    command = [sys.executable, "-c", _RUN, str(tiny.kernel), str(tiny.initrd), str(tiny.programs), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as run:
        qemu = _wait_for_child(run.pid)
        time.sleep(1)
        run.send_signal(sign)
        run.communicate(timeout=HUNG)
        assert run.returncode != 0
    deadline = Deadline(30)
    while (Path("/proc") / str(qemu)).exists() and not deadline.passed():
        time.sleep(0.05)
    assert not (Path("/proc") / str(qemu)).exists()
    if sign is signal.SIGINT:
        assert not list(tmp_path.glob("imgbuild-machine-*"))


def _wait_for_child(parent: int) -> int:
    deadline = Deadline(90)
    while not deadline.passed() and Path(f"/proc/{parent}/exe").exists():
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for child in children:
            if b"qemu-system" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        time.sleep(0.05)
    raise AssertionError("QEMU was not started")


def test_nothing_is_left_in_the_temporary_folder(tiny: TinyGuest, steps: Steps, out: Path) -> None:
    with tempfile.TemporaryDirectory() as temp:
        boot(tiny_spec(tiny, "poweroff", out.parent), steps, out, check=True, temp=Path(temp), seconds=180)
        assert list(Path(temp).iterdir()) == []


def test_until_decides_when_it_is_over(tiny: TinyGuest, steps: Steps, out: Path) -> None:
    spec = tiny_spec(tiny, "good", out.parent)
    result = boot(spec, steps, out, check=True, until=lambda messages: len(messages) == 2, seconds=180)
    assert result.ok, result.failure()
    assert [message.kind for message in result.messages] == ["verify", "plot"]
