"""A run that is ended while another program works for it: what is private is removed, and no program stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from imgbuild.fetch.private_folder import private_folder
from tests.support.deadline import HUNG, Deadline
from tests.support.places import ROOT

LOGIN = (
    'containerd.registries={"registry.k8s.io": {"server": {"url": "https://127.0.0.1:1",'
    ' "auth": {"username": "robot", "password": "hunter2-hunter2"}}}}'
)
DEFAULT = ("env", "--default-signal=HUP")
"""The tests themselves may have been started with nohup."""
_SKOPEO = """#!/bin/sh
echo $$ >> "$STARTED"
exec sleep 1000
"""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for skopeo that never ends, and where it writes its process id."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/skopeo").write_text(_SKOPEO)
    (tmp_path / "bin/skopeo").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("STARTED", str(tmp_path / "started"))
    return tmp_path / "started"


def running(started: Path, *through: str) -> subprocess.Popen[str]:
    """A run that waits for a registry."""
    argv = [*through, str(Path(sys.executable).with_name("imgbuild")), "images", "--digests", "-p", "debian12-efi"]
    run = subprocess.Popen(
        [*argv, "--set", LOGIN], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    deadline = Deadline(HUNG)
    while not started.is_file() or not started.read_text():
        assert not deadline.passed() and run.poll() is None
    return run


def alive(started: Path) -> list[str]:
    """Stand-ins that have not ended. A process that nobody has waited for yet has no command line."""
    pids = started.read_text().split()
    found = [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists()]
    return [pid for pid in found if Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_nothing_stays(number: int, code: int, started: Path, tmp_path: Path) -> None:
    run = running(started, *DEFAULT)
    assert [path.name[:20] for path in (tmp_path / "tmp").iterdir()] == ["imgbuild-registries-"]
    run.send_signal(number)  # to imgbuild alone, as kill and systemd do
    _, said = run.communicate(timeout=20)  # skopeo's own limit is 60 s
    assert run.returncode == code, said
    assert "error: interrupted" in said and "Traceback" not in said
    assert not alive(started)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_nohup(started: Path) -> None:
    run = running(started, "nohup")
    run.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(1)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=20)
    assert run.returncode == 143 and not alive(started)


def test_the_next_run_removes_what_a_killed_one_left(started: Path, tmp_path: Path) -> None:
    run = running(started)
    run.kill()
    run.communicate(timeout=20)
    for pid in alive(started):
        os.kill(int(pid), signal.SIGKILL)
    (left,) = (tmp_path / "tmp").iterdir()
    (tmp_path / "tmp/imgbuild-registries-mine").symlink_to(tmp_path)
    with private_folder("imgbuild-registries-") as used, private_folder("imgbuild-registries-"):
        assert not left.exists() and used.exists() and (tmp_path / "tmp/imgbuild-registries-mine").is_symlink()
