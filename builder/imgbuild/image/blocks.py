"""A raw disk as blocks of 64 KiB, each with its sha256: hashed on all processors, and holes cost nothing."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from imgbuild.diagnostics.errors import HostError

BLOCK = 65536
"""Bytes: the cluster of a qcow2."""
ZEROS = bytes(BLOCK)
ZERO = hashlib.sha256(ZEROS).digest()
"""The digest of a block without content."""
_AT_ONCE = 64


class Blocks(Protocol):
    """A disk whose size is a whole number of blocks."""

    @property
    def digests(self) -> Sequence[bytes]:
        """The sha256 of each block, in order."""

    def read(self, number: int) -> bytes:
        """The content of a block. Called by several threads."""


class DamagedError(HostError):
    """A block of the kept file system is not what it was."""

    def __init__(self) -> None:
        super().__init__(
            "the file system in the cache differs from its record",
            "it was removed, and the next run makes it again; if that repeats, check the disk of the cache",
        )


class FileBlocks:
    """The blocks of a sparse file that no longer changes. With ``digests``, which are known from before, each block is
    compared with its own whenever it is read.
    """

    def __init__(self, path: Path, digests: Sequence[bytes] | None = None) -> None:
        self._file = path.open("rb")
        self._digests = self._known = digests

    @property
    def digests(self) -> Sequence[bytes]:
        if self._digests is None:
            size = os.fstat(self._file.fileno()).st_size
            found = [ZERO] * (size // BLOCK)
            for number, digest in hashed(lambda n: sha256(self.read(n)), with_data(self._file.fileno(), size)):
                found[number] = digest
            self._digests = found
        return self._digests

    def read(self, number: int) -> bytes:
        """The content of a block.

        Raises:
            DamagedError: it is not what it was.
        """
        block = os.pread(self._file.fileno(), BLOCK, number * BLOCK)
        if self._known is not None and sha256(block) != self._known[number]:
            raise DamagedError
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def sha256(content: bytes) -> bytes:
    """The digest of a block."""
    return hashlib.sha256(content).digest()


def hashed(digest: Callable[[int], bytes], numbers: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """These blocks with their digests; ``digest`` reads and hashes one, in a thread for each processor."""

    def several(part: Sequence[int]) -> list[tuple[int, bytes]]:
        return [(number, digest(number)) for number in part]

    wanted = list(numbers)
    parts = [wanted[at : at + _AT_ONCE] for at in range(0, len(wanted), _AT_ONCE)]
    with ThreadPoolExecutor(processors()) as pool:
        for found in pool.map(several, parts):
            yield from found


def with_data(descriptor: int, size: int, start: int = 0) -> Iterator[int]:
    """The blocks of a sparse file that are not holes; some of them may contain nothing but zeros."""
    at, last = start, -1
    while at < size:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        if at >= size:
            return
        end = min(os.lseek(descriptor, at, os.SEEK_HOLE), size)
        for number in range(max(at // BLOCK, last + 1), -(-end // BLOCK)):
            last = number
            yield number
        at = end


def used(digests: Sequence[bytes]) -> int:
    """How many blocks have content."""
    return len(digests) - digests.count(ZERO)


def copy_data(source: Path, target: int, offset: int = 0) -> None:
    """Copy what a sparse file has into the file ``target`` (a descriptor), from byte ``offset`` on."""
    with source.open("rb") as data:
        for number in with_data(data.fileno(), os.fstat(data.fileno()).st_size):
            os.pwrite(target, os.pread(data.fileno(), BLOCK, number * BLOCK), offset + number * BLOCK)


def disk_digest(digests: Sequence[bytes]) -> str:
    """The digest (hex) of a disk: the sha256 of its blocks' sha256, one after another."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def processors() -> int:
    """How many processors this process may use."""
    return max(1, len(os.sched_getaffinity(0)))
