"""imgbuild's own qcow2: what QEMU reads of it, and what is taken from blocks that are compressed already."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from imgbuild.image.blocks import BLOCK, ZERO, DamagedError, FileBlocks, disk_digest, with_data
from imgbuild.image.cache import Unfit
from imgbuild.image.formats.qcow2 import Compression, compress, write_qcow2
from imgbuild.image.system.packs import pack_of, sizes_of

KINDS: tuple[Compression, ...] = ("zlib", "zstd")
needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img")


def disk_of(path: Path, blocks: dict[int, bytes], count: int) -> Path:
    with path.open("wb") as out:
        out.truncate(count * BLOCK)
        for number, content in blocks.items():
            out.seek(number * BLOCK)
            out.write(content)
    return path


def mixed(seed: int = 1) -> dict[int, bytes]:
    """Blocks that compress well, badly and not at all, the same one twice, and one with zeros."""
    dice = random.Random(seed)  # noqa: S311 - not a secret
    noise = dice.randbytes(BLOCK)
    half = dice.randbytes(BLOCK // 2) + bytes(BLOCK // 2)
    blocks = {0: b"boot".ljust(BLOCK, b"\0"), 1: noise, 2: half, 3: half, 5: bytes(BLOCK), 9000: noise}
    return blocks | {n: f"text {n} ".encode() * 5000 for n in range(20, 60)} | {17000: b"the end" + bytes(BLOCK - 7)}


def padded(blocks: dict[int, bytes]) -> dict[int, bytes]:
    return {number: content[:BLOCK].ljust(BLOCK, b"\0") for number, content in blocks.items()}


def nothing(_digest: bytes) -> None:
    return None


@needs_qemu
@pytest.mark.parametrize("kind", KINDS)
def test_qemu_reads_back_the_disk(kind: Compression, tmp_path: Path) -> None:
    raw = disk_of(tmp_path / "raw", padded(mixed()), 17001)
    write_qcow2(FileBlocks(raw), tmp_path / "qcow2", kind, nothing)
    for argv in (["check", "-f", "qcow2", "qcow2"], ["compare", "-f", "qcow2", "-F", "raw", "qcow2", "raw"]):
        done = subprocess.run(["qemu-img", *argv], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "leak" not in done.stdout


@needs_qemu
@pytest.mark.parametrize("blocks", [{}, {0: b"x"}, {8191: b"y", 8192: b"z"}], ids=["empty", "one", "two tables"])
def test_small_disks(blocks: dict[int, bytes], tmp_path: Path) -> None:
    raw = disk_of(tmp_path / "raw", padded(blocks), 8193)
    write_qcow2(FileBlocks(raw), tmp_path / "qcow2", "zlib", nothing)
    subprocess.run(["qemu-img", "check", "-q", "qcow2"], check=True, cwd=tmp_path)
    subprocess.run(["qemu-img", "compare", "-q", "qcow2", "raw"], check=True, cwd=tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pack_gives_the_same_bytes_and_nothing_is_compressed_twice(
    kind: Compression, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = FileBlocks(disk_of(tmp_path / "base", padded(mixed()), 17001))
    changed = padded(mixed()) | {30: os.urandom(BLOCK), 31: bytes(BLOCK), 100: b"new".ljust(BLOCK, b"\0")}
    disk = FileBlocks(disk_of(tmp_path / "disk", changed, 17001))
    write_qcow2(disk, tmp_path / "whole", kind, nothing)
    with pack_of(tmp_path, kind, base):
        pass
    packed: list[bytes] = []

    def counted(which: Compression, block: bytes) -> bytes:
        packed.append(block)
        return compress(which, block)

    monkeypatch.setattr("imgbuild.image.formats.qcow2.compress", counted)
    with pack_of(tmp_path, kind, base) as pack:
        write_qcow2(disk, tmp_path / "quick", kind, pack.take)
    assert (tmp_path / "quick").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(packed) == sorted([changed[30], changed[100]])


def test_a_pack_that_was_changed_is_made_again(tmp_path: Path) -> None:
    base = FileBlocks(disk_of(tmp_path / "base", padded(mixed()), 17001))
    used = len(base.digests) - base.digests.count(ZERO)
    with pack_of(tmp_path, "zstd", base):
        pass
    good = (tmp_path / "zstd.pack").read_bytes()
    for bad in (good[:-1], b"\xff" + good[1:], good + b"x"):
        (tmp_path / "zstd.pack").write_bytes(bad)
        with pytest.raises(Unfit):
            sizes_of(tmp_path, "zstd", used)
        with pack_of(tmp_path, "zstd", base):
            assert (tmp_path / "zstd.pack").read_bytes() == good
    with pytest.raises(Unfit):
        sizes_of(tmp_path, "zstd", used + 1)
    (tmp_path / "zstd.json").write_text("{}")
    with pytest.raises(Unfit, match="record"):
        sizes_of(tmp_path, "zstd", used)


def test_holes_are_not_read_and_count_as_zeros(tmp_path: Path) -> None:
    blocks = {3: b"a".ljust(BLOCK, b"\0"), 700: bytes(BLOCK)}
    raw = disk_of(tmp_path / "raw", blocks, 1000)
    found = FileBlocks(raw)
    assert [number for number, digest in enumerate(found.digests) if digest != ZERO] == [3]
    with raw.open("rb") as data:
        assert set(with_data(data.fileno(), 1000 * BLOCK)) < set(range(1000))
    whole = tmp_path / "whole"
    whole.write_bytes(raw.read_bytes())
    assert disk_digest(FileBlocks(whole).digests) == disk_digest(found.digests)
    changed = tmp_path / "changed"
    changed.write_bytes(raw.read_bytes()[:-1] + b"\1")
    assert disk_digest(FileBlocks(changed).digests) != disk_digest(found.digests)


def test_a_damaged_block_does_not_get_into_a_pack(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(os.urandom(3 * BLOCK))
    digests = FileBlocks(raw).digests
    raw.write_bytes(os.urandom(BLOCK))
    with pytest.raises(DamagedError), pack_of(tmp_path, "zstd", FileBlocks(raw, digests)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
