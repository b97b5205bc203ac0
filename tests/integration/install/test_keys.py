"""The keys of repositories on the node: the profile's own, the shipped ones, and what lib/keys.sh makes of them."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from imgbuild.config.openpgp import dearmour, key_facts
from imgbuild.render.nodefile import NodeTree
from tests.support.install.keys import Signer, signer
from tests.support.install.room import Room, tree


@pytest.fixture(scope="module")
def mine() -> Signer:
    """A key of the user's own."""
    return signer("mine")


def gpgkeys(files: NodeTree) -> dict[str, list[str]]:
    """The gpgkey lines of the repository file, by section."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(files.by_path()["/etc/yum.repos.d/imgbuild.repo"].content.decode())
    return {name: parser[name]["gpgkey"].split() for name in parser.sections()}


@pytest.mark.parametrize("mode", ["baked", "stock"])
@pytest.mark.parametrize("profile", ["centos7-efi", "centos8-efi"])
def test_an_own_key_lies_there_and_is_named(mine: Signer, profile: str, mode: str) -> None:
    sets = [mine.option(kind) for kind in ("distribution", "elrepo", "epel", "kubernetes")]
    files = tree(profile, sets=(*sets, "repositories.epel_enabled=true"), mode=mode)
    found = gpgkeys(files)
    assert {"epel", "elrepo-kernel", "kubernetes"} < set(found)
    for section, urls in found.items():
        kind = {"elrepo-kernel": "elrepo"}.get(section, "distribution" if "imgbuild" in section else section)
        path = f"/etc/pki/rpm-gpg/RPM-GPG-KEY-imgbuild-{kind}-1"
        assert urls == [f"file://{path}"]
        assert key_facts(dearmour(files.by_path()[path].content.decode())).fingerprint == mine.fingerprint
        assert files.by_path()[path].mode == 0o644
    assert mine.fingerprint in files.by_path()["/etc/imgbuild/install.conf"].content.decode()


def test_an_own_key_takes_the_place_of_one_repository_s_only(mine: Signer) -> None:
    found = gpgkeys(tree("centos8-efi", sets=(mine.option("elrepo"),)))
    assert found["elrepo-kernel"] == ["file:///etc/pki/rpm-gpg/RPM-GPG-KEY-imgbuild-elrepo-1"]
    assert found["kubernetes"] == gpgkeys(tree("centos8-efi"))["kubernetes"]


def test_two_own_keys(mine: Signer, tmp_path: Path) -> None:
    other = signer("other")
    both = f"{mine.option('kubernetes')[:-1]}, {other.option('kubernetes').partition('=')[2][1:]}"
    names = [f"imgbuild-kubernetes-{number}" for number in (1, 2)]
    assert gpgkeys(tree("centos7-efi", sets=(both,)))["kubernetes"] == [
        f"file:///etc/pki/rpm-gpg/RPM-GPG-KEY-{name}" for name in names
    ]
    files = tree("debian12-efi", sets=(both,)).by_path()
    for name, key in zip(names, (mine, other), strict=True):
        text = files[f"/etc/apt/keyrings/{name}.asc"].content.decode()
        assert key_facts(dearmour(text)).fingerprint == key.fingerprint


def test_an_unused_repository_s_key_is_left_out(mine: Signer) -> None:
    paths = tree("centos7-efi", sets=(mine.option("epel"),)).by_path()
    assert not [path for path in paths if "epel" in path]


def test_a_debian_mirror_with_an_own_key(mine: Signer) -> None:
    sets = (mine.option("distribution"), "repositories.distribution=['https://mirror.example.com/debian']")
    files = tree("debian12-efi", sets=sets).by_path()
    step = files["/usr/libexec/imgbuild/install.d/10-repositories"].content.decode()
    assert 'own=("${DISTRIBUTION_KEYS[@]}")' in step
    assert "debian-archive-keyring" not in step
    conf = files["/etc/imgbuild/install.conf"].content.decode()
    assert re.search(rf"(?m)^DISTRIBUTION_KEYS=.*imgbuild-distribution-1\.asc\|{mine.fingerprint}\|", conf)


def test_gpg_looks_at_an_own_key(room: Room, mine: Signer) -> None:
    """lib/keys.sh with the real gpg: the file as it was laid is right, a changed one is not."""
    room.lay(tree("debian12-efi", sets=(mine.option("kubernetes"),)))
    lib = "/usr/libexec/imgbuild/lib"
    room.write("/t", f'. {lib}/install.sh\n. {lib}/keys.sh\nkey_ready "${{KUBERNETES_KEYS[@]}}"\n')
    done = room.run("bash", "-eu", "/t")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    room.write("/etc/apt/keyrings/imgbuild-kubernetes-1.asc", "another\n")
    done = room.run("bash", "-eu", "/t")
    assert done.returncode == 1
    assert f"is not the key with the fingerprint {mine.fingerprint}" in done.stderr
