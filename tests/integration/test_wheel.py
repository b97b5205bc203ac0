"""Wheel and source distribution are whole: installed by itself, away from the checkout, it renders the same tree.

Both are built from a clean export: what an earlier build has left in build/ would otherwise get into the wheel. The
wheel is built from the source distribution, so a file that this one lacks is missing from the installed program too.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.places import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / "export" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / "export" / name)
    build = [sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(folder / "export")]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


def test_the_wheel_has_one_package_and_no_leftovers(dist: Path) -> None:
    (wheel,) = dist.glob("imgbuild-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
    assert {name.split("/")[0] for name in names} == {"imgbuild", info}
    assert {"imgbuild/py.typed", "imgbuild/data/profiles/base.yaml", f"{info}/licenses/LICENSE"} <= set(names)
    sources = (ROOT / "builder").rglob("*.py")
    assert {n for n in names if n.endswith(".py")} == {str(p.relative_to(ROOT / "builder")) for p in sources}
    for room in ("cloudinit", "elements", "node", "profiles"):
        ours = {str(p.relative_to(ROOT / room)) for p in (ROOT / room).rglob("*") if p.is_file()}
        start = f"imgbuild/data/{room}/"
        assert {n.removeprefix(start) for n in names if n.startswith(start)} == ours


def test_the_source_distribution_has_what_a_reader_and_a_tester_need(dist: Path) -> None:
    (archive,) = dist.glob("imgbuild-*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    wanted = ["LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "Containerfile"]
    wanted += ["docs/index.md", "docs/images/demo.svg", "examples/ha-vip/cluster.yaml", "tests/conftest.py"]
    assert set(wanted) <= names
    assert not [name for name in names if "__pycache__" in name]


def test_an_installed_wheel_renders_the_same_tree(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("imgbuild-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    subprocess.run([str(tmp_path / "venv/bin/pip"), "install", "--quiet", str(wheel)], check=True)
    python = str(tmp_path / "venv/bin/python")
    commands = {
        "program": [str(tmp_path / "venv/bin/imgbuild")],
        "module": [python, "-m", "imgbuild"],
        "checkout": [str(Path(sys.executable).with_name("imgbuild"))],
    }
    for name, imgbuild in commands.items():
        words = ["--profile", "centos8-efi", "--no-image", "--output", str(tmp_path / name)]
        subprocess.run([*imgbuild, *words], check=True, cwd=tmp_path, capture_output=True)
    assert files(tmp_path / "program") == files(tmp_path / "module") == files(tmp_path / "checkout")
    for other in ("cloudinit", "builder", "tests"):
        assert subprocess.run([python, "-c", f"import {other}"], cwd=tmp_path, capture_output=True).returncode != 0


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    found = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_mode, p.read_bytes()) for p in found}
