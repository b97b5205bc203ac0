"""Fixtures of the machine's tests."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from imgbuild.diagnostics.progress import PlainSteps, Steps
from imgbuild.machine import DirectKernel
from tests.support.machine.tinyguest import tiny_guest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DirectKernel:
    """A guest that boots in seconds."""
    return tiny_guest(tmp_path_factory.mktemp("tiny"))


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
