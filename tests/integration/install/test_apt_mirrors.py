"""Real apt against archives on the loopback interface: mirrors in order, keys of one's own, keys that expired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.install.archive import suite
from tests.support.install.keys import Signer, signer
from tests.support.install.room import Room, tree
from tests.support.mirror import Mirror

DEAD = "http://127.0.0.1:1/nowhere/"
SIGNED = ("kubeadm", "1.35.8-1.1")
SUITES = ("bookworm", "bookworm-updates", "bookworm-security")


@pytest.fixture(scope="module")
def keys() -> dict[str, Signer]:
    """Three key pairs; one of them made years ago for a year."""
    return {
        "mine": signer("mine"),
        "other": signer("other"),
        "old": signer("old", made="20200101T000000", expires="1y"),
    }


def archive(mirror: Mirror, key: Signer) -> str:
    """Debian and Kubernetes on one mirror."""
    for name in SUITES:
        suite(mirror.folder / "debian", name, key)
    suite(mirror.folder / "k8s", "/", key, SIGNED)
    return mirror.url


def urls(kind: str, *addresses: str) -> str:
    return f"repositories.{kind}={json.dumps(addresses)}"


def debian(room: Room, mirror: Mirror, *sets: str) -> None:
    """A Debian 12 that takes nothing from elsewhere."""
    own = (urls("security", f"{mirror.url}/debian"), "kernel.flavour=distribution")
    room.lay(tree("debian12-efi", mode="stock", sets=(*own, *sets)))
    if "bookworm" not in Path("/etc/os-release").read_text():
        pytest.skip("the host is no Debian 12")
    room.write("/etc/apt/sources.list", "")


def sources(room: Room, name: str) -> str:
    return room.read(f"/etc/apt/sources.list.d/imgbuild-{name}.list")


def test_the_next_mirror_is_taken_and_the_dead_one_is_named(
    room: Room, mirror: Mirror, keys: dict[str, Signer]
) -> None:
    url = archive(mirror, keys["mine"])
    own = [keys["mine"].option("distribution"), keys["mine"].option("kubernetes")]
    lists = [urls("distribution", DEAD, f"{url}/debian"), urls("kubernetes", f"{url}/empty/", DEAD, f"{url}/k8s/")]
    debian(room, mirror, *own, *lists)
    done = room.step("10-repositories", image=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for dead, name in ((DEAD, "debian"), (f"{url}/empty/", "kubernetes"), (DEAD, "kubernetes")):
        assert f"notice: {dead} does not serve {name}" in done.stderr
    assert f" {url}/debian bookworm main" in sources(room, "debian")
    assert f"signed-by=/etc/apt/keyrings/imgbuild-kubernetes-1.asc] {url}/k8s/ /" in sources(room, "kubernetes")
    assert "1.35.8-1.1" in room.run("apt-cache", "policy", "kubeadm").stdout


def test_when_all_are_dead_each_is_named(room: Room, mirror: Mirror, keys: dict[str, Signer]) -> None:
    url = archive(mirror, keys["mine"])
    own = [keys["mine"].option("distribution"), keys["mine"].option("kubernetes")]
    debian(room, mirror, *own, urls("distribution", f"{url}/debian"), urls("kubernetes", DEAD, f"{url}/empty/"))
    done = room.step("10-repositories", image=False)
    assert done.returncode == 75, done.stderr
    assert f"imgbuild: tried {DEAD}\nimgbuild: tried {url}/empty/\n" in done.stderr
    assert "kubernetes is at none of the addresses that answer" in done.stderr
    # Without one that may come back it stays so.
    debian(room, mirror, *own, urls("distribution", f"{url}/debian"), urls("kubernetes", f"{url}/empty/"))
    done = room.step("10-repositories", image=False)
    assert done.returncode == 1, done.stderr
    assert "kubernetes is at none of its addresses" in done.stderr


def test_either_of_two_keys_does(room: Room, mirror: Mirror, keys: dict[str, Signer]) -> None:
    url = archive(mirror, keys["mine"])
    both = json.dumps([keys["other"].public, keys["mine"].public])
    lists = [urls("distribution", f"{url}/debian"), urls("kubernetes", f"{url}/k8s/")]
    debian(room, mirror, keys["mine"].option("distribution"), f"repositories.keys.kubernetes={both}", *lists)
    done = room.step("10-repositories", image=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "imgbuild-kubernetes-1.asc,/etc/apt/keyrings/imgbuild-kubernetes-2.asc" in sources(room, "kubernetes")


def test_a_mirror_that_another_key_signed_is_not_taken(room: Room, mirror: Mirror, keys: dict[str, Signer]) -> None:
    url = archive(mirror, keys["mine"])
    lists = [urls("distribution", f"{url}/debian"), urls("kubernetes", f"{url}/k8s/")]
    debian(room, mirror, keys["mine"].option("distribution"), keys["other"].option("kubernetes"), *lists)
    done = room.step("10-repositories", image=False)
    assert done.returncode == 1
    assert f"{url}/k8s/ does not serve kubernetes" in done.stderr
    assert "NO_PUBKEY" in done.stdout + done.stderr


@pytest.mark.parametrize("served", ["extended", "expired", "another", "nothing"])
def test_an_expired_key(room: Room, mirror: Mirror, keys: dict[str, Signer], tmp_path: Path, served: str) -> None:
    """apt refuses it; the same key with a later date is taken, and no other."""
    old = signer("expires", made="20200101T000000", expires="1y")
    expired = old.public
    extended = old.extended("1y")
    offers = {"extended": extended, "expired": expired, "another": keys["other"].public + extended}
    for name in SUITES:
        suite(mirror.folder / "debian", name, keys["mine"])
    suite(mirror.folder / "k8s", "/", old, SIGNED)
    url = mirror.url
    if served in offers:
        (mirror.folder / "k8s" / "Release.key").write_text(offers[served])
    lists = [urls("distribution", f"{url}/debian"), urls("kubernetes", DEAD, f"{url}/k8s/")]
    own = f"repositories.keys.kubernetes={json.dumps([expired])}"
    debian(room, mirror, keys["mine"].option("distribution"), own, *lists)
    done = room.step("10-repositories", image=False)
    assert "imgbuild-kubernetes-1.asc expired on 2020-12-31" in done.stderr
    if served in ("extended", "another"):  # of a file with two keys only the right one is taken
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"the key is still {old.fingerprint}, and valid: {url}/k8s/Release.key" in done.stdout
        listed = room.run("gpg", "--show-keys", "--with-colons", "/etc/apt/keyrings/imgbuild-kubernetes-1.asc").stdout
        assert [row.split(":")[9] for row in listed.splitlines() if row.startswith("fpr")] == [old.fingerprint]
    else:
        assert done.returncode == 1
        assert f"{url}/k8s/Release.key has no valid key {old.fingerprint}" in done.stderr
        assert f"Download a newer copy with the fingerprint {old.fingerprint} and set it in the profile" in done.stderr


@pytest.mark.parametrize("newer", [36, 39])
def test_an_expired_key_of_a_minor_that_has_ended(
    room: Room, mirror: Mirror, keys: dict[str, Signer], newer: int
) -> None:
    """Its own repository keeps the old copy for good; that of a newer minor has the same key with a later date."""
    old = signer("expires", made="20200101T000000", expires="1y")
    expired, extended = old.public, old.extended("1y")
    for name in SUITES:
        suite(mirror.folder / "debian", name, keys["mine"])
    base = mirror.folder / "core:/stable:"
    suite(base / "v1.35/deb", "/", old, SIGNED)
    (base / "v1.35/deb/Release.key").write_text(expired)
    (base / f"v1.{newer}/deb").mkdir(parents=True)
    (base / f"v1.{newer}/deb/Release.key").write_text(extended)
    lists = [urls("distribution", f"{mirror.url}/debian")]
    lists += [urls("kubernetes", f"{DEAD}/core:/stable:/v1.35/deb/", f"{mirror.url}/core:/stable:/v1.35/deb/")]
    own = f"repositories.keys.kubernetes={json.dumps([expired])}"
    debian(room, mirror, keys["mine"].option("distribution"), own, *lists)
    done = room.step("10-repositories", image=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"/core:/stable:/v1.35/deb/Release.key has no valid key {old.fingerprint}" in done.stderr
    assert f"and valid: {mirror.url}/core:/stable:/v1.{newer}/deb/Release.key" in done.stdout
    tried = [line for line in done.stderr.splitlines() if "Release.key has no valid" in line and DEAD in line]
    assert len(tried) == 1, "an address that does not answer is waited for once"


@pytest.mark.parametrize("suites", ["bookworm bookworm-updates", "bookworm bookworm-updates bookworm-backports"])
def test_the_kernels_suite_has_the_keys_of_the_images_own_sources(
    room: Room, mirror: Mirror, keys: dict[str, Signer], suites: str
) -> None:
    """As in Tencent's cloud image: apt refuses all sources if one address has two values of Signed-By."""
    url = archive(mirror, keys["mine"])
    suite(mirror.folder / "debian", "bookworm", keys["mine"], ("linux-image-amd64", "6.1.9-1"))
    suite(mirror.folder / "debian", "bookworm-backports", keys["mine"], ("linux-image-amd64", "6.12.9-1"))
    own = (keys["mine"].option("kubernetes"), urls("kubernetes", f"{url}/k8s/"))
    room.lay(tree("debian12-efi", mode="stock", sets=own))
    if "bookworm" not in Path("/etc/os-release").read_text():
        pytest.skip("the host is no Debian 12")
    room.write("/etc/apt/sources.list", "")
    room.write("/usr/share/keyrings/cloud.asc", keys["mine"].public)
    stanza = "Types: deb\nURIs: {}\nSuites: {}\nComponents: main\nSigned-By: /usr/share/keyrings/{}\n"
    other = stanza.format(f"{url}/debian-security", "bookworm-security", "debian-archive-keyring.gpg")
    room.write("/etc/apt/sources.list.d/debian.sources", f"{other}Enabled: no\n")
    room.write("/etc/apt/sources.list.d/own.sources", stanza.format(f"{url}/debian", suites, "cloud.asc"))
    for _ in range(2):
        done = room.step("10-repositories", image=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "6.12.9-1" in room.run("apt-cache", "madison", "linux-image-amd64").stdout
    again = room.run("apt-get", "update")
    assert again.returncode == 0, again.stderr
    assert not [line for line in again.stderr.splitlines() if line.startswith("W:")]
