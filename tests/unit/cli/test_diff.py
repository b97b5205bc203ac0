"""`imgbuild diff`: of profiles and of output folders, with an exit code that a script can use."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imgbuild.cli.main import main
from tests.support.events import of_kind

SECRET = "$6$saltsalt$" + "Zq9" * 20


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def build(profile: str, name: str, *words: str) -> None:
    done = run("--profile", profile, "--no-image", "--name", name, *words)
    assert done.exit_code == 0, done.stderr


def test_profiles_whose_node_files_are_equal() -> None:
    done = run("diff", "debian12-efi", "debian12-bios")
    assert done.exit_code == 0
    firmware, disk = done.stdout.splitlines()
    assert firmware == 'firmware: "efi" -> "bios"'
    assert "EFI system partition of 64 MiB" in disk and "BIOS boot partition" in disk
    assert done.stderr == "their files are equal\n"
    done = run("diff", "debian12-efi", "debian12-efi")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "no differences\n")


def test_values_come_before_the_files_that_follow_from_them() -> None:
    Path("mine.yaml").write_text("extends: debian12-efi\nnetwork: {rp_filter: 2}\nkernel: {arguments: [quiet]}\n")
    lines = run("diff", "debian12-efi", "mine.yaml").stdout.splitlines()
    assert "network.rp_filter: 0 -> 2" in lines
    assert any(line.startswith("kernel arguments: ") and line.endswith('quiet"') for line in lines)
    assert lines.index("network.rp_filter: 0 -> 2") < lines.index("--- debian12-efi/etc/imgbuild/node.conf")
    assert "-rp_filter=0" in lines and "+rp_filter=2" in lines
    assert run("diff", "mine.yaml", "debian12-efi", "--layer", "tunnel").stderr == ""


def test_secret_values_that_differ_are_not_shown() -> None:
    for name in ("a", "b"):
        Path(f"{name}.yaml").write_text(
            f"extends: debian12-efi\nusers: [{{name: ops, hashed_password: '{SECRET}{name}'}}]\n"
            f"run: [echo s3cr3t{name}]\n"
        )
    for form in ("text", "json"):
        done = run("diff", "a.yaml", "b.yaml", "--format", form)
        assert done.exit_code == 0 and "run[0]" in done.stdout
        assert SECRET not in done.stdout and "s3cr3t" not in done.stdout


def test_exit_codes() -> None:
    assert run("diff", "debian12-efi", "debian12-efi", "--exit-code").exit_code == 0
    assert run("diff", "debian12-efi", "debian12-bios", "--exit-code").exit_code == 1
    Path("bad.yaml").write_text("extends: debian12-efi\ntiem: {}\n")
    assert run("diff", "bad.yaml", "debian12-efi").exit_code == 1
    done = run("diff", "bad.yaml", "debian12-efi", "--exit-code")
    assert done.exit_code == 2 and "IB111" in done.stderr
    build("debian12-efi", "a")
    assert run("diff", "out/a", "out/a", "--exit-code").exit_code == 0
    assert run("diff", "out/a", "out", "--exit-code").exit_code == 3


def test_output_folders() -> None:
    Path("a.yaml").write_text(f"extends: debian12-efi\nusers: [{{name: ops, hashed_password: '{SECRET}'}}]\n")
    Path("b.yaml").write_text("extends: debian12-bios\ntime: {zone: Asia/Tokyo}\nrun: [echo s3cr3t]\n")
    build("a.yaml", "a")
    build("b.yaml", "b")
    for name, content in (("a", b"one"), ("b", b"other")):
        add_image(Path("out", name), content)
    done = run("diff", "out/a", "out/b")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if "firmware" in line.partition(":")[0]] == [lines[0]]
    assert lines[0] == 'firmware: "efi" -> "bios"'
    assert 'time.zone: "UTC" -> "Asia/Tokyo"' in lines
    assert "differs, not shown (it can hold secrets): nodes/node1/user-data" in lines
    assert "differs, not shown (it can hold secrets): nodes/node1/seed.iso" in lines
    (image,) = [line for line in lines if line.startswith("images differ: ")]
    assert "image/*.qcow2 (sha256 " in image
    assert any(line.startswith("--- out/a/elements/") for line in lines), done.stdout[:3000]
    assert SECRET not in done.stdout and "s3cr3t" not in done.stdout
    kinds = {event["kind"] for event in of_kind("difference", run("diff", "out/a", "out/b", "--format", "json").stdout)}
    assert kinds == {"fact", "value", "file"}


def add_image(folder: Path, content: bytes) -> None:
    """A disk image as the manifest describes one."""
    (folder / "image").mkdir()
    (folder / "image" / f"{folder.name}.qcow2").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    about = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "mode": "0644"}
    manifest["groups"]["image"] = {"run": "x", "files": {f"image/{folder.name}.qcow2": about}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_manifest_leads_nowhere_else() -> None:
    """Whatever a manifest says: no file outside its folder is read, no link is followed, no private file is shown."""
    build("debian12-efi", "a")
    build("debian12-efi", "b")
    Path("secret").write_text("s3cr3t\n")
    folder = Path("out/b")
    manifest = json.loads((folder / "manifest.json").read_text())
    files = manifest["groups"]["elements"]["files"]
    about = {"sha256": "0" * 64, "size": 7, "mode": "0644"}
    secret = str(Path("secret").resolve())
    (folder / "elements/link").symlink_to(secret)
    (folder / "elements/private").write_text("s3cr3t\n")
    (folder / "elements/private").chmod(0o600)
    names = ("elements/../../../secret", secret, "elements/link", "elements/private", "elements/gone")
    files |= dict.fromkeys(names, about)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    first = json.loads(Path("out/a/manifest.json").read_text())
    first["groups"]["elements"]["files"] |= dict.fromkeys(names, about | {"sha256": "1" * 64})
    Path("out/a/manifest.json").write_text(json.dumps(first))
    for name in ("link", "private", "gone"):
        Path("out/a/elements", name).write_text("nothing\n")
    done = run("diff", "out/a", "out/b")
    assert done.exit_code == 0 and "s3cr3t" not in done.stdout, done.stdout
    assert "elements/link" in done.stdout and "elements/private" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("out/a", "debian12-efi"), 2, "give two profiles, or two output folders"),
        (("debian12-efi", "out/a"), 2, "out/a is a folder and debian12-efi is not"),
        (("out/a", "out/a", "--layer", "tunnel"), 2, "apply to profiles"),
        (("out", "out/a"), 3, "out has no manifest.json"),
    ],
)
def test_what_cannot_be_compared(words: tuple[str, ...], code: int, said: str) -> None:
    build("debian12-efi", "a")
    done = run("diff", *words)
    assert done.exit_code == code and said in done.stderr


def test_a_folder_named_as_a_shipped_profile() -> None:
    build("debian12-efi", "debian12-efi", "--output", ".")
    build("debian12-efi", "b", "--output", ".", "--set", "time.zone=Asia/Tokyo")
    assert run("diff", "debian12-efi", "debian12-bios").stdout.startswith("firmware")
    assert "time.zone" in run("diff", "./debian12-efi", "b").stdout
