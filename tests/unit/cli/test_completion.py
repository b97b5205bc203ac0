"""What a shell completes, by click's interface and in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from imgbuild.cli.commands import COMMANDS
from imgbuild.cli.main import main
from imgbuild.config.shipped import shipped
from tests.support.deadline import HUNG
from tests.support.places import ROOT

BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("")
    Path("notes.txt").write_text("")
    Path("conf").mkdir()
    Path("conf/other.yml").write_text("")


def completed(*words: str) -> list[str]:
    """What the last word can become."""
    found = ShellComplete(main, {}, "imgbuild", "_IMGBUILD_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [item.value for item in found]


def test_commands_and_options() -> None:
    assert completed("") == list(COMMANDS)
    assert completed("do") == ["doctor"]
    assert {"--profile", "--layer", "--name", "--format"} <= {*completed("--")}
    assert completed("diff", "--exit") == ["--exit-code"]
    assert completed("check", "--format", "j") == ["json"]


@pytest.mark.parametrize("before", [["--profile"], ["check", "-p"], ["images", "--profile"], ["diff"], ["diff", "x"]])
def test_profiles(before: list[str]) -> None:
    assert completed(*before, "") == [*shipped("profiles"), "conf/", "mine.yaml"]
    assert completed(*before, "centos7") == ["centos7-bios", "centos7-efi"]
    assert completed(*before, "m") == ["mine.yaml"]
    assert completed(*before, "conf/") == ["conf/other.yml"]
    assert completed(*before, "nowhere/") == []


def test_layers_and_init() -> None:
    assert completed("check", "--layer", "") == [*shipped("layers"), "conf/", "mine.yaml"]
    assert completed("--layer", "ch") == ["china"]
    assert completed("init", "--profile", "centos8") == ["centos8-bios", "centos8-efi"]


def test_keys() -> None:
    assert completed("--set", "time.z") == ["time.zone="]
    assert completed("explain", "time") == ["time", "time.zone", "time.ntp_servers", "time.allow", "time.local_stratum"]
    assert "kernel=" not in completed("--set", "kernel") and "kernel.flavour=" in completed("--set", "kernel")
    keys = completed("--set", "")
    assert len(keys) == len({*keys}) and not [key for key in keys if "[]" in key or "NAME" in key]
    assert "extends=" not in keys  # a profile's file has it, and --set cannot change it
    assert {"containerd.nerdctl_full.version=", "repositories.keys.kubernetes=", "users="} <= {*keys}


def test_everything_that_can_be_explained() -> None:
    assert completed("explain", "nodes[].ma") == ["nodes[].mac", "nodes[].machine"] + [
        f"nodes[].machine.{key}" for key in ("bmc", "bmc_login", "bmc_verify", "memory_mib", "cpus", "disk_gib")
    ]
    assert completed("explain", "users[].s") == ["users[].ssh_keys", "users[].sudo", "users[].shell"]
    assert completed("explain", "IB60") == ["IB601", "IB602", "IB603", "IB604", "IB605", "IB606", "IB607"]
    assert "IB601" not in completed("explain", "")


def test_names_are_completed_without_importing_the_pipeline() -> None:
    code = (
        "import sys; from click.shell_completion import ShellComplete; from imgbuild.cli.main import main\n"
        "s = ShellComplete(main, {}, 'imgbuild', 'X')\n"
        "assert s.get_completions([], '') and s.get_completions(['--profile'], 'cent')\n"
        "print(sorted({'imgbuild.pipeline', 'pydantic', 'yaml', 'rich'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HUNG, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    env = {**os.environ, "_IMGBUILD_COMPLETE": f"{shell}_source"}
    done = subprocess.run([BIN / "imgbuild"], env=env, capture_output=True, text=True, timeout=HUNG)
    assert done.returncode == 0 and f"_IMGBUILD_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell) is not None:
        assert subprocess.run([shell, "-n"], input=done.stdout, text=True, timeout=HUNG).returncode == 0


IN_BASH = r"""
eval "$(_IMGBUILD_COMPLETE=bash_source imgbuild)"
compopt() { printf 'compopt %s %s\n' "$@"; }
words() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _imgbuild_completion imgbuild
    printf '%s\n' "${COMPREPLY[@]}" .
}
words imgbuild ch
words imgbuild --profile debian
words imgbuild --set time.z
words imgbuild check -p con
"""


def test_the_page_has_the_lines_that_are_tried() -> None:
    page = (ROOT / "docs/how-to/completion.md").read_text()
    assert IN_BASH.splitlines()[1] in page
    for shell in ("bash", "zsh", "fish"):
        assert f"_IMGBUILD_COMPLETE={shell}_source imgbuild" in page


def test_in_bash() -> None:
    """A space follows a whole word, and none a folder or a key, which go on."""
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", IN_BASH], env=env, capture_output=True, text=True, timeout=HUNG)
    assert done.stderr == ""
    commands, profiles, keys, folders, _ = done.stdout.split(".\n")
    assert commands.split() == ["check"]
    assert profiles.split() == ["debian12-bios", "debian12-efi"]
    assert keys.split("\n") == ["compopt -o nospace", "time.zone=", ""]
    assert folders.split("\n") == ["compopt -o nospace", "conf/", ""]
