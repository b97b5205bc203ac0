"""The disk that a build works on: of the kept file system only the metadata is copied, which is a fiftieth of it.

debugfs, resize2fs and e2fsck read and write nothing but metadata and the content of files that are named. So the
content of all other files stays where it is, in the cache, until something reads it: the proof, or a format that QEMU
makes from the whole disk. A qcow2 takes what has not changed from blocks that are already compressed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from imgbuild.image.blocks import BLOCK, ZERO, Blocks, FileBlocks, copy_data, hashed, sha256, with_data
from imgbuild.image.system.edit import Extents

PAGE = 4096
"""A block of the file system: bytes."""
_EMPTY = bytes(PAGE)
_PAGES = BLOCK // PAGE


class Working:
    """``disk`` with the metadata of a kept file system at ``offset`` bytes; ``base`` is that file system, ``meta`` its
    metadata alone, and ``digests`` are those of the base's blocks, which are verified whenever one is read. ``grown``:
    the metadata after the file system was resized, if it was.

    What the build itself writes outside the file system (partition table, boot loader) is in ``disk``.
    """

    def __init__(
        self, disk: Path, offset: int, base: Path, meta: Path, digests: Sequence[bytes], grown: Path | None = None
    ) -> None:  # fmt: skip
        self.path, self._offset, self._digests = disk, offset, digests
        self._base, self._meta = FileBlocks(base, digests), meta.open("rb")
        self._disk = disk.open("r+b")
        self._own: set[int] = set()
        self._filled = False
        copy_data(grown or meta, self._disk.fileno(), offset)

    @property
    def device(self) -> str:
        """The file system, as e2fsprogs' tools take it."""
        return f"{self.path}?offset={self._offset}"

    def own(self, pages: Iterable[int]) -> None:
        """These blocks of the file system (4096 bytes each) are the build's own, whatever the base has there."""
        self._own.update(pages)

    def fill(self) -> None:
        """Copy the base's content into the disk's file, which is then the disk itself.

        Raises:
            DamagedError: a block of the base is not what it was.
        """
        first = self._offset // BLOCK
        for number, digest in enumerate(self._digests):
            if digest != ZERO:
                os.pwrite(self._disk.fileno(), self._read(first + number), (first + number) * BLOCK)
        self._filled = True

    def content(self, file: Extents) -> bytes:
        """The content of a file of the file system.

        Raises:
            DamagedError: a block of the base is not what it was.
        """
        content = bytearray(-(-file.size // PAGE) * PAGE)
        for start, place, count in file.runs:
            for number in range(place // _PAGES, (place + count - 1) // _PAGES + 1):
                first = max(place, number * _PAGES)
                end = min(place + count, (number + 1) * _PAGES)
                block = self._read(self._offset // BLOCK + number)
                at = (start + first - place) * PAGE
                size = (end - first) * PAGE
                content[at : at + size] = block[(first - number * _PAGES) * PAGE :][:size]
        return bytes(content[: file.size])

    def blocks(self) -> Blocks:
        """The disk's blocks as they are now; nothing must write to it any more."""
        return _WorkingBlocks(self)

    def close(self) -> None:
        """Close the files."""
        for file in (self._base, self._meta, self._disk):
            file.close()

    def _merged(self, number: int, written: bytes) -> bytes:
        """Block ``number`` of the file system: what the build wrote, else the base's.

        A page counts as written if it has content here, if it had metadata, or if it is the build's own.
        """
        base = self._base.read(number)
        meta = os.pread(self._meta.fileno(), BLOCK, number * BLOCK)
        pages = []
        for page in range(_PAGES):
            there = slice(page * PAGE, (page + 1) * PAGE)
            ours = written[there] != _EMPTY or meta[there] != _EMPTY or number * _PAGES + page in self._own
            pages.append(written[there] if ours else base[there])
        return b"".join(pages)

    def _read(self, number: int) -> bytes:
        """Block ``number`` of the disk."""
        written = os.pread(self._disk.fileno(), BLOCK, number * BLOCK)
        inside = number - self._offset // BLOCK
        if not self._filled and 0 <= inside < len(self._digests) and self._digests[inside] != ZERO:
            return self._merged(inside, written)
        return written

    def _all_digests(self) -> Sequence[bytes]:
        size = os.fstat(self._disk.fileno()).st_size
        first = self._offset // BLOCK
        digests = [ZERO] * (size // BLOCK)
        digests[first : first + len(self._digests)] = self._digests[: len(digests) - first]
        for number, digest in hashed(lambda n: sha256(self._read(n)), with_data(self._disk.fileno(), size)):
            digests[number] = digest
        return digests


class _WorkingBlocks:
    def __init__(self, working: Working) -> None:
        self.digests = working._all_digests()
        self.read = working._read
