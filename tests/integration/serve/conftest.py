"""Fixtures of serve's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving.segment import Segment, segment


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Segment]:
    """A network of the test's own, with a host for the server."""
    with segment(tmp_path) as made:
        yield made
