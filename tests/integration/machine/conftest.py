"""Fixtures of the machine's tests."""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbuild.config.fields import Firmware
from imgbuild.diagnostics.progress import PlainSteps, Steps
from tests.support.machine import live
from tests.support.machine.tinyguest import TinyGuest, tiny_guest


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> TinyGuest:
    return tiny_guest(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_files: TinyGuest) -> Iterator[TinyGuest]:
    """A guest that boots in seconds; QEMU starts it instead of a disk."""
    with tiny_files.in_path():
        yield tiny_files


@pytest.fixture(scope="session")
def live_debian12(shared_folder: Path) -> Callable[[Firmware], Path]:
    """Build debian12-FIRMWARE with a live root, once a run; IMGBUILD_TEST_LIVE names a folder that has been built."""

    def made(firmware: Firmware) -> Path:
        name = f"debian12-{firmware}"
        kept = os.environ.get("IMGBUILD_TEST_LIVE")
        if kept is not None and (Path(kept).parent / name).is_dir():
            return Path(kept).parent / name
        folder = shared_folder / "live"
        folder.mkdir(exist_ok=True)
        with (shared_folder / "images.lock").open("w") as lock:  # one image at a time
            fcntl.flock(lock, fcntl.LOCK_EX)
            there = folder / "out" / name
            return (
                there
                if (there / "pxe/root.squashfs").exists()
                else live.build(folder, firmware, "{live: true}", "true")
            )

    return made


@pytest.fixture
def progress() -> io.StringIO:
    """What ``steps`` has shown."""
    return io.StringIO()


@pytest.fixture
def steps(progress: io.StringIO) -> Steps:
    return PlainSteps(progress)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "image.boot"
