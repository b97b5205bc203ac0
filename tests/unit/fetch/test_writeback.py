"""A large file is given to the disk while it grows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgbuild.fetch.writeback import Writeback

MIB = 1 << 20


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    return calls


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_number: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)


def test_it_is_synced_at_every_64_mib(synced: list[int], tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as out, Writeback(out.fileno(), 10 * MIB) as writeback:
        for end in (70 * MIB, 73 * MIB, 74 * MIB):
            writeback.wrote(end)
        number = out.fileno()
    assert synced == [number]


@pytest.mark.usefixtures("broken")
def test_an_error_of_the_disk_is_raised(tmp_path: Path) -> None:
    with (
        (tmp_path / "file").open("wb") as out,
        pytest.raises(OSError, match="Input/output"),
        Writeback(out.fileno()) as writeback,
    ):
        writeback.wrote(64 * MIB)


@pytest.mark.usefixtures("broken")
def test_the_error_of_the_block_comes_first(tmp_path: Path) -> None:
    with (
        (tmp_path / "file").open("wb") as out,
        pytest.raises(ValueError, match="wrong"),
        Writeback(out.fileno()) as writeback,
    ):
        writeback.wrote(64 * MIB)
        raise ValueError("wrong")
