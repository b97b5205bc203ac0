"""Fixtures of the node files' tests."""

from __future__ import annotations

import shutil

import pytest

from tests.support.profiles import AWKS


@pytest.fixture(params=AWKS)
def awk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One awk after the other, for tests that run the node's checks (``fakenode.Node`` takes it)."""
    program = shutil.which(request.param)
    assert program is not None, f"{request.param} is not installed (the Makefile's TEST_PACKAGES)"
    monkeypatch.setenv("TEST_AWK", program)
    return str(request.param)
