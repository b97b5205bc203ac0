"""Fixtures of the node files' tests."""

from __future__ import annotations

import shutil
import zlib

import pytest

from tests.support.profiles import AWKS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """``make test`` runs each of these tests with one awk, in turn; ``make test-all`` with all of them."""
    awks = tuple(AWKS)
    for item in items:
        call = getattr(item, "callspec", None)
        if call is None or "awk" not in call.params:
            continue
        rest = item.name.replace(call.params["awk"], "")
        if awks[zlib.crc32(rest.encode()) % len(awks)] != call.params["awk"]:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=AWKS)
def awk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One awk after the other, for tests that run the node's checks (``fakenode.Node`` takes it)."""
    program = shutil.which(request.param)
    assert program is not None, f"{request.param} is not installed (the Makefile's TEST_PACKAGES)"
    monkeypatch.setenv("TEST_AWK", program)
    return str(request.param)
