"""The list of an image's packages: real apt and dpkg here; yum, dnf and rpm by stand-ins in test_el.py."""

from __future__ import annotations

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.rootfs.packages import Package, described, read_list
from tests.integration.install.test_apt_mirrors import SUITES, debian, urls
from tests.support.install.archive import suite
from tests.support.install.keys import signer
from tests.support.install.room import Room
from tests.support.mirror import Mirror
from tests.support.places import ROOT

LIB = ". /usr/libexec/imgbuild/lib/install.sh; set -euo pipefail; "
ELEMENT = "elements/imgbuild-install/finalise.d/97-imgbuild-packages"


def test_where_each_package_of_a_debian_comes_from(room: Room, mirror: Mirror) -> None:
    key = signer("mine")
    for name in SUITES:
        suite(mirror.folder / "debian", name, key)
    suite(mirror.folder / "debian", "bookworm", key, ("asked", "1:1.0-1", "brought"), ("brought", "2.0"))
    suite(mirror.folder / "k8s", "/", key, ("kubelet", "1.35.8-1.1"))
    lists = [urls("distribution", f"{mirror.url}/debian"), urls("kubernetes", f"{mirror.url}/k8s/")]
    keys = [key.option("distribution"), key.option("kubernetes")]
    debian(room, mirror, *keys, *lists, "packages.install=[asked]")
    assert room.step("10-repositories").returncode == 0

    # What /usr/libexec/imgbuild/install does before its steps.
    start = room.run("bash", "-c", f'{LIB} pm_installed | cut -f 1 | write "$CACHE/base-packages"')
    assert start.returncode == 0, start.stderr
    done = room.run("bash", "-c", f"{LIB} pm_install asked kubelet; pm_hold kubelet")
    assert done.returncode == 0, done.stdout + done.stderr
    done = room.step("80-list")
    assert done.returncode == 0, done.stdout + done.stderr

    listed = {p.name: p for p in read_list(room.read("/usr/share/imgbuild/packages.tsv"))}
    assert listed["asked"] == Package("asked", "1:1.0-1", "all", "bookworm/main", "profile")
    assert listed["brought"] == Package("brought", "2.0", "all", "bookworm/main", "dependency")
    assert listed["kubelet"] == Package("kubelet", "1.35.8-1.1", "all", f"{mirror.url}/k8s", "profile")
    rest = set(listed) - {"asked", "brought", "kubelet"}
    assert {listed[name].origin for name in rest} == {"base"}
    assert listed["dpkg"].repository == "unknown"  # this archive has no dpkg

    room.write("/t", (ROOT / ELEMENT).read_text())
    assert room.run("bash", "/t").returncode == 0
    assert room.run("dpkg", "--purge", "asked").returncode == 0
    done = room.run("bash", "/t")
    assert done.returncode == 1
    assert "packages changed after /usr/share/imgbuild/packages.tsv was written: asked\t1:1.0-1\tall" in done.stderr


def test_without_the_base_s_list_it_says_so(room: Room, mirror: Mirror) -> None:
    debian(room, mirror)
    done = room.step("80-list")
    assert done.returncode == 1
    assert "run install as a whole" in done.stderr


GOOD = "bash\t5.2-1\tamd64\tbookworm/main\tbase\nkubelet\t1.35.8-1.1\tamd64\tunknown\tprofile\n"


def test_the_licence_is_that_of_the_rpm() -> None:
    assert read_list("bash\t5.0-1.el8\tx86_64\tbaseos\tbase\tGPLv3+ and LGPLv2+\n")[0].license == "GPLv3+ and LGPLv2+"


def test_the_list_as_it_is_read() -> None:
    assert read_list(GOOD)[1] == Package("kubelet", "1.35.8-1.1", "amd64", "unknown", "profile")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("bash\t5.2-1\tamd64\n", "line 1"),
        (f"{GOOD}\n", "line 3"),
        (GOOD.replace("unknown", ""), "line 2"),
        (GOOD.replace("profile", "friend"), "line 2"),
        (GOOD.replace("unknown", " x"), "line 2"),
        (GOOD.replace("base", "base\tGPL\tmore"), "line 1"),
        (GOOD + GOOD, "duplicate package"),
    ],
)
def test_a_list_that_is_not_the_install_script_s(text: str, why: str) -> None:
    with pytest.raises(HostError, match=why):
        read_list(text)


def test_the_manifest_s_form() -> None:
    two = GOOD + "kernel\t1-1\tx86_64\tos\tbase\nkernel\t2-1\tx86_64\tos\tprofile\n"
    assert described(read_list(two)) == {
        "bash": {"version": "5.2-1", "repository": "bookworm/main", "origin": "base"},
        "kernel-1-1.x86_64": {"version": "1-1", "repository": "os", "origin": "base"},
        "kernel-2-1.x86_64": {"version": "2-1", "repository": "os", "origin": "profile"},
        "kubelet": {"version": "1.35.8-1.1", "repository": "unknown", "origin": "profile"},
    }
