"""disk.data.* and disk.extents: what is sent of a disk, in which order, and that it is the disk again."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbuild.config.target import Compression
from imgbuild.diagnostics.errors import HostError
from imgbuild.image.disk import extents as module
from imgbuild.image.disk.chainload import config
from imgbuild.image.disk.extents import LIST, LONGEST, Extent, data_name, extents, write_extents
from imgbuild.image.disk.layout import disk_layout
from imgbuild.image.sizes import MIB
from tests.support.image.plan import DEBIAN

_LAYOUT = disk_layout("ab" * 32, "efi", 512, DEBIAN)


def _disk(folder: Path, size_mib: int, *with_data: int) -> Path:
    """A disk with a byte in the middle of these MiB."""
    disk = folder / "disk.raw"
    with disk.open("wb") as out:
        out.truncate(size_mib * MIB)
        for number in with_data:
            out.seek(number * MIB + MIB // 2)
            out.write(b"%d" % (number + 1))
    return disk


def test_only_what_has_data_is_sent_and_what_makes_it_a_disk_comes_last(tmp_path: Path) -> None:
    found = extents(_disk(tmp_path, 10, 0, 2, 3, 7, 9))
    assert found == [
        Extent(2 * MIB, 2 * MIB), Extent(7 * MIB, MIB), Extent(9 * MIB, MIB, held=True), Extent(0, MIB, held=True),
    ]  # fmt: skip


def test_zeros_that_are_written_are_a_hole_too(tmp_path: Path) -> None:
    disk = _disk(tmp_path, 6, 2)
    before = extents(disk)
    with disk.open("r+b") as out:
        out.seek(3 * MIB)
        out.write(bytes(2 * MIB))
    assert extents(disk) == before


def test_a_long_run_of_data_is_cut(tmp_path: Path) -> None:
    count = LONGEST // MIB + 3
    found = extents(_disk(tmp_path, count + 2, *range(1, count + 1)))
    assert [part.length for part in found[:2]] == [LONGEST, 3 * MIB]


@pytest.mark.parametrize("size", [2 * MIB, 4 * MIB + 512])
def test_a_disk_without_whole_mib_is_refused(tmp_path: Path, size: int) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as out:
        out.truncate(size)
    with pytest.raises(ValueError, match="whole MiB"):
        extents(disk)


def _rows(folder: Path) -> dict[str, list[list[str]]]:
    out: dict[str, list[list[str]]] = {}
    for line in (folder / LIST).read_text().splitlines():
        key, *words = line.split()
        out.setdefault(key, []).append(words)
    return out


@settings(max_examples=20, deadline=None)
@given(numbers=st.sets(st.integers(1, 6), max_size=6))
def test_the_parts_are_the_disk(tmp_path_factory: pytest.TempPathFactory, numbers: set[int]) -> None:
    folder = tmp_path_factory.mktemp("disk")
    disk = _disk(folder, 8, *numbers)
    again = bytearray(8 * MIB)
    data = disk.read_bytes()
    for part in extents(disk):
        again[part.offset : part.offset + part.length] = data[part.offset : part.offset + part.length]
    assert bytes(again) == data


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_the_list_describes_the_data(tmp_path: Path, compression: Compression) -> None:
    disk = _disk(tmp_path, 12, 0, 4, 5, 11)
    write_extents(disk, _LAYOUT, tmp_path, compression)
    place, rows = tmp_path / data_name(compression), _rows(tmp_path)
    packed = place.read_bytes()
    assert rows["sha256"] == [[hashlib.sha256(packed).hexdigest()]]
    assert rows["bytes"] == [[str(len(packed))]]
    assert rows["root"] == [[str(_LAYOUT.root_offset), str(_LAYOUT.root_bytes)]]
    plain = gzip.decompress(packed) if compression == "gzip" else _unpacked(place)
    for row in (*rows["extent"], *rows["held"]):
        offset, length = int(row[0]), int(row[1])
        part, plain = plain[:length], plain[length:]
        assert hashlib.sha256(part).hexdigest() == row[2]
        assert part == disk.read_bytes()[offset : offset + length]
    assert plain == b""


def _unpacked(place: Path) -> bytes:
    return subprocess.run(["zstd", "-dc", place], check=True, capture_output=True).stdout


def test_the_same_disk_gives_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for number, cores in enumerate(({0}, {0, 1, 2})):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: cores)
        files = write_extents(_disk(folder, 12, 0, 4, 5, 9, 11), _LAYOUT, folder, "zstd")
        found.append([file.read_bytes() for file in files])
    assert found[0] == found[1]


def test_a_packer_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _disk(tmp_path, 40, *range(1, 39))
    monkeypatch.setitem(module._PACKERS, "zstd", ("sh", "-c", "echo broken >&2; exit 3"))
    with pytest.raises(HostError, match="status 3: broken"):
        write_extents(disk, _LAYOUT, tmp_path, "zstd")
    assert not (tmp_path / LIST).exists()
    monkeypatch.setitem(module._PACKERS, "zstd", ("no-such-packer",))
    with pytest.raises(HostError, match="no-such-packer is not installed"):
        write_extents(disk, _LAYOUT, tmp_path, "zstd")


def test_the_small_boot_loader_knows_the_images_file_system() -> None:
    lines = config(_LAYOUT).splitlines()
    assert lines[0] == f"search.fs_uuid {_LAYOUT.esp_fs_uuid} root"
    assert lines[1:3] == ["chainloader ($root)/EFI/BOOT/BOOTX64.EFI", "boot"]
    assert lines[-1] == "exit"
