"""`imgbuild bundle`: written, verified, unpacked, and used as the store of a build without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from pydantic import ValidationError

from imgbuild import __version__
from imgbuild.bundle.layout import BLOBS, Contents, ImageIn, LeftOut
from imgbuild.bundle.read import open_bundle
from imgbuild.bundle.write import part_of, write_bundle
from imgbuild.cli.main import main
from imgbuild.config.lock import Lock, Section
from imgbuild.config.lock_file import lock_text
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.images import Image
from imgbuild.facts.packages import requested
from imgbuild.fetch.images import Blob, Found
from imgbuild.fetch.store import Store
from imgbuild.pipeline import Input, Request, prepare
from tests.support.checking import ADMIN
from tests.support.debs import deb, locked
from tests.support.events import of_kind, result_of
from tests.support.locks import made_up_packages, whole_lock
from tests.support.publishers import sha256
from tests.unit.bundle.conftest import about

ARCHIVE = b"an archive of images"
LAYERS = ("distro-containerd", "container-host")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile whose only file is one of this host, its lock, and a key; no registry is asked for images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("IMGBUILD_STORE", raising=False)
    Path("tools.tar").write_bytes(ARCHIVE)
    archive = {"name": "tools", "urls": [f"file://{tmp_path}/tools.tar"], "sha256": sha256(ARCHIVE)}
    Path("node.yaml").write_text(
        json.dumps({"extends": ["debian12-efi", *LAYERS], "containerd": {"images": [archive]}})
    )
    Path("imgbuild.lock").write_text(whole_lock("node.yaml", (ADMIN,)))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "key"], check=True)
    public = Path("key.pub").read_text().strip()
    Path("signers").write_text(f'builds@example.com namespaces="imgbuild" {public}\n')

    def found(ready: Input, store: Store, steps: object, images: Sequence[Image]) -> list[Found]:
        made = []
        for image in images:
            manifest, layer = f"manifest of {image.name}".encode(), b"one layer that all images have"
            for content in (manifest, layer):
                store.path(sha256(content)).write_bytes(content)
            root = Blob("application/vnd.oci.image.manifest.v1+json", f"sha256:{sha256(manifest)}", len(manifest))
            blob = Blob("application/vnd.oci.image.layer.v1.tar", f"sha256:{sha256(layer)}", len(layer))
            made.append(Found(image, None, root, root, {root.digest: manifest}, [blob]))  # type: ignore[arg-type]
        return made

    monkeypatch.setattr("imgbuild.pipeline.bundle.images_found", found)


def run(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def make(*words: str, code: int = 0, file: str = "node.bundle") -> Result:
    return run("bundle", "-p", "node.yaml", "--set", ADMIN, "-o", file, *words, code=code)


SIGNERS = ("--allowed-signers", "signers")


def test_the_whole_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = make("--no-wheels", "--sign-key", "key")
    assert "node.bundle: " in done.stdout and "1 file, " in done.stdout and "not signed" not in done.stderr
    done = run("bundle", "verify", "node.bundle", *SIGNERS)
    assert "every file matches its checksum; signed by builds@example.com" in done.stdout
    run("bundle", "unpack", "node.bundle", "there", *SIGNERS)
    assert {path.name for path in Path("there/profile").iterdir()} == {"node.yaml", "imgbuild.lock"}
    # On another machine: nothing in the cache, and no file at the address that the profile has.
    Path("tools.tar").unlink()
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "other"))
    monkeypatch.chdir("there/profile")
    options = open_bundle(tmp_path / "node.bundle").contents.options
    bundle = str(tmp_path / "node.bundle")
    done = run("fetch", *options, "--offline", "--store", bundle)
    assert "kept" in done.stdout or sha256(ARCHIVE) in done.stdout
    assert (tmp_path / "other/store/blobs/sha256" / sha256(ARCHIVE)).read_bytes() == ARCHIVE
    assert not list((tmp_path / "other/store/parts").iterdir())


def test_it_is_the_same_again_and_whatever_else_the_lock_has() -> None:
    make("--no-wheels", "--sign-key", "key")
    before = Path("node.bundle").read_bytes()
    text = Path("imgbuild.lock").read_text()
    Path("imgbuild.lock").write_text(f"{text}  other:\n    files: {{}}\n    images: {{}}\n")
    make("--no-wheels", "--sign-key", "key")
    assert Path("node.bundle").read_bytes() == before


def test_a_damaged_bundle_is_not_used_as_a_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make("--no-wheels")
    member = open_bundle(Path("node.bundle")).members[f"blobs/sha256/{sha256(ARCHIVE)}"]
    with Path("node.bundle").open("r+b") as stream:
        stream.seek(member.start)
        stream.write(b"A")
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "other"))
    done = run("fetch", "-p", "node.yaml", "--set", ADMIN, "--offline", "--store", "node.bundle", code=3)
    assert f"it has the sha256 {sha256(b'A' + ARCHIVE[1:])}" in done.stderr
    assert not list((tmp_path / "other/store/blobs/sha256").iterdir())
    done = run("bundle", "verify", "node.bundle", "--unsigned", code=3)
    assert "must not be used" in done.stderr


def test_a_store_that_is_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make("--no-wheels")
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "other"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgbuild.fetch.store.take", full)
    done = run("fetch", "-p", "node.yaml", "--set", ADMIN, "--offline", "--store", "node.bundle", code=3)
    assert "No space left on device" in done.stderr and "IMGBUILD_CACHE" in done.stderr


def test_unsigned_has_to_be_said() -> None:
    make("--no-wheels")
    for action in (("verify", "node.bundle"), ("unpack", "node.bundle", "new")):
        done = run("bundle", *action, code=2)
        assert "--allowed-signers FILE; or pass --unsigned" in done.stderr
        done = run("bundle", *action, *SIGNERS, code=3)
        assert "it is not signed" in done.stderr and not Path("new").exists()
    assert "it is not signed" in run("bundle", "verify", "node.bundle", "--unsigned").stdout
    assert "profile/node.yaml" not in run("bundle", "unpack", "node.bundle", "new", "--unsigned").stdout


def test_without_a_lock() -> None:
    Path("imgbuild.lock").unlink()
    done = make("--no-wheels", code=2)
    assert "run imgbuild lock --profile node.yaml" in done.stderr and not Path("node.bundle").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-p", "node.yaml"), "-o FILE"),
        (("make", "x", "-p", "node.yaml", "-o", "b"), "-o FILE"),
        (("verify",), "imgbuild bundle verify FILE"),
        (("verify", "b", "--store", "s", "--unsigned"), "--store is not an option of imgbuild bundle verify"),
        (("unpack", "b"), "imgbuild bundle unpack FILE FOLDER"),
        (("-p", "node.yaml", "-o", "b", "--unsigned"), "--unsigned is not an option"),
        (("-p", "node.yaml", "-o", "b", "--wheels", "w", "--no-wheels"), "cannot be used together"),
        (("-p", "node.yaml", "-o", "b", "--no-lock"), "No such option"),
        (("verify", "nowhere", "--unsigned"), "there is no file nowhere"),
        (("push", "b", "--unsigned"), "imgbuild bundle push FILE HOST[:PORT]"),
        (
            ("push", "b", "h.test/farm", "--unsigned"),
            "host alone, imgbuild bundle push b h.test; the path farm is that of",
        ),
        (
            ("push", "b", "docker://h.test:5000/farm/x", "--unsigned"),
            "imgbuild bundle push b h.test:5000; the path farm/x",
        ),
        (("push", "b", "user@h.test", "--unsigned"), "is not HOST[:PORT]"),
        (("push", "nowhere", "OCI://h.test:5000/", "--unsigned"), "there is no file nowhere"),
        (("verify", "b", "--packages", "--unsigned"), "--packages is not an option"),
        (("verify", "node.yaml", "--unsigned", "--set", "x=1"), "--set is not an option"),
    ],
)
def test_wrong_usage(words: Sequence[str], said: str) -> None:
    done = run("bundle", *words, code=2)
    assert said in " ".join(done.output.split())


def test_something_else_is_not_overwritten_nor_read() -> None:
    assert "is not a bundle" in make("--no-wheels", file="node.yaml", code=3).stderr
    assert "is not a bundle" in run("bundle", "verify", "node.yaml", "--unsigned", code=3).stderr
    assert "is not a bundle" in run("plan", "-p", "node.yaml", "--set", ADMIN, "--store", "tools.tar", code=3).stderr
    os.mkfifo("pipe")
    for name in ("pipe", "."):
        assert f"{name} is not a regular file" in run("bundle", "verify", name, "--unsigned", code=3).stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only() -> None:
    Path("fixed").mkdir(mode=0o555)
    assert "cannot be written" in make("--no-wheels", file="fixed/b", code=3).stderr


def test_packages_are_carried_and_make_a_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two packages of Debian, fetched for the bundle; then neither their address nor the cache is there any more."""
    room = tmp_path / "mirror"
    room.mkdir()
    debs = [deb(room, "one", "1.0-1"), deb(room, "two", depends=["one"], arch="amd64")]
    ready = prepare(Request("node.yaml", (), (ADMIN,)), Findings())
    lines = [locked(file, "bookworm").line() for file in debs]
    pin = {"urls": [room.as_uri()], "suite": "bookworm", "obtained": "index"}
    lock = yaml.safe_load(Path("imgbuild.lock").read_text())
    lock["profiles"]["node"]["packages"] = {
        "target": "debian12", "requested": sorted(requested(ready.resolved)), "repositories": {"bookworm": pin},
        "installed": lines,
    }  # fmt: skip
    Path("imgbuild.lock").write_text(yaml.safe_dump(lock))
    assert "2 packages" in make("--no-wheels").stdout
    shutil.rmtree(room)
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "other"))
    run("bundle", "unpack", "node.bundle", "new", "--unsigned", "--packages")
    index = Path("new/packages/dists/bookworm/main/binary-amd64/Packages").read_text()
    assert re.findall(r"(?m)^Package: (.*)$", index) == ["one", "two"]
    files = [file for file in Path("new/packages").rglob("*.deb") if not file.is_symlink()]
    assert len(files) == 2 and not list(Path("new").glob(".packages-*"))
    done = run("fetch", "-p", "node.yaml", "--set", ADMIN, "--offline", "--store", "node.bundle")
    assert done.exit_code == 0
    assert {line.split()[5] for line in lines} <= {path.name for path in Path("other/store/blobs/sha256").iterdir()}


EVIL = "../../../repository"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("target: debian12", "target: debian99", "are for debian99, which is not known here"),
        (
            "      repositories:\n",
            f"      repositories:\n        {EVIL}: {{urls: ['https://a.test'], obtained: index}}\n",
            "has no",
        ),
    ],
)
def test_packages_of_a_bundle_of_somebody_else(old: str, new: str, why: str) -> None:
    """A repository's name is that of a folder, and a target that of a file."""
    ready = prepare(Request("node.yaml", (), (ADMIN,)), Findings())
    text = lock_text(
        Lock(format=1, profiles={"node": Section(files={}, images={}, packages=made_up_packages(ready.resolved))})
    )
    assert old in text
    own = part_of("profile/imgbuild.lock", "profile", text.replace(old, new).encode())
    debs = part_of(f"{BLOBS}{sha256(b'deb')}", "package", b"deb")
    contents = about().model_copy(update={"options": ("--profile", "debian12-efi")})
    write_bundle(Path("evil.bundle"), contents, [own, debs], None)
    done = run("bundle", "unpack", "evil.bundle", "new", "--unsigned", "--packages", code=3)
    assert why in done.stderr and not Path("repository").exists()
    assert not Path("new").exists() and not list(Path().glob(".new*")), "so the fix works with the same name"


def test_a_lock_without_packages_has_no_repository() -> None:
    make("--no-wheels")
    done = run("bundle", "unpack", "node.bundle", "new", "--unsigned", "--packages", code=2)
    assert "has no packages" in done.stderr and not Path("new").exists()


def test_a_folder_that_exists_is_not_unpacked_into() -> None:
    make("--no-wheels")
    Path("new").mkdir()
    assert "is there already" in run("bundle", "unpack", "node.bundle", "new", "--unsigned", code=2).stderr
    assert not list(Path("new").iterdir())


def test_the_json_form() -> None:
    Path("key.txt").write_text("secret")
    data = json.loads(Path("node.yaml").read_text())
    data["files"] = [{"path": "/etc/k", "mode": "0600", "source": "key.txt"}]
    Path("node.yaml").write_text(json.dumps(data))
    done = make("--no-wheels", "--format", "json")
    (left,) = of_kind("left_out", done.stdout)
    assert left["where"] == "node.yaml:1" and "key.txt" in left["what"]
    result = result_of(done.stdout)
    assert result["bytes"] == Path("node.bundle").stat().st_size and result["file"] == "node.bundle"
    done = run("bundle", "verify", "node.bundle", "--unsigned", "--format", "json")
    result = result_of(done.stdout)
    assert (result["profile"], result["signed"], result["signed_by"]) == ("node", False, None)
    assert result["options"][:2] == ["--profile", "node.yaml"]


def test_wheels_of_a_folder() -> None:
    Path("wheels").mkdir()
    done = make("--wheels", "wheels", code=2)
    assert f"no wheel of imgbuild {__version__}" in done.stderr
    for name in (f"imgbuild-{__version__}-py3-none-any.whl", "click-8-py3-none-any.whl"):
        Path("wheels", name).write_text(name)
    make("--wheels", "wheels")
    run("bundle", "unpack", "node.bundle", "new", "--unsigned")
    assert {path.name for path in Path("new/wheels").iterdir()} == {path.name for path in Path("wheels").iterdir()}


def test_pip_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    done = make(code=3)
    assert "pip did not collect the wheels" in done.stderr and "--no-wheels" in done.stderr
    assert not Path("node.bundle").exists()


def test_a_python_without_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert "has no pip" in make(code=3).stderr


def test_a_bundle_writes_no_controls_to_the_terminal(tmp_path: Path) -> None:
    """Whatever its list has: nobody has signed it."""
    evil = "\x1b]0;owned\x07\x9b2J\u202e"
    about = Contents(
        format=1, imgbuild=f"1{evil}", profile=f"node{evil}", options=("--profile", f"node{evil}.yaml"), python="",
        images=(), charts={}, left_out=(LeftOut(where=evil, what=f"x{evil}\ny", fix=evil),), files=(),
    )  # fmt: skip
    write_bundle(tmp_path / "evil.bundle", about, [part_of("profile/node.yaml", "profile", b"extends: x")], None)
    for words in (("verify", "evil.bundle", "--unsigned"), ("unpack", "evil.bundle", "new", "--unsigned")):
        done = run("bundle", *words)
        assert not set(evil) & set(done.output) - set("0;owned2J]") and "\\x1b" in done.stdout
    with pytest.raises(ValidationError):
        ImageIn(name=f"x{evil}", digest="sha256:" + "0" * 64, manifest="sha256:" + "0" * 64, by_digest=False)
    with pytest.raises(ValidationError):
        ImageIn(name="x", digest="sha256:../../x", manifest="sha256:" + "0" * 64, by_digest=False)


def test_an_error_writes_no_controls_either() -> None:
    assert "there is no file ?[31mgone" in run("bundle", "verify", "\x1b[31mgone", "--unsigned", code=2).stderr
