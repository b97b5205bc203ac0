"""The packages of a lock, chosen by real apt from signed archives on the loopback interface; nothing is installed."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest

from imgbuild.config.data import data_dir
from imgbuild.facts.packages import requested
from imgbuild.image.closure.chroot import CACHE, Found
from imgbuild.image.closure.debian import read_solved
from imgbuild.render.install import solve_tree
from tests.support.install.archive import suite
from tests.support.install.keys import Signer, signer
from tests.support.install.room import Room, resolved
from tests.support.mirror import Mirror

BPO = "6.12.9-1~bpo12+1"
CNI = ("kubernetes-cni", "1.7.1-1.1")


def archive(mirror: Mirror, key: Signer, names: list[str]) -> None:
    """Everything that the profile asks for, each as a package without files, and what some of it needs."""
    place = mirror.folder / "debian"
    plain = [(name, "1.0") for name in names if name not in {"chrony", "linux-image-amd64"}]
    more = [("chrony", "4.3-2", "libchrony"), ("libchrony", "1.0"), ("spare", "1.0"), ("mawk", "1.0")]
    suite(place, "bookworm", key, *plain, *more, ("linux-image-amd64", "6.1.9-1", "linux-image-6.1-amd64"))
    suite(place, "bookworm-updates", key, ("spare", "2.0"))
    suite(place, "bookworm-security", key, ("libchrony", "1:1.0+deb12u1"))
    kernel = ("linux-image-amd64", BPO, f"linux-image-6.12-amd64 (= {BPO})")
    suite(place, "bookworm-backports", key, kernel, ("linux-image-6.12-amd64", BPO))
    tools = [(name, "1.35.8-1.1", *needs) for name, *needs in (("kubelet", CNI[0]), ("kubeadm",), ("kubectl",))]
    suite(mirror.folder / "k8s", "/", key, *tools, CNI, ("kubelet", "1.35.9-1.1"))


@pytest.fixture(scope="module")
def key() -> Signer:
    return signer("mine")


def solving(room: Room, mirror: Mirror, key: Signer, *more: str) -> list[str]:
    """Lay the scripts; what the profile asks for."""
    if "bookworm" not in Path("/etc/os-release").read_text():
        pytest.skip("the host is no Debian 12")
    sets = [f"repositories.{kind}={json.dumps([f'{mirror.url}/debian'])}" for kind in ("distribution", "security")]
    sets += [f"repositories.kubernetes={json.dumps([f'{mirror.url}/k8s/'])}"]
    sets += [key.option("distribution"), key.option("kubernetes"), *more]
    found = resolved("debian12-efi", sets=tuple(sets))
    room.lay(solve_tree(found))
    room.write("/etc/apt/sources.list", "")
    room.write("/etc/apt/sources.list.d/debian.sources", "")
    signed = f"deb [trusted=yes] {mirror.url}/debian"  # the host's apt knows no key of the tests
    room.write("/etc/apt/sources.list.d/debian.list", f"{signed} bookworm main\n{signed} bookworm-backports main\n")
    room.write(f"/{CACHE}/first-packages", "mawk\n")
    return [name.partition("=")[0].partition("/")[0] for name in requested(found) if not name.startswith("-")]


def read(room: Room) -> Found:
    return read_solved(room.upper / CACHE)


def test_apt_chooses_the_closure_and_installs_nothing(room: Room, mirror: Mirror, key: Signer) -> None:
    names = solving(room, mirror, key, "pxe.live=true")
    archive(mirror, key, [name for name in names if not name.startswith("kube")])
    done = room.run("/usr/libexec/imgbuild/solve")
    assert done.returncode == 0, done.stdout + done.stderr
    found = read(room)
    installed = {one.name: one for one, stays in found.packages if stays}
    removed = {one.name for one, stays in found.packages if not stays}
    live = set(resolved("debian12-efi").target.live.packages)
    assert removed == live, "a build needs them, and removes them again"
    assert set(installed) == {*names, "libchrony", "mawk", "linux-image-6.12-amd64", CNI[0]} - live
    assert installed["libchrony"].version == "1:1.0+deb12u1"
    assert installed["libchrony"].repository == "bookworm-security"
    assert (installed["linux-image-amd64"].version, installed["linux-image-amd64"].repository) == (
        BPO, "bookworm-backports",
    )  # fmt: skip
    assert installed["kubelet"].version == "1.35.8-1.1", "not the newest, which the repository has too"
    flat = installed["kubelet"].repository
    assert found.repositories[flat].suite is None
    assert found.repositories["bookworm-updates"].urls == [f"{mirror.url}/debian/"]
    for one in (*installed.values(), *(one for one, stays in found.packages if not stays)):
        (url,) = found.repositories[one.repository].urls
        place = mirror.folder / url.removeprefix(mirror.url).strip("/") / unquote(one.path)
        assert place.stat().st_size == one.size, one.line()
    assert not [path for path in mirror.asked if path.endswith(".deb")], "nothing is fetched for that"
    assert not (room.upper / "usr/bin/chronyd").exists() and not list(room.upper.glob("var/lib/dpkg/info/libchrony*"))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('packages.install=["nowhere"]', "Unable to locate package nowhere"),
        ("kernel.version='5.10.1'", "no mirror offers linux-image-amd64 5.10.1"),
    ],
)
def test_what_cannot_be_had_is_named(room: Room, mirror: Mirror, key: Signer, more: str, reason: str) -> None:
    names = solving(room, mirror, key, more)
    archive(mirror, key, [name for name in names if not name.startswith(("kube", "nowhere"))])
    done = room.run("/usr/libexec/imgbuild/solve")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert reason in said, said


def test_an_archive_signed_by_another_key_is_refused(room: Room, mirror: Mirror, key: Signer) -> None:
    names = solving(room, mirror, key)
    archive(mirror, signer("other"), [name for name in names if not name.startswith("kube")])
    done = room.run("/usr/libexec/imgbuild/solve")
    assert done.returncode != 0 and "debian is at none of its addresses" in done.stdout + done.stderr


def test_the_scripts_that_solve_are_on_no_node() -> None:
    assert (data_dir("node") / "usr/libexec/imgbuild/install.d/any/solve").is_file()
    from tests.support.install.room import tree

    for mode in ("baked", "stock"):
        files = {file.path: file.content for file in tree("debian12-efi", mode=mode).files}
        assert "/usr/libexec/imgbuild/solve" not in files
        assert b"pm_solved" not in b"".join(files.values())
