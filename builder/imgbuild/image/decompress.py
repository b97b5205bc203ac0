"""The metadata of repositories, unpacked: gzip, xz, bzip2 and zstd, by their first bytes."""

from __future__ import annotations

import bz2
import lzma
import zlib

from imgbuild.image.tool import run

_LARGEST = 1 << 30
"""Bytes of what is unpacked: the primary.xml of CentOS 8's AppStream has 60 MB."""


def decompressed(content: bytes) -> bytes:
    """``content`` unpacked; as it is, if nothing has packed it.

    Raises:
        ValueError, OSError, EOFError, zlib.error, lzma.LZMAError: it is damaged, not complete or too large.
        HostError: it is zstd, and that program is missing or failed.
    """
    unpack: zlib._Decompress | lzma.LZMADecompressor | bz2.BZ2Decompressor
    if content.startswith(b"\x1f\x8b"):
        unpack = zlib.decompressobj(wbits=31)
    elif content.startswith(b"\xfd7zXZ"):
        unpack = lzma.LZMADecompressor()
    elif content.startswith(b"BZh"):
        unpack = bz2.BZ2Decompressor()
    elif content.startswith(b"\x28\xb5\x2f\xfd"):
        return run(["zstd", "--decompress", "--stdout"], what="read a repository's metadata", data=content)
    else:
        return content
    out = unpack.decompress(content, _LARGEST)
    if not unpack.eof:
        raise ValueError("it is not complete, or too large")
    return out
