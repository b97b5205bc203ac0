"""What was installed is started once: a program of a newer glibc passes every checksum, and must not get further."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable

import pytest

from tests.support.install.programs import NEEDS, of_a_newer_glibc
from tests.support.install.room import EL_TOOLS, Room, resolved, tree
from tests.support.mirror import Mirror

HAVE = os.confstr("CS_GNU_LIBC_VERSION").removeprefix("glibc ")  # type: ignore[union-attr]
LIB = ". /usr/libexec/imgbuild/lib/install.sh; . /usr/libexec/imgbuild/lib/programs.sh;"
NAMES = ("kubelet", "kubeadm", "kubectl", "crictl")


def says(version: str, *words: str) -> bytes:
    """A program that has a version and takes these words only."""
    return f'#!/bin/sh\n[ "$*" = "{" ".join(words)}" ] || exit 2\necho v{version}\n'.encode()


def real(version: str) -> dict[str, bytes]:
    """The four programs, strict about how they are asked."""
    return {
        "kubelet": says(version, "--version"), "kubeadm": says(version, "version", "-o", "short"),
        "kubectl": says(version, "version", "--client"), "crictl": says("1.35.0", "--version"),
    }  # fmt: skip


def binaries(room: Room, mirror: Mirror, programs: dict[str, bytes]) -> None:
    rows = []
    for name, content in programs.items():
        (mirror.folder / name).write_bytes(content)
        rows.append(f"{name}: {{urls: ['{mirror.url}/{name}'], sha256: {hashlib.sha256(content).hexdigest()}}}")
    sets = ("kubernetes.source=binaries", f"kubernetes.binaries={{{', '.join(rows)}}}")
    room.lay(tree("debian12-efi", sets=sets))


def packages(room: Room, profile: str, programs: dict[str, bytes]) -> None:
    """As the packages have left them, with package managers that are stand-ins."""
    room.lay(tree(profile))
    version = resolved(profile).profile.kubernetes.version
    offers = "".join(f"{name} {version}-150500.1.1\n" for name in (*NAMES[:3], "cri-tools"))
    if profile.startswith("debian"):
        for name in ("apt-get", "apt-mark", "dpkg-query"):
            room.write(f"/usr/local/sbin/{name}", APT.replace("VERSION", version), 0o755)
    else:
        room.stand_in(*EL_TOOLS)
    room.world(offers=offers, installed="", faults="", own="".join(f"{name}\n" for name in programs))
    for name, content in programs.items():
        place = room.upper / "usr/bin" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755)


# dpkg-query shows each package that is asked for as installed; apt installs nothing.
APT = """#!/bin/sh
case $0 in *dpkg-query) echo "ii VERSION-1.1" ;; esac
"""


Way = Callable[[Room, Mirror, dict[str, bytes]], None]
WAYS: dict[str, Way] = {
    "binaries": binaries,
    "apt": lambda room, mirror, programs: packages(room, "debian12-efi", programs),
    "yum": lambda room, mirror, programs: packages(room, "centos7-efi", programs),
    "dnf": lambda room, mirror, programs: packages(room, "centos8-efi", programs),
}


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return of_a_newer_glibc(tmp_path_factory.mktemp("linked"))


@pytest.mark.parametrize("way", WAYS)
def test_programs_that_start_and_are_what_was_asked_for(way: str, room: Room, mirror: Mirror) -> None:
    WAYS[way](room, mirror, real("1.35.8"))
    done = room.step("50-kubernetes")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = "/usr/local/bin" if way == "binaries" else "/usr/bin"
    for name in NAMES[:3]:
        assert f"{folder}/{name} starts and has version 1.35.8" in done.stdout


@pytest.mark.parametrize("name", NAMES[:3])
@pytest.mark.parametrize("way", WAYS)
def test_a_program_of_a_newer_glibc(way: str, name: str, room: Room, mirror: Mirror, newer: bytes) -> None:
    WAYS[way](room, mirror, {**real("1.35.8"), name: newer})
    done = room.step("50-kubernetes")
    assert done.returncode == 1, done.stdout
    wanted = rf"imgbuild: error: /usr/(local/)?bin/{name} 1\.35\.8 needs glibc {NEEDS}, and this system has {HAVE}: "
    assert re.search(wanted, done.stderr), done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_program_of_another_version(way: str, room: Room, mirror: Mirror) -> None:
    WAYS[way](room, mirror, {**real("1.35.8"), "kubectl": says("1.35.7", "version", "--client")})
    done = room.step("50-kubernetes")
    assert done.returncode == 1
    assert "bin/kubectl has version 1.35.7, not 1.35.8" in done.stderr


CASES = {
    "another loader": ("#!/lib/ld-of-another-libc.so\n", "exists but cannot start"),
    "another machine": ("\x7fELF\x02\x01\x01", "exists but cannot start"),
    "it fails": ("#!/bin/sh\necho no such disk >&2\nexit 3\n", "does not run here (exit status 3): no such disk"),
    "no version": ("#!/bin/sh\necho hello\n", "prints no version"),
}


@pytest.mark.parametrize("case", CASES)
def test_other_programs_that_are_no_use(case: str, room: Room) -> None:
    content, wanted = CASES[case]
    room.lay(tree("debian12-efi"))
    room.write("/opt/program", content, 0o755)
    done = room.run("bash", "-c", f"set -euo pipefail; {LIB} starts 1.2.3 /opt/program --version")
    assert done.returncode == 1
    assert wanted in done.stderr


def test_what_is_not_there(room: Room) -> None:
    room.lay(tree("debian12-efi"))
    done = room.run("bash", "-c", f"set -euo pipefail; {LIB} starts '' /opt/program --version")
    assert done.returncode == 1
    assert "/opt/program is missing" in done.stderr


def test_containerd_of_a_newer_glibc(room: Room, newer: bytes) -> None:
    """The same kind, from the distribution; tests/integration/install/test_archive.py has that of nerdctl-full."""
    (room.upper / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    for name in ("containerd", "runc"):
        (room.upper / "usr/local/bin" / name).write_bytes(newer)
        (room.upper / "usr/local/bin" / name).chmod(0o755)
    room.lay(tree("debian12-efi", "distro-containerd"))
    room.write("/usr/local/sbin/apt-get", APT, 0o755)
    room.write("/usr/local/sbin/dpkg-query", APT.replace("VERSION", "1.6.20"), 0o755)
    done = room.step("40-containerd")
    assert done.returncode == 1
    assert f"containerd needs glibc {NEEDS}, and this system has {HAVE}" in done.stderr
