"""No input is lost silently: options that are given twice, and two profiles that want one output folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from imgbuild.cli.commands import COMMANDS, load_command
from imgbuild.cli.main import main
from imgbuild.cli.parsing import Command


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, zone in (("x", "Asia/Tokyo"), ("y", "Europe/Rome")):
        Path(folder).mkdir()
        Path(folder, "node.yaml").write_text(f"extends: debian12-efi\ntime: {{zone: {zone}}}\n")


def run(*words: str) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def build(profile: str, *words: str) -> Result:
    return run("--profile", profile, "--no-image", *words)


def zone(name: str) -> str:
    return str(json.loads(Path("out", name, "manifest.json").read_text())["values"]["time.zone"]["value"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-p", "centos7-efi", "-p", "debian12-efi"), "--profile is given 2 times"),
        (("--profile", "centos7-efi", "-p", "centos7-efi", "--no-image"), "run imgbuild once for each profile"),
        (("-p", "x/node.yaml", "-o", "a", "--output", "b", "--no-image"), "--output is given 2 times"),
        (("check", "-p", "x/node.yaml", "--mode", "baked", "--mode=stock"), "--mode is given 2 times"),
        (("check", "-p", "x/node.yaml", "--format", "text", "--format", "text"), "--format is given 2 times"),
        (("token", "--cluster", "a", "--cluster", "b", "--cluster", "c"), "--cluster is given 3 times"),
        (("boot", "out", "--node", "a", "--node", "b"), "--node is given 2 times"),
        (("check", "centos7-efi"), "imgbuild check --profile centos7-efi"),
        (("check", "x/node.yaml", "--mode", "stock"), "imgbuild check --profile x/node.yaml"),
        (("images", "centos7-efi"), "imgbuild images --profile centos7-efi"),
        (("explain", "time.zone", "centos7-efi"), "imgbuild explain KEY --profile centos7-efi"),
        (("explain", "centos7-efi", "time.zone"), "imgbuild explain KEY --profile centos7-efi"),
        (("init", "centos7-efi"), "imgbuild init --profile centos7-efi"),
    ],
)
def test_usage_errors(words: Sequence[str], said: str) -> None:
    before = sorted(Path().rglob("*"))
    done = CliRunner().invoke(main, words, prog_name="imgbuild")
    assert done.exit_code == 2 and said in done.stderr, done.output
    assert sorted(Path().rglob("*")) == before


def test_options_that_may_be_repeated_and_flags() -> None:
    words = ("--set", "time.zone=UTC", "--set", "time.zone=Asia/Seoul", "--layer", "tunnel", "-l", "container-host")
    assert build("x/node.yaml", *words, "--no-image", "--fresh", "--fresh").exit_code == 0
    assert zone("node") == "Asia/Seoul"


def test_no_command_is_left_out() -> None:
    for name in COMMANDS:
        assert isinstance(load_command(name), Command)
        for parameter in load_command(name).params:
            assert not (isinstance(parameter, click.Option) and parameter.nargs != 1)


def test_a_second_profile_of_the_same_name_is_refused() -> None:
    assert build("x/node.yaml").exit_code == 0
    before = {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()}
    done = build("y/node.yaml")
    assert done.exit_code == 2
    assert "out/node was made from x/node.yaml, not from y/node.yaml" in done.stderr and "--name node-2" in done.stderr
    assert {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()} == before
    # As the message tells.
    assert build("y/node.yaml", "--name", "node-2").exit_code == 0
    assert (zone("node"), zone("node-2")) == ("Asia/Tokyo", "Europe/Rome")
    shutil.rmtree("out/node")
    assert build("y/node.yaml").exit_code == 0 and zone("node") == "Europe/Rome"


def test_the_same_profile_again_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build("x/node.yaml").exit_code == 0
    for profile in ("./x/../x/node.yaml", str(Path("x/node.yaml").resolve())):
        assert build(profile).exit_code == 0
    Path("x/alias.yaml").symlink_to("node.yaml")
    assert build("x/alias.yaml", "--name", "node").exit_code == 0
    Path("out").rename("moved")
    Path("out").symlink_to("moved")
    assert build("x/node.yaml").exit_code == 0
    monkeypatch.chdir("x")
    assert build("node.yaml", "--output", "../out").exit_code == 0
    assert build("node.yaml", "--layer", "tunnel", "--mode", "stock", "--output", "../moved").exit_code == 0


def test_a_profile_that_was_moved_or_deleted_is_built_over() -> None:
    assert build("x/node.yaml").exit_code == 0
    Path("x/node.yaml").rename("node.yaml")
    assert build("node.yaml").exit_code == 0
    Path("node.yaml").unlink()
    assert build("y/node.yaml").exit_code == 0


def test_a_shipped_profile_and_a_file_of_the_same_name() -> None:
    assert build("debian12-efi").exit_code == 0 and build("debian12-efi").exit_code == 0
    Path("x/debian12-efi.yaml").write_text("extends: debian12-efi\n")
    done = build("x/debian12-efi.yaml")
    assert done.exit_code == 2 and "made from the shipped profile debian12-efi" in done.stderr
    assert build("x/debian12-efi.yaml", "--name", "mine").exit_code == 0
    done = build("debian12-efi", "--name", "mine")
    assert done.exit_code == 2 and "out/mine was made from x/debian12-efi.yaml, not from debian12-efi" in done.stderr


def test_a_folder_that_an_earlier_release_wrote_and_a_damaged_manifest() -> None:
    assert build("x/node.yaml").exit_code == 0
    place = Path("out/node/manifest.json")
    manifest = json.loads(place.read_text())
    assert manifest["profile_file"] == "../../x/node.yaml"
    values: list[object] = [7, None, [], "", "../../gone.yaml", "\0"]
    for value in values:
        place.write_text(json.dumps(manifest | {"profile_file": value}))
        assert build("y/node.yaml").exit_code == 0, value
    place.write_text("{}")
    assert build("x/node.yaml").exit_code == 0


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "-a", "a b", "x" * 62, "é"])
def test_names_that_are_no_folder_names(name: str) -> None:
    done = build("x/node.yaml", f"--name={name}")
    assert done.exit_code == 2 and "is not a valid folder name" in done.stderr
    assert not Path("out").exists()


def test_the_name_is_the_folders_and_the_images() -> None:
    assert build("x/node.yaml", "--name", "N.1_a").stdout == "out/N.1_a\n"
    assert json.loads(Path("out/N.1_a/manifest.json").read_text())["profile"] == "N.1_a"
