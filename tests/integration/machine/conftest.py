"""Fixtures of the machine's tests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbuild.diagnostics.progress import PlainSteps, Steps
from tests.support.machine.tinyguest import TinyGuest, tiny_guest


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> TinyGuest:
    return tiny_guest(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_files: TinyGuest) -> Iterator[TinyGuest]:
    """A guest that boots in seconds; QEMU starts it instead of a disk."""
    with tiny_files.in_path():
        yield tiny_files


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
