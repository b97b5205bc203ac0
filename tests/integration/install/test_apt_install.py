"""How packages are installed with real apt: what it cannot resolve is final, a download is tried again."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.integration.install.test_apt_mirrors import SUITES, debian, urls
from tests.integration.install.test_list import LIB
from tests.support.install.archive import suite
from tests.support.install.keys import signer
from tests.support.install.room import Room
from tests.support.mirror import Mirror


@pytest.fixture
def deb(room: Room, mirror: Mirror) -> Path:
    """The package "asked" of a mirror whose lists the room has read."""
    key = signer("mine")
    for name in SUITES:
        suite(mirror.folder / "debian", name, key)
    script = mirror.folder / "debian/build/broken-1.0/DEBIAN/postinst"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\nexit 3\n")
    script.chmod(0o755)
    suite(
        mirror.folder / "debian", "bookworm", key, *((name, "1.0") for name in ("asked", "broken", "kernel", "runtime"))
    )
    suite(mirror.folder / "k8s", "/", key)
    lists = [urls("distribution", f"{mirror.url}/debian"), urls("kubernetes", f"{mirror.url}/k8s/")]
    debian(room, mirror, key.option("distribution"), key.option("kubernetes"), *lists)
    assert room.step("10-repositories").returncode == 0
    return mirror.folder / "debian/pool/asked_1.0_all.deb"


def test_a_package_that_is_nowhere_is_final(room: Room, mirror: Mirror, deb: Path) -> None:
    done = room.run("bash", "-c", f"{LIB} pm_install asked nowhere")
    assert done.returncode == 1
    assert "imgbuild: error: apt cannot install: asked nowhere (see its own errors above)" in done.stderr
    assert "Unable to locate package nowhere" in done.stderr
    assert f"/debian/pool/{deb.name}" not in mirror.asked


def test_a_download_that_fails_is_tried_again_later(room: Room, deb: Path) -> None:
    deb.rename(deb.with_suffix(".gone"))
    done = room.run("bash", "-c", f"{LIB} RETRY_SECONDS=0; pm_install asked")
    assert done.returncode == 75, "setup tries again"
    assert "imgbuild: notice: the download of packages failed 3 times" in done.stderr
    assert "imgbuild: error: packages could not be downloaded: asked" in done.stderr


def test_a_mirror_that_comes_back_is_enough(room: Room, mirror: Mirror, deb: Path) -> None:
    gone = deb.rename(deb.with_suffix(".gone"))

    def come_back() -> None:
        while mirror.asked.count(f"/debian/pool/{deb.name}") < 2:
            time.sleep(0.05)
        gone.rename(deb)

    threading.Thread(target=come_back, daemon=True).start()
    done = room.run("bash", "-c", f"{LIB} RETRIES=30 RETRY_SECONDS=1; pm_install asked; pm_version asked")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n1.0\n")
    assert "the download of packages failed (attempt 1 of 30)" in done.stderr


def test_a_package_whose_script_fails_is_an_error(room: Room, deb: Path) -> None:
    done = room.run("bash", "-c", f"{LIB} pm_install broken")
    assert done.returncode not in (0, 75)
    assert "post-installation script subprocess returned error exit status 3" in done.stdout + done.stderr


def _kept(room: Room) -> set[str]:
    """Those of the packages that apt has kept."""
    names = {line.partition("_")[0] for line in room.run("ls", "/var/cache/apt/archives").stdout.split()}
    return names & {"asked", "kernel", "runtime"}


_MOUNTED = "mount --bind /var/cache/apt/archives /var/cache/apt/archives; "  # as an image build does, with the host's
_TOGETHER = "KERNEL_PACKAGES=(kernel) KERNEL_VERSION='' KERNEL_RELEASE='' CONTAINERD_PACKAGES=({}); pm_together asked"


def test_an_image_gets_kernel_and_runtime_in_the_run_of_the_packages(room: Room, deb: Path) -> None:
    done = room.run("bash", "-c", f"{_MOUNTED} {LIB} {_TOGETHER.format('runtime')}")
    assert done.returncode == 0, done.stderr
    assert room.run("dpkg-query", "--show", "asked", "kernel", "runtime").returncode == 0
    last = room.read("/var/log/apt/history.log").rpartition("Commandline:")[2]
    assert all(f"{name}:amd64 (1.0)" in last for name in ("asked", "kernel", "runtime"))
    assert _kept(room) == {"asked", "kernel", "runtime"}, "the next build takes them"


def test_what_cannot_be_in_one_run_is_left_to_its_own_step(room: Room, deb: Path) -> None:
    done = room.run("bash", "-c", f"{LIB} {_TOGETHER.format('nowhere')}")
    assert done.returncode == 0, done.stderr
    assert "imgbuild: notice: not in one run: kernel=1.0 nowhere" in done.stderr
    assert room.run("dpkg-query", "--show", "asked").returncode == 0
    assert room.run("dpkg-query", "--show", "kernel").returncode == 1
    assert not _kept(room), "its own folder is emptied"


def test_a_node_gets_its_packages_alone(room: Room, deb: Path) -> None:
    done = room.run("env", "IMGBUILD_IN_IMAGE=0", "bash", "-c", f"{LIB} {_TOGETHER.format('runtime')}")
    assert done.returncode == 0, done.stderr
    assert room.run("dpkg-query", "--show", "runtime").returncode == 1
    assert not _kept(room)


_STATES = {
    # What dpkg had not written into its list yet.
    "in the middle of its list": (
        "install -D /dev/null /var/lib/dpkg/updates/0001",
        "dpkg was interrupted",
    ),
    # The package that it depends on was not unpacked yet.
    "between two packages": (
        r"printf 'Package: half\nStatus: install ok unpacked\nArchitecture: all\nVersion: 1.0\nDepends: asked\n"
        r"Maintainer: nobody\nDescription: a test\n\n' >> /var/lib/dpkg/status",
        "--fix-broken",
    ),
}


@pytest.mark.parametrize("state", _STATES)
def test_after_a_power_cut_dpkg_is_set_right_first(room: Room, deb: Path, state: str) -> None:
    cut, error = _STATES[state]
    assert room.run("bash", "-c", cut).returncode == 0
    refused = room.run("bash", "-c", f"{LIB} apt_get install kernel")
    assert refused.returncode and error in refused.stdout + refused.stderr
    done = room.step("10-repositories", image=False)
    assert done.returncode == 0, done.stdout + done.stderr
    done = room.run("bash", "-c", f"{LIB} pm_install asked kernel; pm_verify asked kernel", image=False)
    assert done.returncode == 0, done.stderr
