"""The data of a disk in the form that a machine installs from: disk.data.* and the list disk.extents.

Only the MiB of the disk that have data are sent: of a 4 GiB image that is a seventh. The first MiB (boot sector and
partition table) and the last one (the second GPT) come at the end of the stream: the installer writes them after
everything else is known to be right, so that an unfinished disk is not a disk with data.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from imgbuild.config.target import Compression
from imgbuild.diagnostics.errors import HostError
from imgbuild.fetch.checksum import sha256_of
from imgbuild.image.blocks import BLOCK, processors, with_data
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.sizes import MIB
from imgbuild.image.tool import failure, no_space

VERSION = 1
"""The version of the format of disk.extents: the installer refuses another one."""
LIST = "disk.extents"
LONGEST = 32 * MIB
"""The longest extent: the installer reports its progress after each, and has two of them in memory."""
_SUFFIX: dict[Compression, str] = {"zstd": "zst", "gzip": "gz"}
# zstd: all processors give the same bytes. gzip: -n leaves out name and time.
_PACKERS: dict[Compression, tuple[str, ...]] = {
    "zstd": ("zstd", "--quiet", "--stdout", "--threads={cores}", "-9"),
    "gzip": ("gzip", "--no-name", "--stdout", "-6"),
}


@dataclass(frozen=True)
class Extent:
    """A part of the disk that has data; ``offset`` and ``length`` are in bytes."""

    offset: int
    length: int
    held: bool = False
    """Whether it is written after everything else: what makes it a disk with partitions."""


def data_name(compression: Compression) -> str:
    """The name of the file with the data."""
    return f"disk.data.{_SUFFIX[compression]}"


def extents(disk: Path) -> list[Extent]:
    """The parts of a raw disk that have data, in whole MiB, in the order in which they are sent.

    By content, not by the holes of the file: the same disk gives the same list on each file system.

    Raises:
        ValueError: its size is not a whole number of MiB, or below 3 MiB.
    """
    size = disk.stat().st_size
    if size % MIB or size < 3 * MIB:
        raise ValueError(f"{disk} has {size} bytes: a disk has whole MiB, and three at least")
    out: list[Extent] = []
    with disk.open("rb") as data:
        for offset in _with_data(data.fileno(), size - MIB):
            if offset == 0:
                continue
            last = out[-1] if out else None
            if last is not None and last.offset + last.length == offset and last.length < LONGEST:
                out[-1] = Extent(last.offset, last.length + MIB)
            else:
                out.append(Extent(offset, MIB))
    return [*out, Extent(size - MIB, MIB, held=True), Extent(0, MIB, held=True)]


def _with_data(number: int, end: int) -> Iterator[int]:
    """Where the MiB before ``end`` are that have other bytes than zeros; holes of the file are not read."""
    zeros = bytes(MIB)
    for offset in dict.fromkeys(block * BLOCK // MIB * MIB for block in with_data(number, end)):
        if os.pread(number, MIB, offset) != zeros:
            yield offset


def write_extents(disk: Path, layout: DiskLayout, folder: Path, compression: Compression) -> list[Path]:
    """Write the data and the list of the raw ``disk`` into ``folder``; returns both files.

    The same disk gives the same bytes, with the same version of the packer.

    Raises:
        HostError: the packer is missing or failed; no space.
    """
    name, cores = data_name(compression), processors()
    parts, place = extents(disk), folder / name
    argv = [word.format(cores=cores) for word in _PACKERS[compression]]
    what = "pack the data of the disk"
    try:
        with place.open("wb") as out, subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE
        ) as packer:  # fmt: skip
            assert packer.stdin is not None and packer.stderr is not None  # noqa: S101 - pipes
            try:
                sums = _send(disk, parts, packer.stdin)
                packer.stdin.close()
            except BrokenPipeError:
                sums = []
            said = packer.stderr.read().decode(errors="replace")
    except FileNotFoundError as error:
        raise HostError(f"cannot {what}: {argv[0]} is not installed", f"apt-get install {argv[0]}") from error
    except OSError as error:
        if error.errno in {28, 122}:  # ENOSPC, EDQUOT
            raise no_space(what) from error
        raise
    if packer.returncode or not sums:
        raise failure(what, argv[0], packer.returncode, said)
    text = _listed(disk.stat().st_size, layout, parts, sums, place, compression)
    (folder / LIST).write_text(text)
    return [place, folder / LIST]


def _send(disk: Path, parts: Sequence[Extent], out: IO[bytes]) -> list[str]:
    """Send the extents' bytes, and return the sha256 of each."""
    sums = []
    with disk.open("rb") as data:
        for part in parts:
            data.seek(part.offset)
            digest, left = hashlib.sha256(), part.length
            while left:
                block = data.read(min(left, 4 * MIB))
                if not block:
                    raise ValueError(f"{disk} is shorter than {part.offset + part.length} bytes")
                digest.update(block)
                out.write(block)
                left -= len(block)
            sums.append(digest.hexdigest())
    return sums


def _listed(
    size: int, layout: DiskLayout, parts: Sequence[Extent], sums: Sequence[str], data: Path, compression: Compression
) -> str:
    """The list: a line a value, read by bash on the machine that is installed."""
    head = [
        ("imgbuild-extents", VERSION),
        ("size", size),
        ("firmware", layout.firmware),
        ("disk", layout.disk_uuid),
        ("root", f"{layout.root_offset} {layout.root_bytes}"),
        ("selinux", "yes" if layout.selinux else "no"),
        ("data", data.name),
        ("compression", compression),
        ("bytes", data.stat().st_size),
        ("sha256", sha256_of(data)),
    ]
    rows = [
        ("held" if part.held else "extent", f"{part.offset} {part.length} {digest}")
        for part, digest in zip(parts, sums, strict=True)
    ]
    return "".join(f"{key} {value}\n" for key, value in [*head, *rows])
