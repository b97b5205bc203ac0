"""The table of commands: it agrees with the files that it names, and asks for none of them before it is called."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from imgbuild.cli.commands import COMMANDS, load_command
from imgbuild.cli.main import main
from tests.support.deadline import HUNG


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_commands_help_says(name: str) -> None:
    command = load_command(name)
    assert command.name == name
    assert command.get_short_help_str(limit=500) == COMMANDS[name]


def test_help_lists_every_command() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    for name, text in COMMANDS.items():
        assert f"  {name} " in done.output and text.split()[0] in done.output


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["--frobnicate"], ["profiles"]])
def test_what_needs_no_build_imports_none(words: list[str]) -> None:
    """Imports take half the run time. Only a profile's table is written with rich."""
    heavy = {"imgbuild.pipeline", "imgbuild.config.profile", "imgbuild.diagnostics.codes", "pydantic", "yaml"}
    heavy |= {"rich"} if words != ["profiles"] else set()
    code = (
        "import sys; from imgbuild.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        f"finally: print(sorted({heavy!r} & {{*sys.modules}}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=HUNG)
    assert "[]" in done.stderr.splitlines()


def test_a_check_imports_nothing_that_only_a_build_needs() -> None:
    heavy = {"imgbuild.image", "imgbuild.pipeline.write", "cryptography", "pycdlib", "urllib3", "ssl", "rich.progress"}
    code = (
        "import sys; from imgbuild.cli.main import main\n"
        "try: main(['check', '--profile', 'debian12-efi'])\n"
        f"finally: print(sorted({heavy!r} & {{*sys.modules}}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HUNG)
    assert "[]" in done.stderr.splitlines() and done.returncode == 0


def test_a_build_without_an_image_imports_nothing_that_builds_one(tmp_path: Path) -> None:
    words = ["--profile", "debian12-efi", "--no-image", "--output", str(tmp_path)]
    code = (
        f"import sys; from imgbuild.cli.main import main\ntry: main({words!r})\n"
        "finally: print(sorted({'imgbuild.image.build', 'imgbuild.pipeline.disk'} & {*sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HUNG)
    assert "[]" in done.stderr.splitlines() and done.returncode == 0


PROGRAM = f"{shlex.quote(sys.executable)} -m imgbuild"
FULL = "error: cannot write the output: No space left on device"


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("--help >/dev/full", 3, FULL),
        ("--version >/dev/full", 3, FULL),
        ("check --help >/dev/full 2>&1", 3, ""),
        ("schema profile >/dev/full", 3, FULL),
        ("--frobnicate 2>/dev/full", 3, ""),
        ("--frobnicate --format json >/dev/full", 3, FULL),
        ("check -p debian12-efi 2>/dev/full", 3, ""),
        ("check -p debian12-efi 2>&-", 0, ""),
        ("schema profile <&- >&-", 0, ""),
    ],
)
def test_an_output_that_takes_nothing(line: str, code: int, told: str) -> None:
    """A disk that is full is the environment's fault (3), and a stream that is closed is nobody's."""
    done = subprocess.run(f"{PROGRAM} {line}", shell=True, capture_output=True, text=True, timeout=HUNG)  # noqa: S602
    assert (done.returncode, done.stderr.partition("\n")[0]) == (code, told)


@pytest.mark.parametrize(
    ("word", "fix"), [("chekc", 'did you mean "check"?'), ("frobnicate", "imgbuild --help lists them")]
)
def test_a_command_that_does_not_exist(word: str, fix: str) -> None:
    done = CliRunner().invoke(main, [word])
    assert done.exit_code == 2 and f'there is no command "{word}"; {fix}' in done.stderr
