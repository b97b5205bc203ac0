"""Real dnf with repositories on the loopback interface: a dead address is named, and the next one taken."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.install.conftest import Mirror
from tests.install.room import Room, tree

DEAD = "http://127.0.0.1:1/nowhere/"
SCRIPT = ". /usr/libexec/imgbuild/lib/install.sh; set -euo pipefail; pm_refresh"


@pytest.fixture
def el8(room: Room, mirror: Mirror) -> Room:
    """The host's own dnf, told to take CentOS 8's repositories from the loopback interface."""
    if shutil.which("dnf") is None:
        pytest.skip("there is no dnf here")
    subprocess.run(["createrepo_c", "--quiet", mirror.folder], check=True)
    return room


def lay(room: Room, kernels: list[str], kubernetes: list[str]) -> None:
    lists = [f"repositories.elrepo={json.dumps(kernels)}", f"repositories.kubernetes={json.dumps(kubernetes)}"]
    room.lay(tree("centos8-efi", sets=tuple(lists)))
    repos = room.read("/etc/yum.repos.d/imgbuild.repo")
    # CentOS's own are of no interest here: only these two stay.
    kept = [part for part in repos.split("\n\n") if not part.startswith("[imgbuild-")]
    room.write("/etc/yum.repos.d/imgbuild.repo", "\n\n".join(kept))


def refresh(room: Room) -> subprocess.CompletedProcess[str]:
    return room.run("env", "-u", "IMGBUILD_IN_IMAGE", "bash", "-c", SCRIPT, IMGBUILD_RETRIES="1")


def test_dnf_says_which_address_it_passes_over(el8: Room, mirror: Mirror) -> None:
    lay(el8, [DEAD, f"{mirror.url}/"], [f"{mirror.url}/empty/", f"{mirror.url}/"])
    done = refresh(el8)
    assert done.returncode == 0, done.stdout + done.stderr
    notices = [line for line in done.stdout.splitlines() if "passed over" in line]
    assert len(notices) == 2  # the kernels' repository too, which is switched off otherwise
    assert any("127.0.0.1:1/nowhere/repodata/repomd.xml" in line for line in notices)
    assert any("404" in line and "/empty/repodata/repomd.xml" in line for line in notices)
    assert "Metadata cache created." in done.stdout


def test_when_all_are_dead_each_is_named(el8: Room, mirror: Mirror) -> None:
    lay(el8, [DEAD, f"{mirror.url}/empty/"], [f"{mirror.url}/"])
    done = refresh(el8)
    assert done.returncode == 1
    assert f"imgbuild: tried {DEAD}\nimgbuild: tried {mirror.url}/empty/\n" in done.stderr
    assert "no package list" in done.stderr
    assert "elrepo-kernel" in done.stdout
