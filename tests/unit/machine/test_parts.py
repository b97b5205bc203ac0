"""The parts that need no machine: firmware, command line, console, checks, table."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console as RichConsole

from imgbuild.diagnostics.errors import HostError
from imgbuild.machine import BootResult, Check, MachineSpec
from imgbuild.machine.arguments import qemu_command
from imgbuild.machine.firmware import find_ovmf
from imgbuild.machine.result import result_json
from imgbuild.machine.serial import LOG_LIMIT, Console, Milestone
from imgbuild.machine.table import print_checks
from imgbuild.machine.verdict import host_checks, missing_checks


def test_firmware_is_found_where_distributions_keep_it(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no UEFI firmware") as caught:
        find_ovmf(tmp_path)
    assert "ovmf on Debian" in caught.value.hint
    fedora = tmp_path / "usr/share/edk2/ovmf"
    fedora.mkdir(parents=True)
    (fedora / "OVMF_CODE.fd").touch()
    with pytest.raises(HostError):  # half a pair
        find_ovmf(tmp_path)
    (fedora / "OVMF_VARS.fd").touch()
    assert find_ovmf(tmp_path).code == fedora / "OVMF_CODE.fd"
    debian = tmp_path / "usr/share/OVMF"
    debian.mkdir(parents=True)
    (debian / "OVMF_CODE_4M.fd").touch()
    (debian / "OVMF_VARS_4M.fd").touch()
    assert find_ovmf(tmp_path).variables == debian / "OVMF_VARS_4M.fd"


def test_the_command_opens_nothing_to_others(tmp_path: Path) -> None:
    spec = MachineSpec("bios", tmp_path / "d.qcow2", seed=tmp_path / "s.iso", macs=("52:54:00:00:00:01",) * 2)
    command = qemu_command(spec, overlay=tmp_path / "o.qcow2", ovmf=None, qmp_fd=3, console_fd=4, report_fd=5)
    line = " ".join(command)
    assert line.count("restrict=on") == 2
    for word in ("hostfwd", "vnc", "path=", "host=", "port=", "kvm"):
        assert word not in line
    nodes = [json.loads(arg) for flag, arg in pairwise(command) if flag == "-blockdev"]
    assert {node["node-name"]: node["read-only"] for node in nodes} == {"disk": False, "seed": True}
    assert str(spec.disk) not in line  # the overlay names it


@pytest.mark.parametrize("bad", [{"macs": ("52:54",)}, {"memory_mib": 0}, {"cpus": 0}])
def test_a_machine_that_cannot_be(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"MAC|needs"):
        MachineSpec("bios", Path("d"), **bad)  # type: ignore[arg-type]


def _console() -> tuple[Console, io.BytesIO, list[Milestone]]:
    log, seen = io.BytesIO(), list[Milestone]()
    return Console(log, seen.append), log, seen


def test_milestones_are_seen_once_and_through_escapes() -> None:
    console, log, seen = _console()
    text = (
        b"\x1b[0m\x1b[35mBdsDxe: loading Boot0001\r\nWelcome to \x1b[1mGRUB!\r\n[    0.0] Linux version 6.1\r\n"
        b"[  5.0] systemd[1]: started\r\n[  OK  ] systemd[1]: again\r\n"
        b"Cloud-init v. 22.4.2 running 'init-local'\r\nCloud-init v. 22.4.2 finished at\r\n\x1b[mnode1 login: "
    )
    for byte in text:
        console.feed(bytes([byte]))
    assert [m.name for m in seen] == [
        "firmware", "boot loader", "kernel", "systemd", "cloud-init", "cloud-init done", "login",
    ]  # fmt: skip
    assert log.getvalue() == text
    assert console.tail(2) == ["Cloud-init v. 22.4.2 finished at", "node1 login: "]
    assert console.death is None


@pytest.mark.parametrize(
    ("line", "how"),
    [
        (b"[    3.2] Kernel panic - not syncing: VFS: Unable to mount root fs", "panicked"),
        (b"grub rescue> ", "GRUB did not find"),
        (b"(initramfs) ", "no root file system"),
        (b"You are in emergency mode. After logging in", "emergency"),
        (b"UEFI Interactive Shell v2.2", "nothing to boot"),
    ],
)
def test_deaths_are_told_apart(line: bytes, how: str) -> None:
    console, _, _ = _console()
    console.feed(b"\r\n" + line)
    assert console.death is not None
    assert how in console.death


def test_the_log_has_a_limit() -> None:
    console, log, _ = _console()
    for _ in range(LOG_LIMIT // (1 << 20) + 2):
        console.feed(b"x" * (1 << 20))
    assert log.tell() == LOG_LIMIT


def test_a_report_that_lacks_a_check_is_a_failure() -> None:
    checks = (Check("kernel", True), Check("bpffs", None, found="no such mount"))
    failed = missing_checks(checks, {"kernel", "bpffs", "swap"})
    assert [(c.name, c.ok, c.found) for c in failed] == [
        ("host: bpffs reported", False, "skipped: no such mount"),
        ("host: swap reported", False, "missing"),
    ]


def test_this_side_compares_too() -> None:
    report = {"host": {"name": "node1"}, "cpus": 2, "wrong": {"a": 1}}
    checks = (Check("datasource", True, found="DataSourceNoCloud"),)
    expected = {"host.name": "node1", "cpus": "2", "datasource": "DataSourceNone", "host.ip": "x", "wrong": "x"}
    result = {c.name: (c.ok, c.found) for c in host_checks(report, checks, expected)}
    assert result == {
        "host: host.name": (True, "node1"),
        "host: cpus": (True, "2"),
        "host: datasource": (False, "DataSourceNoCloud"),
        "host: host.ip": (False, "nothing"),
        "host: wrong": (False, "nothing"),
    }


def test_nothing_checked_is_not_ok() -> None:
    assert not BootResult(checked=True).ok
    assert not BootResult(checked=True, checks=(Check("a", None),)).ok
    assert BootResult(checked=True, checks=(Check("a", True),)).ok
    assert not BootResult(checked=True, checks=(Check("a", True), Check("b", False))).ok
    assert not BootResult(checked=True, checks=(Check("a", True),), problem="late").ok
    assert BootResult(checked=False).ok
    assert json.loads(result_json(BootResult(checked=False)))["ok"] is True


CHECKS = (Check("kernel", True, "6", "6"), Check("[red]", False, "a", "[bold]b", "mend"), Check("c", None, found="n/a"))


def test_a_plain_table() -> None:
    stream = io.StringIO()
    print_checks(CHECKS, RichConsole(file=stream))
    assert stream.getvalue().splitlines() == [
        "ok       kernel  6",
        "FAILED   [red]   [bold]b / expected: a / hint: mend",
        "skipped  c       n/a",
        "1 checks passed, 1 failed, 1 skipped",
    ]


@pytest.mark.parametrize("no_color", [True, False])
def test_a_table_on_a_terminal(no_color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    print_checks(CHECKS, RichConsole(file=stream, force_terminal=True, width=80))
    text = stream.getvalue()
    assert "[bold]b" in text
    assert ("\x1b[32m" in text) is not no_color
