"""A compressed qcow2, written on all processors, that reuses compressed blocks of an earlier disk.

The format is that of QEMU's docs/interop/qcow2.rst, version 3: header, refcounts, L1 and L2 tables, then the clusters
in the disk's order. A compressed cluster takes whole bytes, not whole clusters, and may cross the border of two.
`qemu-img convert -c` writes the same structure, but compresses everything again each time.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import zstandard
from isal import isal_zlib

from imgbuild.fetch.writeback import Writeback
from imgbuild.image.blocks import BLOCK, ZERO, Blocks, processors

Compression = Literal["zlib", "zstd"]
_TYPES: Mapping[Compression, int] = {"zlib": 0, "zstd": 1}
_COMPRESSION_BIT = 1 << 3  # incompatible feature: another compression than zlib
_BITS = 16  # of a cluster's size
_PER_TABLE = BLOCK // 8
_REFCOUNTS = BLOCK // 2  # in a block of 16 bits each
_COPIED, _COMPRESSED = 1 << 63, 1 << 62
_SECTORS_AT = 62 - (_BITS - 8)  # the bit from which on an L2 entry counts the further sectors of a compressed cluster
_HEADER = 112
_COPIED_AT_ONCE = 32 << 20  # bytes
_AHEAD = 256  # blocks that are compressed before the first of them is written
_ISAL_LEVEL = 2  # of a root file system: 4 % larger than zlib's level 6, in a fourteenth of its time
_ZSTD_LEVEL = 3  # QEMU's own (block/qcow2-threads.c: the library's default)


def compress(kind: Compression, block: bytes) -> bytes:
    """A block as QEMU compresses it; the block itself if that is not smaller.

    zlib: a raw stream with a window of 4 KiB, which is all that QEMU's reader allows.
    """
    if kind == "zlib":
        packer = isal_zlib.compressobj(_ISAL_LEVEL, isal_zlib.DEFLATED, -12)
        out = packer.compress(block) + packer.flush()
    else:
        out = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(block)
    return out if len(out) < BLOCK else block


def compressed(kind: Compression, blocks: Blocks, numbers: Sequence[int]) -> Generator[bytes]:
    """These blocks compressed, in order, with few of them in memory at a time."""
    with ThreadPoolExecutor(processors()) as pool:
        todo = iter(numbers)

        def submit(count: int) -> list[object]:
            return [pool.submit(lambda number: compress(kind, blocks.read(number)), n) for n in islice(todo, count)]

        waiting = submit(_AHEAD)
        while waiting:
            yield waiting.pop(0).result()  # type: ignore[attr-defined]
            waiting += submit(1)


@dataclass(frozen=True)
class Kept:
    """A block that is already compressed: ``size`` bytes at ``at`` in the file ``source``."""

    source: int
    at: int
    size: int


def write_qcow2(
    blocks: Blocks,
    output: Path,
    kind: Compression,
    kept: Callable[[bytes], Kept | None],
    look: Callable[[], None] = lambda: None,
) -> None:
    """Write the disk to ``output``. ``kept`` finds a compressed block by its digest, each at most once. ``look`` is
    called before each block, and may raise.

    The bytes are the same for the same disk, as long as ``kept`` has what `compress` gives.
    """
    digests = blocks.digests
    used = [number for number, digest in enumerate(digests) if digest != ZERO]
    found = {number: there for number in used if (there := kept(digests[number])) is not None}
    fresh = compressed(kind, blocks, [number for number in used if number not in found])
    tables = sorted({number // _PER_TABLE for number in used})
    l1_clusters = -(-max(1, -(-len(digests) // _PER_TABLE)) // _PER_TABLE)
    # Reference counts come first: as many as the disk can need if nothing of it can be compressed.
    most = 1 + l1_clusters + len(tables) + len(used)
    counted = -(-most // (_REFCOUNTS - 1)) + 1
    table_clusters = -(-counted // _PER_TABLE)
    l1_at = 1 + table_clusters + counted
    l2_at = {table: l1_at + l1_clusters + place for place, table in enumerate(tables)}
    start = (l1_at + l1_clusters + len(tables)) * BLOCK

    counts = [1] * (start // BLOCK) + [0] * (counted * _REFCOUNTS - start // BLOCK)
    l2 = {table: [0] * _PER_TABLE for table in tables}
    with closing(fresh), output.open("wb") as out, Writeback(out.fileno()) as writeback:
        stream = _Stream(out.fileno(), start, writeback)
        for number in used:
            look()
            there = found.get(number)
            size = there.size if there is not None else len(data := next(fresh))
            at = stream.place(size)
            stream.copy(there) if there is not None else stream.put(data)
            l2[number // _PER_TABLE][number % _PER_TABLE] = _entry(at, size)
            for cluster in range(at // BLOCK, (at + size - 1) // BLOCK + 1):
                counts[cluster] += 1
        end = stream.flush()
        # To the end of a cluster: a reader rounds the last compressed one up to whole sectors.
        os.ftruncate(out.fileno(), -(-end // BLOCK) * BLOCK)
        head = bytearray(_header(kind, len(digests), l1_at, table_clusters).ljust(BLOCK, b"\0"))
        first = 1 + table_clusters
        head += _words([(first + n) * BLOCK for n in range(counted)]).ljust(table_clusters * BLOCK, b"\0")
        head += struct.pack(f">{len(counts)}H", *counts)
        pointers = [l2_at[n] * BLOCK | _COPIED if n in l2_at else 0 for n in range(-(-len(digests) // _PER_TABLE))]
        head += _words(pointers).ljust(l1_clusters * BLOCK, b"\0")
        for table in tables:
            head += _words(l2[table])
        os.pwrite(out.fileno(), head, 0)


class _Stream:
    """The clusters' part of the file; neighbouring pieces of one source are copied in one go, by the kernel."""

    def __init__(self, out: int, start: int, writeback: Writeback) -> None:
        self._out, self._end, self._writeback = out, start, writeback
        self._run: tuple[int, int, int, int] | None = None  # source, at, target, size

    def place(self, size: int) -> int:
        """Where the next piece goes: an uncompressed cluster begins at a multiple of its size."""
        if size == BLOCK:
            self._end = -(-self._end // BLOCK) * BLOCK
        at, self._end = self._end, self._end + size
        return at

    def put(self, data: bytes) -> None:
        os.pwrite(self._out, data, self._end - len(data))
        self._writeback.wrote(self._end)

    def copy(self, there: Kept) -> None:
        target = self._end - there.size
        if self._run is not None:
            source, at, to, size = self._run
            if (source, at + size, to + size) == (there.source, there.at, target):
                self._run = source, at, to, size + there.size
                return
            self._copy()
        self._run = there.source, there.at, target, there.size

    def flush(self) -> int:
        self._copy()
        return self._end

    def _copy(self) -> None:
        if self._run is None:
            return
        source, at, to, left = self._run
        self._run = None
        while left:
            done = _copied(source, self._out, left, at, to)
            if not done:
                raise OSError("a file of compressed blocks ended early")
            at, to, left = at + done, to + done, left - done
            self._writeback.wrote(to)


def _copied(source: int, out: int, size: int, at: int, to: int) -> int:
    try:
        return os.copy_file_range(source, out, min(size, _COPIED_AT_ONCE), at, to)
    except OSError:  # between two file systems, before Linux 5.19
        return os.pwrite(out, os.pread(source, min(size, 1 << 22), at), to)


def _entry(at: int, size: int) -> int:
    if size == BLOCK:
        return at | _COPIED
    further = (at + size - 1) // 512 - at // 512
    return _COMPRESSED | further << _SECTORS_AT | at


def _words(values: Sequence[int]) -> bytes:
    return struct.pack(f">{len(values)}Q", *values)


def _header(kind: Compression, blocks: int, l1_at: int, table_clusters: int) -> bytes:
    return struct.pack(
        ">4sIQIIQIIQQIIQQQQIIB7x",
        b"QFI\xfb", 3, 0, 0, _BITS, blocks * BLOCK, 0,
        -(-blocks // _PER_TABLE), l1_at * BLOCK, BLOCK, table_clusters, 0, 0,
        _COMPRESSION_BIT if _TYPES[kind] else 0, 0, 0, 4, _HEADER, _TYPES[kind],
    )  # fmt: skip
