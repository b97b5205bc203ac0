"""The Makefile installs what imgbuild says it needs: one list of tools, one of packages, kept together here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imgbuild.image import requirements
from imgbuild.machine import requirements as machine
from tests.support.deadline import HUNG
from tests.support.places import ROOT
from tests.support.profiles import AWKS

TOOLS = (
    *requirements._BOTH,
    *requirements._EFI,
    *requirements._ROOTFS,
    *requirements._SELINUX,
    *requirements._PRELOAD,
    *requirements._LIVE,
    *(tool for tools in requirements._ELEMENT.values() for tool in tools),
    *(tool for tools in requirements._LOCKED.values() for tool in tools),
    *(tool for tools in requirements._FORMATS.values() for tool in tools),
)


def listed(name: str) -> set[str]:
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    found = re.search(rf"^{name} := (.*)$", text, re.MULTILINE)
    assert found is not None
    return set(found[1].split())


def test_every_tool_of_a_build_and_a_boot_is_installed() -> None:
    wanted = {tool.package for tool in TOOLS} | set(machine._TOOLS.values()) | {"ovmf", "debian-archive-keyring"}
    assert wanted <= listed("RUN_PACKAGES")


def test_what_is_installed_for_a_build_is_used() -> None:
    used = {tool.package for tool in TOOLS} | set(machine._TOOLS.values())
    others = {"ca-certificates", "debian-archive-keyring", "openssh-client", "ovmf", "python3", "python3-venv"}
    assert listed("RUN_PACKAGES") - used == others


def test_the_awks_of_the_nodes_checks_are_installed() -> None:
    assert set(AWKS.values()) | {"shfmt"} <= listed("TEST_PACKAGES")


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in ("make demo", "make test"):
        assert f"\n    sudo {command}\n" in readme
    assert "make test" in (ROOT / ".ci/run").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("owner", [12345, 0])
def test_what_make_leaves_under_sudo_is_the_callers(owner: int, tmp_path: Path) -> None:
    """Also if it fails; not in out/, and not in a checkout of root's own."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/seed").touch()
    makefile = (ROOT / "Makefile").read_text()
    (tmp_path / "Makefile").write_text(f"{makefile}\nit:\n\t$(HAND_OVER) touch new; false\n")
    os.chown(tmp_path, owner, owner)
    caller = {**os.environ, "SUDO_UID": "12345", "SUDO_GID": "12345"}
    argv = ["make", "it"]
    done = subprocess.run(argv, cwd=tmp_path, env=caller, capture_output=True, text=True, timeout=HUNG, check=False)
    assert done.returncode == 2, done.stderr
    owners = {
        path.name: path.stat().st_uid for path in (tmp_path / "new", tmp_path / "Makefile", tmp_path / "out/seed")
    }
    assert owners == {"new": owner, "Makefile": owner, "seed": 0}


GROUP = """
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(4))
def test_nothing(number):
    pass
"""


def test_groups_of_tests_stay_on_one_worker(tmp_path: Path) -> None:
    """A pytest that pytest-xdist does not know yet (9.2 with 3.8.0) spreads them over all, without a word."""
    (tmp_path / "test_group.py").write_text(GROUP)
    words = ["--verbose", "-n", "2", "--dist", "loadgroup", "--rootdir", str(tmp_path), str(tmp_path)]
    argv = [sys.executable, "-m", "pytest", *words]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, timeout=HUNG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(set(re.findall(r"^\[(gw\d)\].*PASSED", done.stdout, re.MULTILINE))) == 1
