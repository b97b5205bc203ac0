"""The elements pass diskimage-builder's own lint and shellcheck, and each says what it is for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.image.plan import ELEMENTS
from tests.support.places import SUPPORT

_OWN = SUPPORT / "image/elements"
_ALL = sorted(p for folder in (ELEMENTS, _OWN) for p in folder.iterdir() if p.is_dir())


@pytest.mark.parametrize("element", _ALL, ids=lambda p: p.name)
def test_an_element_has_a_readme(element: Path) -> None:
    readme = (element / "README.rst").read_text()
    assert element.name in readme.splitlines()[:2]


def test_dib_lint(tmp_path: Path) -> None:
    # Its default layout makes it crash: it wants a folder lib with a file, inside a git checkout.
    shutil.copytree(ELEMENTS, tmp_path / "elements")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "none.sh").write_text("#!/bin/bash\nset -eu\nset -o pipefail\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    lint = shutil.which("dib-lint", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    assert lint, "diskimage-builder is a dependency"
    env = {**os.environ, "ELEMENTS_DIR": "elements", "LIB_DIR": "lib"}
    env["PATH"] = os.pathsep.join((str(Path(lint).parent), env["PATH"]))
    done = subprocess.run([lint], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "PASS" in done.stdout


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck() -> None:
    scripts = [
        p
        for element in _ALL
        for p in sorted(element.rglob("*"))
        if p.is_file() and (p.suffix == ".bash" or p.read_bytes().startswith(b"#!"))
    ]
    assert len(scripts) >= 10
    for script in scripts:
        shell = "sh" if script.read_bytes().startswith(b"#!/bin/sh") else "bash"
        argv: list[str | Path] = ["shellcheck", "-S", "warning", "-s", shell, script]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_mmdebstrap_trusts_the_archives_keys_alone(tmp_path: Path) -> None:
    """--keyring leaves /etc/apt/trusted.gpg.d of the build host in force."""
    settings = ELEMENTS / "imgbuild-debian/environment.d/10-imgbuild-debian.bash"
    told = 'set -eu; DIB_RELEASE=bookworm; . "$1"; eval "printf \'%s\\n\' $IMGBUILD_BASE_ARGS"'
    done = subprocess.run(["bash", "-c", told, "bash", settings], capture_output=True, text=True, check=True)
    (hook,) = [line.partition("=")[2] for line in done.stdout.splitlines() if line.startswith("--setup-hook=find")]
    apt = tmp_path / "root/etc/apt"
    (apt / "sources.list.d").mkdir(parents=True)
    (apt / "sources.list").write_text("deb http://mirror/debian bookworm main\n")
    (apt / "sources.list.d/0000locked.list").write_text("deb [trusted=yes] copy:///locked bookworm main\n")
    subprocess.run(["sh", "-ec", hook, "exec", tmp_path / "root"], check=True)
    keys = "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
    assert (apt / "sources.list").read_text() == f"deb [{keys}] http://mirror/debian bookworm main\n"
    assert "trusted=yes] copy:" in (apt / "sources.list.d/0000locked.list").read_text()


def test_no_mirror_has_a_name_in_the_elements() -> None:
    for path in (p for p in ELEMENTS.rglob("*") if p.is_file()):
        assert "://" not in path.read_text(), path
