"""Fixtures of the install scripts' tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.install.room import Room
from tests.support.mirror import Mirror, serving


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """An empty fake root."""
    if os.geteuid() != 0:
        pytest.skip("a chroot needs root")
    return Room(tmp_path / "room")


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """Serves ``mirror.folder``; ``mirror.asked`` are the paths that were asked for."""
    with serving(tmp_path / "mirror") as served:
        yield served
