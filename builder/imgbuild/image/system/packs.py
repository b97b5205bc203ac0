"""The blocks of a kept file system, compressed once: a qcow2 copies those that have not changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from imgbuild.image.blocks import ZERO, Blocks, processors, used
from imgbuild.image.cache import Unfit, regular, remove, write_record
from imgbuild.image.formats.qcow2 import Compression, Kept, compressed

KINDS: Sequence[Compression] = ("zlib", "zstd")
_PART = 8 << 20  # bytes that are hashed at a time


class Pack:
    """Compressed blocks by their digest. Each is given away once: no two clusters of a disk share their bytes."""

    def __init__(self, file: int, digests: Sequence[bytes], sizes: Sequence[int]) -> None:
        self._found: dict[bytes, list[Kept]] = defaultdict(list)
        at = 0
        blocks = (digest for digest in digests if digest != ZERO)
        for digest, size in zip(blocks, sizes, strict=True):
            self._found[digest].append(Kept(file, at, size))
            at += size
        for several in self._found.values():
            several.reverse()

    def take(self, digest: bytes) -> Kept | None:
        """A compressed block with this content."""
        there = self._found.get(digest)
        return there.pop() if there else None


@contextmanager
def pack_of(
    folder: Path, kind: Compression, base: Blocks, verified: Future[Sequence[int]] | None = None
) -> Iterator[Pack]:  # fmt: skip
    """The pack of a kept file system in its ``folder``: verified, or made now.

    ``verified``: what `sizes_of` gives or raises, if another thread has called it.
    """
    data, record = _files(folder, kind)
    sizes: Sequence[int]
    try:
        sizes = verified.result() if verified is not None else sizes_of(folder, kind, used(base.digests))
    except Unfit:
        remove(record)
        remove(data)
        sizes = _made(data, record, kind, base)
    with data.open("rb") as file:
        yield Pack(file.fileno(), base.digests, sizes)


def sizes_of(folder: Path, kind: Compression, count: int) -> Sequence[int]:
    """The sizes of the ``count`` blocks of a pack, all of which was just read.

    Raises:
        Unfit: it differs from its record.
    """
    data, record = _files(folder, kind)
    for path in (record, data):
        regular(path)
    try:
        about = json.loads(record.read_text())
        sizes, sums = [int(size) for size in about["sizes"]], list(about["sha256"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise Unfit("its record cannot be read") from None
    if len(sizes) != count or data.stat().st_size != sum(sizes) or _sums(data) != sums:
        raise Unfit("it differs from its record")
    return sizes


def _files(folder: Path, kind: Compression) -> tuple[Path, Path]:
    return folder / f"{kind}.pack", folder / f"{kind}.json"


def _made(data: Path, record: Path, kind: Compression, base: Blocks) -> list[int]:
    numbers = [number for number, digest in enumerate(base.digests) if digest != ZERO]
    sizes = []
    part = data.with_name(f"{data.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as out:
            for block in compressed(kind, base, numbers):
                out.write(block)
                sizes.append(len(block))
        sums = _sums(part)
        part.replace(data)
    finally:
        part.unlink(missing_ok=True)
    write_record(record, {"sizes": sizes, "sha256": sums})
    return sizes


def _sums(file: Path) -> list[str]:
    """The sha256 of each 8 MiB, hashed on all processors."""
    with file.open("rb") as data, ThreadPoolExecutor(processors()) as pool:
        parts = range(0, os.fstat(data.fileno()).st_size, _PART)
        return list(pool.map(lambda at: hashlib.sha256(os.pread(data.fileno(), _PART, at)).hexdigest(), parts))
