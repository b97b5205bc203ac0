"""Real dnf with repositories on the loopback interface: a dead address is named, and the next one taken."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.el.modules import HIDDEN, MODULAR, SEEN, write_modular
from tests.support.install.room import Room, tree
from tests.support.mirror import Mirror

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
    notices = [line for line in done.stdout.splitlines() if "skipping an address" in line]
    assert len(notices) == 2  # the kernels' repository too, which is switched off otherwise
    assert any("127.0.0.1:1/nowhere/repodata/repomd.xml" in line for line in notices)
    assert any("404" in line and "/empty/repodata/repomd.xml" in line for line in notices)
    assert "Metadata cache created." in done.stdout


def test_when_all_are_dead_each_is_named(el8: Room, mirror: Mirror) -> None:
    lay(el8, [DEAD, f"{mirror.url}/empty/"], [f"{mirror.url}/"])
    done = refresh(el8)
    assert done.returncode == 75
    assert f"imgbuild: tried {DEAD}\nimgbuild: tried {mirror.url}/empty/\n" in done.stderr
    assert "no package list" in done.stderr
    assert "elrepo-kernel" in done.stdout


@pytest.mark.parametrize("with_modules", [False, True])
def test_a_mirror_of_appstream_without_its_modules(
    room: Room, mirror: Mirror, tmp_path: Path, with_modules: bool
) -> None:
    """What `reposync` without --download-metadata leaves; container-selinux is such a package."""
    if shutil.which("dnf") is None:
        pytest.skip("there is no dnf here")
    write_modular(mirror.folder, tmp_path, None, described=with_modules)
    lay(room, [f"{mirror.url}/"], [f"{mirror.url}/"])
    repository = f"[imgbuild-appstream]\nname=AppStream\nbaseurl={mirror.url}/\ngpgcheck=0\nenabled=1\n"
    room.write("/etc/yum.repos.d/imgbuild.repo", repository)
    script = f". /usr/libexec/imgbuild/lib/install.sh; set -euo pipefail; pm_install {MODULAR}"
    own = "--setopt=install_weak_deps=0 --installroot=/tmp/root --releasever=8"
    room.write("/usr/local/sbin/dnf", f'#!/bin/sh\nexec /usr/bin/dnf {own} "$@"\n', 0o755)
    done = room.run("env", "-u", "IMGBUILD_IN_IMAGE", "bash", "-c", script, IMGBUILD_RETRIES="1")
    told = "mirror AppStream with reposync --download-metadata" in done.stderr
    assert (done.returncode == 0, told) == (with_modules, not with_modules), done.stdout + done.stderr
    if with_modules:
        assert f"{MODULAR}-{SEEN}-1.noarch" in done.stdout and HIDDEN not in done.stdout
