"""Many node files as one line of text, for user-data: clouds limit its size.

One archive, because what the files have in common is most of what a compressor can save, and xz, because it saves a
seventh more than gzip. All targets' cloud images have xz: dracut requires it (dracut.spec), and so does Debian's
unattended-upgrades. The archive is not tar, whose headers would be three per cent of it: each file follows a line with
its mode, size and path. cloudinit/files.sh unpacks it.
"""

from __future__ import annotations

import base64
import hashlib
import lzma
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from imgbuild.render.nodefile import NodeFile

_FILTER = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 22, "pb": 0}  # no byte is aligned in text


@dataclass(frozen=True)
class Packed:
    """``text`` is the archive, compressed, as base64; ``sha256`` is that of the archive as it is unpacked."""

    text: str = field(repr=False)
    sha256: str
    paths: frozenset[str]


def pack(files: Iterable[NodeFile]) -> Packed | None:
    """The files, sorted by path; None without any."""
    found = tuple(sorted(files, key=lambda f: f.path))
    return _pack(found) if found else None


@lru_cache(maxsize=16)  # the nodes of a cluster have the same few archives, and making one takes a fifth of a second
def _pack(files: tuple[NodeFile, ...]) -> Packed:
    plain = b"".join(f"{f.mode:04o} {len(f.content)} {f.path}\n".encode() + f.content for f in files)
    small = lzma.compress(plain, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=[_FILTER])
    return Packed(base64.b64encode(small).decode(), hashlib.sha256(plain).hexdigest(), frozenset(f.path for f in files))


def same_everywhere(text: bytes, packed: Packed | None) -> bytes:
    """``text`` with the archive's sha256 in place of the archive: another liblzma may write other bytes for it."""
    return text if packed is None else text.replace(packed.text.encode(), packed.sha256.encode())
