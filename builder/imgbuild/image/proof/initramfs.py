"""List an initramfs without the target's tools: cpio archives one after the other, the last one compressed."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Generator, Iterator

import zstandard

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.tool import run

_NEWC = (b"070701", b"070702")
_HEADER = 110
_END = "TRAILER!!!"
_ZSTD = b"\x28\xb5\x2f\xfd"
_TOOLS = {b"\x02\x21\x4c\x18": "lz4", b"\x04\x22\x4d\x18": "lz4", b"BZh": "bzip2"}


def names(image: bytes) -> Iterator[str]:
    """The paths in an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel).

    Raises:
        HostError: it is neither cpio nor compressed in a known format.
    """
    position = 0
    while position < len(image):
        if image[position : position + 6] in _NEWC:
            position = yield from _archive(image, position)
        elif image[position] == 0:
            position += 1  # padding between archives
        else:
            yield from names(_unpacked(image[position:]))
            return


def modules(image: bytes) -> set[str]:
    """The names of the kernel modules in an initramfs, with underscores: nvme, virtio_blk.

    Raises:
        HostError: it cannot be read.
    """
    return {
        path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")
        for path in names(image)
        if "/modules/" in path and ".ko" in path
    }


def _archive(image: bytes, position: int) -> Generator[str, None, int]:
    """One newc archive from ``position``; returns where it ends (a generator's return value)."""
    while True:
        header = image[position : position + _HEADER]
        if len(header) < _HEADER or header[:6] not in _NEWC:
            raise HostError("the initramfs is damaged: it ends inside an archive")
        size = int(header[54:62], 16)
        name_size = int(header[94:102], 16)
        name = image[position + _HEADER : position + _HEADER + name_size - 1].decode(errors="replace")
        position = _even(position + _HEADER + name_size)
        position = _even(position + size)
        if name == _END:
            return position
        yield name


def _even(position: int) -> int:
    return position + -position % 4


def _unpacked(data: bytes) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        return lzma.decompress(data)
    if data.startswith(_ZSTD):
        return _unpacked_zstd(data)
    for magic, tool in _TOOLS.items():
        if data.startswith(magic):
            return run([tool, "-dcq"], what="read the initramfs", data=data)
    raise HostError(f"the initramfs is compressed in an unknown format (it starts with {data[:6].hex()})")


def _unpacked_zstd(data: bytes) -> bytes:
    """All of its frames; a reader of a stream would take one that is cut for the end."""
    out = []
    try:
        while data:
            frame = zstandard.ZstdDecompressor().decompressobj()
            out.append(frame.decompress(data))
            if not frame.eof:
                raise HostError("the initramfs is damaged: it ends early")
            data = frame.unused_data
    except zstandard.ZstdError as error:
        raise HostError(f"the initramfs is damaged: {error}") from error
    return b"".join(out)
