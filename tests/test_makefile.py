"""The Makefile installs what imgbuild says it needs: one list of tools, one of packages, kept together here."""

from __future__ import annotations

import re
from pathlib import Path

from builder.image import requirements
from builder.machine import requirements as machine

ROOT = Path(__file__).parents[1]
TOOLS = (
    *requirements._BOTH,
    *requirements._EFI,
    *requirements._ROOTFS,
    *requirements._SELINUX,
    *(tool for tools in requirements._ELEMENT.values() for tool in tools),
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
    assert listed("RUN_PACKAGES") - used == {"ovmf", "debian-archive-keyring", "python3", "python3-venv"}


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in ("make demo", "make test"):
        assert f"\n    {command}\n" in readme or f"\n{command}\n" in readme
    assert "make test" in (ROOT / ".ci/run").read_text()
