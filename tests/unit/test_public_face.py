"""What a public project has besides its code, and that it agrees with the rest of the checkout."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from tests.support.places import ROOT


def tracked() -> list[Path]:
    """Every file of the checkout that is not recorded output or data of a test."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    data = ("tests/recorded/", "tests/golden/", "tests/cases/")
    return [ROOT / name for name in names if name and not name.startswith(data) and (ROOT / name).is_file()]


def test_the_licence_is_the_one_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "LICENSE").read_text()
    assert project["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_files_end_with_a_newline_and_lines_without_spaces() -> None:
    """What .editorconfig asks for."""
    wrong = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" in content or path.suffix == ".svg":
            continue
        if (content and not content.endswith(b"\n")) or re.search(rb"[ \t\r]\n", content):
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong


def test_the_containerfile_installs_the_packages_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (packages,) = re.findall(r"(?m)^RUN_PACKAGES := (.*)$", makefile)
    containerfile = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    (installed,) = re.findall(r"apt-get install -y -q --no-install-recommends(.*?)&&", containerfile)
    assert installed.split() == sorted(packages.split())


def test_the_hooks_are_the_linters_of_the_makefile() -> None:
    """`pre-commit` runs on each commit what `make lint` runs."""
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"(?m)^lint: .*\n((?:\t.*\n)+)", makefile)
    linters = re.findall(r"\t\$\(VENV\)/bin/(.*)", recipe)
    hooks = re.findall(r"entry: \.venv/bin/(.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert [hook.removesuffix(" --force-exclude") for hook in hooks] == [
        linter.removesuffix(" .").removesuffix(" --check") for linter in linters
    ]


def test_a_commit_subject_that_is_too_long_is_refused() -> None:
    """By the hook of .pre-commit-config.yaml, as pre-commit runs it."""
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    (program,) = re.findall(r"entry: awk '(.*)'$", text, re.MULTILINE)
    for length, code in ((72, 0), (73, 1)):
        done = subprocess.run(["awk", program], input="x" * length + "\n\n" + "y" * 90 + "\n", text=True)
        assert done.returncode == code


def test_the_files_that_the_contributing_guide_names_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    names = re.findall(r"`(?:[^`]* )?((?:builder|profiles|node|elements|docs|tests)/[^` ]*)`", text)
    assert len(names) > 15
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_modules_that_the_pages_name_are_there() -> None:
    """``checks/build_host.py``: below the package, or from the root."""
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", page.read_text()):
            assert (ROOT / name).exists() or (ROOT / "builder/imgbuild" / name).exists(), f"{page.name}: {name}"


def test_every_folder_of_the_package_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT / "builder") for path in (ROOT / "builder").rglob("__init__.py")}
    assert {name for name in listed if ".data." not in name} == {str(path).replace("/", ".") for path in folders}
