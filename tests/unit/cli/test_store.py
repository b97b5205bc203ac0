"""`imgbuild fetch` and `imgbuild cache`: what they fetch, list and remove, and that --offline means it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imgbuild.bundle.layout import Contents
from imgbuild.bundle.write import part_of, write_bundle
from imgbuild.cli.main import main
from imgbuild.cli.sizes import age_text, size_text
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.hold import in_use
from imgbuild.fetch.store import Store
from imgbuild.image.cache import store as keep
from tests.support.deadline import HUNG
from tests.support.events import of_kind, result_of
from tests.support.fetch_server import Server
from tests.support.fetching import contents, serve
from tests.support.image.recorder import Recorder
from tests.support.places import ROOT

FILES = contents(3, 5000)
SUMS = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
LEAN = ("-p", "debian12-efi", "-l", "distro-containerd", "-l", "container-host")


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "IMGBUILD_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "cache"))


def images(place: str) -> tuple[str, ...]:
    """The profile's archives are these files."""
    listed = ", ".join(
        f'{{name: {name}, urls: ["{place}/gone/{name}", "{place}/{name}"], sha256: "{SUMS[name]}"}}' for name in FILES
    )
    return (*LEAN, "--set", f"containerd.images=[{listed}]")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_what_a_profile_pins_is_fetched_once(tmp_path: Path) -> None:
    with Server(serve(FILES)) as server:
        words = ("fetch", *images(f"http://127.0.0.1:{server.port}"), "--store", str(tmp_path / "store"))
        first = run(*words)
        assert first.exit_code == 0, first.output
        assert len(server.requests) == 6
        again = run(*words, "--verify", "--format", "json")
        assert len(server.requests) == 6
    for name in FILES:
        assert f"fetched     4.9 KiB  {SUMS[name]}  the images {name}" in first.stdout
    assert [file["fetched"] for file in of_kind("file", again.stdout)] == [False] * 3
    assert result_of(again.stdout)["store"] == str(tmp_path / "store")


@pytest.mark.parametrize("mode", ["baked", "stock"])
@pytest.mark.parametrize("name", ["centos7-bios", "centos8-efi", "debian12-efi"])
def test_what_is_missing_is_listed_at_once(name: str, mode: str) -> None:
    done = run("fetch", "-p", name, "--mode", mode, "--offline")
    assert done.exit_code == 3
    assert ("GenericCloud" in done.stderr) == (name != "debian12-efi" and mode == "baked")
    assert "nerdctl-full 2.3.5 (sha256 b697295c" in done.stderr
    assert "https://get.helm.sh/" in done.stderr
    assert "imgbuild fetch" in done.stderr


def test_files_and_images_that_are_missing_are_listed_at_once() -> None:
    done = run("fetch", "-p", "debian12-efi", "--set", "images.preload=true", "--offline")
    assert done.exit_code == 3
    words = " ".join(done.stderr.split())
    for each in ("helm 4.3.0 (sha256", "the digest of these container images", "registry.k8s.io/kube-apiserver:"):
        assert each in words
    assert words.count("fix: run") == 2 and "imgbuild fetch" in words and "imgbuild lock" in words


def test_offline_opens_no_socket(tmp_path: Path) -> None:
    """Where everything is there, and where it is not."""
    trace = tmp_path / "trace"
    with Server(serve(FILES)) as server:
        place = f"http://127.0.0.1:{server.port}"
        assert run("fetch", *images(place)).exit_code == 0
    for words, code in (
        (("fetch", *images(place), "--verify"), 0),
        (("fetch", "-p", "centos7-efi"), 3),
        (("-p", "centos7-efi", "--set", "proxy.http=http://me:hunter2@10.0.0.1:3128", "-o", str(tmp_path / "out")), 3),
    ):
        argv = [str(Path(sys.executable).with_name("imgbuild")), *words, "--offline"]
        strace = ["strace", "-f", "-qq", "-e", "trace=socket,connect", "-o", str(trace)]
        done = subprocess.run([*strace, *argv], cwd=ROOT, capture_output=True, text=True, timeout=HUNG)
        assert done.returncode == code, done.stderr
        assert "AF_INET" not in trace.read_text()


def test_a_build_offline_lists_what_it_lacks_first(tmp_path: Path) -> None:
    done = run("-p", "centos8-efi", "--offline", "-o", str(tmp_path / "out"))
    assert done.exit_code == 3
    first = done.stderr.index("> Write ")
    for words in ("has no root file system of this profile", "GenericCloud", "nerdctl-full", "helm 4.3.0"):
        assert words in done.stderr[:first]
    assert (tmp_path / "out/centos8-efi/manifest.json").exists()
    assert run("-p", "centos8-efi", "--offline", "--fresh").exit_code == 2


@pytest.fixture
def filled(tmp_path: Path) -> Store:
    """A store with three files, used 40, 20 and 0 days ago, and a cache with a root file system, used 10 days ago."""
    with Server(serve(FILES)) as server:
        assert run("fetch", *images(f"http://127.0.0.1:{server.port}")).exit_code == 0
    store = Store(tmp_path / "cache/store")
    for name, days in (("file0", 40), ("file1", 20)):
        then = time.time() - days * 86_400
        for path in (store.path(SUMS[name]), store.folder / "verified" / SUMS[name]):
            os.utime(path, (then, then))
    rootfs = tmp_path / "cache/rootfs"
    rootfs.mkdir()
    (tmp_path / "made").write_bytes(b"x" * 3000)
    keep(tmp_path / "made", rootfs / "abc.tar", hashlib.sha256(b"x" * 3000).hexdigest(), {"name": "debian12"})
    os.utime(rootfs / "abc.json", (time.time() - 10 * 86_400,) * 2)
    return store


def names(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    return [entry["name"] for entry in of_kind("entry", done.stdout)]


def test_the_list_has_sizes_and_ages(filled: Store) -> None:
    done = run("cache", "list")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0].strip() for line in lines[:3]] == ["", "", ""]
    assert "4.9 KiB   40 days  file  the images file0" in lines[0]
    assert "2.9 KiB   10 days  root file system  debian12" in lines[2]
    assert lines[-1] == "17.6 KiB in all"


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (("--older-than", "30d"), ["the images file0"]),
        (("--older-than", "12h"), ["the images file0", "the images file1", "debian12"]),
        (("--max-size", "9K"), ["the images file0", "the images file1"]),
        (("--max-size", "1G"), []),
        (
            ("--older-than", "30d", "--max-size", "0"),
            ["the images file0", "the images file1", "debian12", "the images file2"],
        ),
    ],
)
def test_prune_takes_the_oldest(words: tuple[str, ...], gone: list[str], filled: Store) -> None:
    everything = names(run("cache", "list", "--format", "json"))
    assert names(run("cache", "prune", *words, "--dry-run", "--format", "json")) == gone
    assert names(run("cache", "list", "--format", "json")) == everything
    assert names(run("cache", "prune", *words, "--format", "json")) == gone
    assert names(run("cache", "list", "--format", "json")) == [name for name in everything if name not in gone]
    assert filled.path(SUMS["file2"]).exists() == ("the images file2" not in gone)


def test_prune_keeps_what_is_used(filled: Store, tmp_path: Path) -> None:
    """By a run, now, and by an image of the layout."""
    layout = {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{SUMS['file0']}"}]}
    (filled.folder / "index.json").write_text(json.dumps(layout))
    with in_use(filled.path(SUMS["file1"])), in_use(tmp_path / "cache/rootfs/abc.tar"):
        done = run("cache", "prune", "--max-size", "0")
    assert done.exit_code == 0, done.output
    assert "in use" in done.output
    left = {blob.sha256 for blob in filled.blobs()}
    assert left == {SUMS["file0"], SUMS["file1"]}
    assert (tmp_path / "cache/rootfs/abc.tar").exists()


def test_verify_finds_what_was_changed(filled: Store, tmp_path: Path) -> None:
    assert "everything matches" in run("cache", "verify").stdout
    filled.path(SUMS["file1"]).write_bytes(b"x")
    (tmp_path / "cache/rootfs/abc.tar").write_bytes(b"y" * 3000)
    done = run("cache", "verify")
    assert done.exit_code == 3
    assert done.stdout.count("DAMAGED") == 2
    assert not filled.path(SUMS["file1"]).exists()
    assert [path.name for path in filled.set_aside()] == [f"{SUMS['file1']}.1"]
    assert not (tmp_path / "cache/rootfs/abc.tar").exists()
    assert run("cache", "verify").exit_code == 0


def test_verify_is_no_use(filled: Store) -> None:
    """A nightly one must not keep everything permanently."""
    before = {blob.sha256: blob.used for blob in filled.blobs()}
    assert run("cache", "verify").exit_code == 0
    assert {blob.sha256: blob.used for blob in filled.blobs()} == before
    (filled.folder / "verified" / SUMS["file0"]).unlink()
    assert run("cache", "verify").exit_code == 0
    assert names(run("cache", "prune", "--older-than", "30d", "--format", "json")) == [SUMS["file0"][:12]]


def test_verify_vouches_for_what_it_has_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("cache", "verify", "--store", "gone")
    assert done.exit_code == 2 and "there is no store gone" in done.stderr
    about = Contents(
        format=1, imgbuild="1", profile="x", options=(), python="", images=(), charts={}, left_out=(), files=()
    )  # fmt: skip
    write_bundle(tmp_path / "x.bundle", about, [part_of("profile/node.yaml", "profile", b"extends: x")], None)
    assert run("cache", "verify", "--store", "x.bundle").exit_code == 0
    content = (tmp_path / "x.bundle").read_bytes()
    (tmp_path / "x.bundle").write_bytes(content.replace(b"extends: x", b"extends: y"))
    done = run("cache", "verify", "--store", "x.bundle")
    assert done.exit_code == 3 and "DAMAGED  x.bundle: profile/node.yaml: it has the sha256" in done.stdout
    done = run("cache", "verify", "--store", "oci://registry.example.com/x")
    assert done.exit_code == 0 and "oci://registry.example.com/x itself is not read" in done.stderr


def test_prune_keeps_what_a_running_run_has_asked_for(filled: Store) -> None:
    """Whether it has fetched it or found it there. What ended without saying so does not count."""
    other = Store(filled.folder)
    assert other.has(Artifact("x", SUMS["file1"], None, ()), Recorder())
    done = run("cache", "prune", "--max-size", "0")
    assert done.exit_code == 0, done.output
    assert {blob.sha256 for blob in filled.blobs()} == {SUMS["file1"]}
    assert "(kept: a run uses it)" in run("cache", "list").stdout
    (run_file,) = (filled.folder / "runs").iterdir()
    del other
    run_file.write_text("")  # one that was killed
    assert run("cache", "prune", "--max-size", "0").exit_code == 0
    assert filled.blobs() == []


@pytest.mark.parametrize(
    ("words", "where", "fix"),
    [
        (("list",), "imgbuild.fetch.store.Store.blobs", "run imgbuild as its owner"),
        (("verify",), "imgbuild.fetch.store.Store.blobs", "run imgbuild as its owner"),
        (("prune", "--max-size", "0"), "imgbuild.fetch.store.unlink_unused", "run it as the owner"),
        (("list",), "pathlib.Path.exists", "set IMGBUILD_CACHE to a folder that you own"),
        (("list",), "imgbuild.cli.cache.default_cache", "as a user who may do that"),  # any other place
    ],
)
def test_what_the_disk_refuses_has_its_fix(
    words: tuple[str, ...], where: str, fix: str, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/srv/store/x")

    monkeypatch.setattr(where, refuse)
    done = run("cache", *words)
    assert done.exit_code == 3 and "Permission denied" in done.stderr and fix in " ".join(done.stderr.split())


def test_a_store_beside_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by the environment, where there is no cache."""
    monkeypatch.setenv("IMGBUILD_STORE", str(tmp_path / "store"))
    with Server(serve(FILES)) as server:
        assert run("fetch", *images(f"http://127.0.0.1:{server.port}")).exit_code == 0
    assert not (tmp_path / "cache").exists()
    assert len(names(run("cache", "list", "--format", "json"))) == 3


def test_a_store_that_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("fetch", *LEAN, "--set", "containerd.source=nerdctl-full", "--store", str(tmp_path / "file/x"))
    assert done.exit_code == 3
    assert f"the store {tmp_path}/file/x cannot be written: Not a directory" in done.stderr


@pytest.mark.parametrize(
    ("place", "fix"),
    [
        ("docker://host/farm", "is oci://host/farm, or oci+http://host/farm for"),
        ("http://host:5000/farm", "is oci://host:5000/farm, or oci+http://host:5000/farm for"),
        ("OCI://host/farm", "is oci://host/farm, or"),
        ("file:///srv/store", "write the path alone: /srv/store"),
        ("typo.bundle", "correct its path"),
    ],
)
@pytest.mark.parametrize("words", [("fetch", *LEAN), ("plan", *LEAN), ("cache", "list")])
def test_a_mistyped_store_is_no_folder(
    words: tuple[str, ...], place: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for done in (run(*words, "--store", place), CliRunner(env={"IMGBUILD_STORE": place}).invoke(main, words)):
        assert done.exit_code == 2 and fix in " ".join(done.stderr.split()), done.output
    assert not list(tmp_path.iterdir())


def test_a_folder_may_have_any_other_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.bundle").mkdir()
    for place in ("old.bundle", "a:b", "x/://y"):
        Path(place).mkdir(parents=True, exist_ok=True)
        assert run("cache", "list", "--store", place).exit_code == 0


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As NFS of version 3 is if its lock service does not run."""

    def refuse(_number: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with Server(serve(FILES)) as server:
        done = run("fetch", *images(f"http://127.0.0.1:{server.port}"), "--store", str(tmp_path / "store"))
    assert done.exit_code == 3 and "cannot lock a file: No locks available" in done.stderr
    assert "fix: name a folder on a file system with locks" in done.stderr


@pytest.mark.parametrize("words", [("list",), ("verify",), ("prune", "--older-than", "1d")])
def test_a_store_that_is_not_there_is_not_empty(words: tuple[str, ...], tmp_path: Path) -> None:
    """A typing mistake in a nightly job would prune nothing, for months."""
    done = run("cache", *words, "--store", str(tmp_path / "typo"))
    assert done.exit_code == 2 and f"there is no store {tmp_path}/typo" in done.stderr
    done = run("cache", *words, "--store", "oci://registry.test/farm")
    assert done.exit_code == 0 and "oci://registry.test/farm itself is n" in done.stderr


def test_a_host_without_a_cache(tmp_path: Path) -> None:
    for action in (("list",), ("verify",), ("prune", "--older-than", "1d")):
        assert run("cache", *action).exit_code == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "words", [("prune",), ("list", "--dry-run"), ("prune", "--max-size", "much"), ("prune", "--older-than", "5")]
)
def test_what_makes_no_sense_is_wrong_usage(words: tuple[str, ...]) -> None:
    assert run("cache", *words).exit_code == 2


def test_sizes_and_ages_in_words() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 5 << 30)] == ["0 B", "1023 B", "1.0 KiB", "5.0 GiB"]
    assert [age_text(n) for n in (3, 60, 7300, 90_000)] == ["now", "1 minute", "2 hours", "1 day"]
