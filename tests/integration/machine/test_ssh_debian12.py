"""`imgbuild boot --ssh` with a real image: the printed command logs in, and Ctrl-C ends the guest."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.deadline import HUNG

pytestmark = [pytest.mark.boot, pytest.mark.image, pytest.mark.slow]


def test_a_seed_without_logins_gets_one_for_this_boot(debian12_image: Callable[[str], Path], tmp_path: Path) -> None:
    """The image is the shared one; the seed is rendered without users."""
    folder = tmp_path / "debian12-efi"
    imgbuild = str(Path(sys.executable).with_name("imgbuild"))
    argv = [imgbuild, "--profile", "debian12-efi", "--no-image", "--output", str(tmp_path)]
    subprocess.run(argv, check=True, capture_output=True, timeout=HUNG)
    shutil.copytree(debian12_image("efi") / "image", folder / "image")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["groups"]["image"] = json.loads((debian12_image("efi") / "manifest.json").read_text())["groups"]["image"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    before = (folder / "nodes/node1/user-data").read_bytes()
    command = [imgbuild, "boot", str(folder), "--mixed", "--ssh", "--seconds", "1200", "--stay", "600"]
    with subprocess.Popen([*command, "--format", "json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        events = []
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "ssh":
                login = shlex.split(events[-1]["command"])
                done = subprocess.run(
                    [*login, "sudo", "-n", "hostname"], capture_output=True, text=True, timeout=300, check=False
                )
                process.send_signal(signal.SIGINT)
        code = process.wait(timeout=300)
    assert (done.returncode, done.stdout.strip()) == (0, "node1"), done.stderr
    assert code == 0, events[-3:]
    assert "imgbuild@127.0.0.1" in login
    assert not Path(login[login.index("-i") + 1]).exists()
    assert (folder / "nodes/node1/user-data").read_bytes() == before
