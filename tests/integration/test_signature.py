"""Checksums and signatures of the output, verified with the commands of docs/how-to/images.md."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.outputs import manifest
from imgbuild.outputs.signature import Signer, open_signer, read_sums, write_sums
from tests.support.deadline import HUNG
from tests.support.places import ROOT

PROGRAM = ROOT / ".venv/bin/imgbuild"


def key_in(folder: Path, passphrase: str = "") -> Path:
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", key], check=True)
    return key


def allowed(folder: Path, key: Path) -> Path:
    """The file of who may sign, as the page describes it."""
    file = folder / "allowed_signers"
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    file.write_text(f'builds@example.com namespaces="imgbuild" {public}\n')
    return file


def commands() -> list[str]:
    """The verify lines of the page."""
    text = (ROOT / "docs/how-to/images.md").read_text()
    return re.findall(r"(?m)^(?:ssh-keygen -Y verify|sha256sum -c) .*$", text.replace("\\\n  ", ""))


def verify(folder: Path, signers: Path, line: str) -> int:
    line = line.replace("~/allowed_signers", str(signers)).replace("out/debian12-efi/", "")
    return subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, check=False).returncode


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path]:
    """An output folder with a manifest that was signed, and the file of who may sign."""
    key = key_in(tmp_path)
    run = [PROGRAM, "--profile", "debian12-efi", "--no-image"]
    argv = [str(word) for word in (*run, "--output", tmp_path, "--sign-key", key)]
    subprocess.run(argv, check=True, capture_output=True, timeout=HUNG)
    image = tmp_path / "debian12-efi/image"
    image.mkdir()
    (image / "debian12-efi.qcow2").write_bytes(b"a disk")
    write_sums(image, open_signer(key))
    return tmp_path / "debian12-efi", allowed(tmp_path, key)


def test_the_pages_commands_verify_an_output_and_refuse_a_changed_one(signed: tuple[Path, Path]) -> None:
    folder, signers = signed
    manifest, sums, files = commands()
    assert [verify(folder, signers, manifest), verify(folder, signers, sums)] == [0, 0]
    assert verify(folder / "image", signers, files) == 0
    (folder / "image/debian12-efi.qcow2").write_bytes(b"another disk")
    assert verify(folder / "image", signers, files) != 0
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text() + " ")
    assert verify(folder, signers, manifest) != 0


def test_a_signature_for_another_purpose_is_refused(signed: tuple[Path, Path], tmp_path: Path) -> None:
    folder, signers = signed
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", tmp_path / "key", tmp_path / "key.pub"], check=True
    )
    (folder / "manifest.json.sig").write_bytes((tmp_path / "key.pub.sig").read_bytes())
    assert verify(folder, signers, commands()[0]) != 0


def test_a_run_without_the_key_leaves_no_old_signature(signed: tuple[Path, Path], tmp_path: Path) -> None:
    argv: list[str | Path] = [
        PROGRAM,
        "--profile",
        "debian12-efi",
        "--no-image",
        "--output",
        tmp_path,
        "--set",
        "time.zone=Asia/Tokyo",
    ]
    (signed[0] / "image/debian12-efi.qcow2").unlink()
    for path in sorted((signed[0] / "image").iterdir()):
        path.unlink()
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=HUNG)
    assert "the signature of the old manifest is removed" in done.stderr
    assert not (signed[0] / "manifest.json.sig").exists()


def test_a_later_run_keeps_the_checksums_of_the_build(tmp_path: Path) -> None:
    """A file that was changed since then does not get a new one."""
    (tmp_path / "disk.raw").write_bytes(b"a disk")
    sums = write_sums(tmp_path, None)
    assert sums == {"disk.raw": hashlib.sha256(b"a disk").hexdigest()}
    assert read_sums(tmp_path) == sums
    (tmp_path / "disk.raw").write_bytes(b"another")
    files = manifest._files(tmp_path, "image", manifest.GroupRecord("run", {}, read_sums(tmp_path)))
    assert files["image/disk.raw"].sha256 == sums["disk.raw"]
    assert files["image/SHA256SUMS"].sha256 == hashlib.sha256((tmp_path / "SHA256SUMS").read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff\n")
    assert read_sums(tmp_path) == read_sums(tmp_path / "missing") == {}


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An ssh-agent of this test's own, which ends with it."""
    with subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        yield
        process.terminate()


def test_a_key_with_a_passphrase_signs_through_the_agent(
    agent: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    key = key_in(tmp_path, "a passphrase")
    with pytest.raises(HostError, match="has a passphrase") as caught:
        open_signer(key)
    assert f"ssh-add {key}" in caught.value.hint
    ask = tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho a passphrase\n")
    ask.chmod(0o700)
    environment = {**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
    subprocess.run(["ssh-add", "-q", key], env=environment, check=True)
    signature = open_signer(key).sign(b"content")
    monkeypatch.chdir(tmp_path)
    Path("s").write_bytes(signature)
    argv: list[str | Path] = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-q",
        "-f",
        allowed(tmp_path, key),
        "-I",
        "builds@example.com",
    ]
    assert subprocess.run([*argv, "-n", "imgbuild", "-s", "s"], input=b"content", check=False).returncode == 0
    assert open_signer(key.with_suffix(".pub")).sign(b"content")


def test_a_key_that_cannot_be_used_is_an_error_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no key file"):
        open_signer(tmp_path / "missing")
    key = key_in(tmp_path)
    key.chmod(0o644)
    with pytest.raises(HostError, match="others can read the key") as caught:
        open_signer(key)
    assert caught.value.hint == f"chmod 600 {key}"
    (tmp_path / "text").write_text("no key\n")
    with pytest.raises(HostError, match=r"ssh-keygen cannot sign with .*/text"):
        open_signer(tmp_path / "text")
    run = [PROGRAM, "--profile", "debian12-efi", "--no-image"]
    argv = [str(word) for word in (*run, "--output", tmp_path / "out", "--sign-key", key)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=HUNG)
    assert (done.returncode, (tmp_path / "out").exists()) == (3, False), done.stderr


def test_without_ssh_keygen_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="ssh-keygen is not installed") as caught:
        Signer(tmp_path / "key").sign(b"")
    assert "openssh-client" in caught.value.hint
