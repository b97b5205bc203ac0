"""The wheel is whole: installed by itself, away from the checkout, it renders the same tree."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.places import ROOT


@pytest.mark.slow
def test_an_installed_wheel_renders_the_same_tree(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("imgbuild-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    subprocess.run([str(tmp_path / "venv/bin/pip"), "install", "--quiet", str(wheel)], check=True)
    commands = {"wheel": tmp_path / "venv/bin/imgbuild", "checkout": Path(sys.executable).with_name("imgbuild")}
    for name, imgbuild in commands.items():
        words = ["--profile", "centos8-efi", "--no-image", "--output", str(tmp_path / name)]
        subprocess.run([str(imgbuild), *words], check=True, cwd=tmp_path, capture_output=True)
    assert files(tmp_path / "wheel") == files(tmp_path / "checkout")
    shadowed = [str(tmp_path / "venv/bin/python"), "-c", "import cloudinit"]
    assert subprocess.run(shadowed, cwd=tmp_path, capture_output=True).returncode != 0


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    found = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_mode, p.read_bytes()) for p in found}
