"""What a build of Debian does beside dpkg: the element's own programs, with real depmod and dpkg-deb."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.deadline import HUNG
from tests.support.image.plan import ELEMENTS

_PROGRAMS = ELEMENTS / "imgbuild-debian/imgbuild-debian-files/usr/libexec/imgbuild-build"
_RELEASE = "6.1.0-test"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The programs, in a folder that they may write to."""
    return Path(shutil.copytree(_PROGRAMS, tmp_path / "imgbuild-build"))


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=HUNG)


def test_what_runs_beside_is_waited_for(here: Path, tmp_path: Path) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    assert run(here / "beside").returncode == 0
    # Without pipes: a caller's pipe would be open until the last of them has ended.
    slow = f"while [ ! -e {go} ]; do sleep 0.05; done; touch {done}"
    subprocess.run(
        [here / "beside", "sh", "-c", slow], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert not done.exists()
    with subprocess.Popen([here / "beside"]) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.3)
        go.touch()
        assert waiting.wait(HUNG) == 0
    assert done.exists()


def test_what_fails_beside_fails_the_build(here: Path) -> None:
    for command in ("true", "false"):
        assert run(here / "beside", command).returncode == 0
    said = run(here / "beside")
    assert (said.returncode, said.stderr) == (1, "imgbuild: error: 'false' failed: see the errors above\n")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A kernel's package with one module, which a compiler has made."""
    root = tmp_path / "package"
    modules = root / f"lib/modules/{_RELEASE}/kernel"
    modules.mkdir(parents=True)
    (tmp_path / "one.c").write_text("int one;\n")
    subprocess.run(["gcc", "-c", tmp_path / "one.c", "-o", modules / "one.ko"], check=True)
    (root / "DEBIAN").mkdir()
    about = (
        "Package: linux-image-test\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.com>\nDescription: x\n"
    )
    (root / "DEBIAN/control").write_text(about)
    deb = tmp_path / f"linux-image-{_RELEASE}_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, deb], check=True, stdout=subprocess.DEVNULL)
    return deb


def indexed(
    here: Path, package: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> subprocess.CompletedProcess[str]:
    """What the kernel's script gets, with its modules in ``there``. A line marks the index that was made beside."""
    monkeypatch.setenv("IMGBUILD_ROOT", str(there))
    paths = f"/x/other_1_all.deb\n{package}\n"
    subprocess.run([here / "index-modules"], input=paths, text=True, check=True, stdout=subprocess.DEVNULL)
    assert run(here / "beside").returncode == 0
    with (here / f"state/modules/lib/modules/{_RELEASE}/modules.dep").open("a") as index:
        index.write("# made beside\n")
    return run(here / "depmod", _RELEASE)


def test_a_kernels_modules_are_indexed_from_its_package(
    here: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "package"
    done = indexed(here, package, there, monkeypatch)
    assert (done.returncode, done.stderr) == (0, "")
    assert (there / f"lib/modules/{_RELEASE}/modules.dep").read_text() == "kernel/one.ko:\n# made beside\n"
    assert {path.name for path in (there / f"lib/modules/{_RELEASE}").glob("modules.*.bin")} >= {"modules.dep.bin"}
    assert not (here / "state/modules").exists()


def test_a_module_of_another_package_is_indexed_too(
    here: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "package"
    (there / f"lib/modules/{_RELEASE}/kernel/two.ko").touch()
    done = indexed(here, package, there, monkeypatch)
    assert "could not open directory /lib/modules/6.1.0-test" in done.stderr, "depmod itself has run"
    assert not (there / f"lib/modules/{_RELEASE}/modules.dep").exists()


def test_a_package_that_cannot_be_read_fails_the_kernels_script(here: Path, tmp_path: Path) -> None:
    broken = tmp_path / "linux-image-6.1_1_all.deb"
    broken.write_text("no package")
    subprocess.run([here / "index-modules"], input=f"{broken}\n", text=True, check=True, stdout=subprocess.DEVNULL)
    said = run(here / "depmod", _RELEASE)
    assert said.returncode == 1
    assert f"index-modules {broken}' failed" in said.stderr


def test_an_initramfs_is_made_once_at_the_end_and_later_updated(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`update-initramfs -u` heeds update_initramfs=no, `-c` does not. A stand-in writes down how it was called."""
    root = tmp_path / "root"
    monkeypatch.setenv("IMGBUILD_ROOT", str(root))
    for folder in ("lib/modules/1.0", "lib/modules/2.0", "boot", "usr/sbin"):
        (root / folder).mkdir(parents=True)
    program = root / "usr/sbin/update-initramfs"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    program.chmod(0o755)
    (root / "boot/initrd.img-1.0").touch()

    assert run(here / "beside").returncode == 0
    assert run(here / "make-initramfs").returncode == 0
    assert not (tmp_path / "calls").exists(), "no package has asked"
    for words in (("-c", "-k", "2.0"), ("-u",)):
        assert run(here / "update-initramfs", *words).returncode == 0
    for _ in range(2):
        assert run(here / "make-initramfs").returncode == 0
    assert (tmp_path / "calls").read_text() == "-u -k 1.0\n-c -k 2.0\n"
