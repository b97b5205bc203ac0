"""Whole diskimage-builder runs: cached, failing, killed, two at once. Each takes some ten seconds."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.checksum import sha256_of
from imgbuild.fetch.oci import repository
from imgbuild.fetch.store import Store
from imgbuild.image.cache import open_store
from imgbuild.image.rootfs.build import Rootfs, build_rootfs
from imgbuild.image.rootfs.plan import RootfsPlan
from imgbuild.image.rootfs.supply import Supply
from tests.support.deadline import HUNG, Deadline
from tests.support.image.recorder import Recorder
from tests.support.places import ROOT
from tests.support.registry import docker_registry

pytestmark = pytest.mark.image

_QUICK = "#!/bin/bash\nset -euo pipefail\ntouch /etc/imgbuild/was-here\n"


@contextmanager
def _running(plan: RootfsPlan, cache: Path, script: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    told = {
        "target": plan.target,
        "elements": plan.elements,
        "elements_dir": str(plan.elements_dir),
        "environment": dict(plan.environment),
        "script": script,
    }
    (tmp_path / "plan.json").write_text(json.dumps(told))
    argv = [sys.executable, "-m", "tests.support.image.build_one", str(cache), str(tmp_path / "plan.json")]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _until(what: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = Deadline(seconds)
    while not what():
        assert not deadline.passed(), "it did not happen in time"
        time.sleep(0.05)


def _supervisors(cache: Path) -> list[int]:
    """The supervisors of builds in ``cache``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"imgbuild.image.rootfs.supervisor" in words and str(cache / "build").encode() in words:
            found.append(int(folder.name))
    return found


def _processes(cache: Path) -> list[str]:
    """Every process whose root or command line lies in the build's folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            root = str((folder / "root").readlink())
        except OSError:
            continue
        if f"{cache}/build" in root + words:
            found.append(words)
    return found


def test_a_build_is_done_once(tiny: Callable[[str], RootfsPlan], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    steps = Recorder()
    (tmp_path / "given").write_text("from the store")
    given = Artifact("given", sha256_of(tmp_path / "given"), None, (f"file://{tmp_path}/given",))
    script = f"{_QUICK}\ncp /var/cache/imgbuild/supply/{given.sha256} /etc/imgbuild/given\n"
    supply = Supply(open_store(cache), [given])
    first = build_rootfs(tiny(script), cache, steps, supply=supply)
    listing = subprocess.run(["tar", "-tf", first.tar], capture_output=True, text=True, check=True).stdout
    assert "./etc/imgbuild/was-here\n" in listing
    assert "./etc/imgbuild/given\n" in listing
    assert "/usr/local/bin/dib-run-parts" not in listing
    assert {"bash", "systemd"} <= {p.name for p in first.packages}
    assert "install packages" in steps.lines
    assert "pack it" in steps.lines
    (log,) = (cache / "logs").iterdir()
    assert "/dev/loop" not in log.read_text()

    again = Recorder()
    assert build_rootfs(tiny(script), cache, again, supply=supply) == first
    assert not any(line.startswith(">") for line in again.lines)
    assert not (cache / "build").exists()


@pytest.mark.slow
def test_what_one_machine_has_built_another_takes_from_the_registry(
    tiny: Callable[[str], RootfsPlan], tmp_path: Path
) -> None:
    with docker_registry(tmp_path / "registry") as port:
        shared = repository(f"oci+http://127.0.0.1:{port}/farm")
        made = []
        for name in ("one", "two"):
            cache = tmp_path / name
            steps = Recorder()
            supply = Supply(Store(cache / "store", shared=shared))
            made.append((build_rootfs(tiny(_QUICK), cache, steps, supply=supply), steps.lines))
    (first, one), (second, two) = made
    assert any("with diskimage-builder" in line for line in one)
    assert not any("with diskimage-builder" in line for line in two)
    assert sha256_of(first.tar) == sha256_of(second.tar)
    assert first.packages == second.packages


def test_a_changed_cache_entry_is_built_again_and_fresh_takes_nothing(
    tiny: Callable[[str], RootfsPlan], tmp_path: Path
) -> None:
    """root's password taken out of the tar: the size is the same."""
    cache = tmp_path / "cache"
    first = build_rootfs(tiny(_QUICK), cache, Recorder())
    with first.tar.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        at = content.find(b"root:x:0:0:")
        content[at : at + 11] = b"root::0:00:"
    steps = Recorder()
    again = build_rootfs(tiny(_QUICK), cache, steps)
    assert sum("the root file system in the cache is not used" in line for line in steps.lines) == 1
    text = subprocess.run(["tar", "-xOf", again.tar, "./etc/passwd"], capture_output=True, text=True, check=True).stdout
    assert text.startswith("root:x:0:0:")

    (cache / "dib/apt/debian").mkdir(parents=True, exist_ok=True)
    (cache / "dib/apt/debian/a.deb").write_text("a package that some build kept")
    before = again.tar.stat().st_ino
    steps = Recorder()
    build_rootfs(tiny(_QUICK), cache, steps, fresh=True)
    assert again.tar.stat().st_ino != before
    assert not (cache / "dib/apt/debian/a.deb").exists()
    assert not any("cache" in line for line in steps.lines)


def test_a_failing_script_is_named_with_its_last_words(tiny: Callable[[str], RootfsPlan], tmp_path: Path) -> None:
    script = "#!/bin/bash\nset -euo pipefail\necho 'E: Unable to locate package no-such-thing' >&2\nexit 100\n"
    with pytest.raises(HostError) as caught:
        build_rootfs(tiny(script), tmp_path / "cache", Recorder())
    assert "Unable to locate package no-such-thing" in str(caught.value)
    assert "install packages" in str(caught.value)
    log = Path(caught.value.hint.rsplit(": ", 1)[-1])
    assert "no-such-thing" in log.read_text()
    assert not (tmp_path / "cache" / "build").exists()


def test_a_dead_mirror_is_named(tiny: Callable[[str], RootfsPlan], tmp_path: Path) -> None:
    script = (
        "#!/bin/bash\nset -euo pipefail\n"
        "echo 'E: Failed to fetch http://mirror.invalid/x  Could not resolve mirror.invalid' >&2\nexit 100\n"
    )
    with pytest.raises(HostError, match=r"the mirror http://mirror\.invalid/debian could not be reached"):
        build_rootfs(tiny(script), tmp_path / "cache", Recorder())


@pytest.mark.parametrize("how", ["kill", "kill-both", "interrupt"])
def test_an_ended_build_leaves_nothing(how: str, tiny: Callable[[str], RootfsPlan], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    plan = tiny(_QUICK)
    slow = "#!/bin/bash\nexec -a packages-are-installed sleep 600\n"
    with _running(plan, cache, slow, tmp_path) as process:
        # The moment with the most to lose: everything is mounted.
        _until(
            lambda: any("packages-are-installed" in words for words in _processes(cache)) or process.poll() is not None
        )
        assert process.poll() is None, process.communicate()[0]
        supervisors = _supervisors(cache)
        assert len(supervisors) == 1
        if how == "interrupt":
            process.send_signal(signal.SIGINT)
        else:
            if how == "kill-both":
                os.kill(supervisors[0], signal.SIGKILL)
            process.kill()
        out = process.communicate(timeout=HUNG)[0]
    if how == "interrupt":
        assert "INTERRUPTED" in out
    _until(lambda: not _processes(cache), 10)
    assert str(cache) not in Path("/proc/self/mounts").read_text()
    if how != "kill-both":
        # With its supervisor killed too, nobody is left to remove the files: the next run does.
        assert not (cache / "build").exists()
    assert not list((cache / "rootfs").glob("*.tar"))

    steps = Recorder()
    build_rootfs(plan, cache, steps)
    assert ("removed what a killed build had left" in steps.lines) == (how == "kill-both")


def test_a_second_build_waits(tiny: Callable[[str], RootfsPlan], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    plan = tiny(_QUICK)
    with _running(plan, cache, _QUICK, tmp_path) as process:
        _until(lambda: _supervisors(cache))
        steps = Recorder()
        made = build_rootfs(plan, cache, steps)
        assert any(line.startswith("waiting for another imgbuild") for line in steps.lines)
        # It takes what the other one made, and builds nothing itself.
        assert not any(line.startswith(">") for line in steps.lines)
        assert f"BUILT {made.key}" in process.communicate(timeout=HUNG)[0]


def test_the_key_names_what_goes_in(tiny: Callable[[str], RootfsPlan], rootfs: Rootfs) -> None:
    one, two = tiny(_QUICK), tiny(_QUICK + "# changed\n")
    assert one.key != two.key
    before = one.key
    hook = one.elements_dir / "imgbuild-install" / "install.d" / "50-imgbuild-install"
    hook.write_text(hook.read_text() + "true\n")
    assert one.key != before
