"""A KubeVirt containerDisk: an OCI image whose one layer has the disk as /disk/disk.img, in an OCI archive.

As kubevirt/containerdisks builds them (pkg/build/tar.go): owner 107, which is qemu's user in virt-launcher. KubeVirt
takes qcow2 and raw there. It is qcow2, because a node unpacks the whole layer.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from imgbuild.fetch.oci_format import CONFIG, INDEX, LAYER, LAYOUT, MANIFEST, REFERENCE
from imgbuild.image.formats.member import add

_OWNER = 107


class _Layer(io.RawIOBase):
    """The layer's tar, read as a stream: its headers, the disk, the end of the archive. Nothing is copied."""

    def __init__(self, disk: BinaryIO, size: int, epoch: int) -> None:
        head, tail = _around(size, epoch)
        self.size = len(head) + size + len(tail)
        self._parts: Iterator[BinaryIO] = iter((io.BytesIO(head), disk, io.BytesIO(tail)))
        self._part: BinaryIO | None = next(self._parts)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._part is not None:
            data = self._part.read(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            self._part = next(self._parts, None)
        return 0


def _around(size: int, epoch: int) -> tuple[bytes, bytes]:
    """What comes before and after the disk in the layer's tar."""
    members = []
    for name, kind, mode in (("disk", tarfile.DIRTYPE, 0o555), ("disk/disk.img", tarfile.REGTYPE, 0o444)):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = kind, mode, epoch
        info.uid = info.gid = _OWNER
        info.uname = info.gname = "qemu"
        info.size = size if kind == tarfile.REGTYPE else 0
        members.append(info.tobuf(tarfile.PAX_FORMAT))
    return b"".join(members), bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)


def write_containerdisk(qcow2: Path, name: str, output: Path, epoch: int) -> None:
    """Write the OCI archive with the disk ``qcow2`` to ``output``; ``name`` is the image's reference in it."""
    size = qcow2.stat().st_size
    with qcow2.open("rb") as disk:
        layer = _Layer(disk, size, epoch)
        digest = hashlib.file_digest(layer, "sha256").hexdigest()
        total = layer.size
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = _json(
        {
            "created": created,
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": created, "created_by": "imgbuild"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **_blob(config)},
            "layers": [{"mediaType": LAYER, "digest": f"sha256:{digest}", "size": total}],
        }
    )
    entry = {
        "mediaType": MANIFEST,
        **_blob(manifest),
        "annotations": {REFERENCE: name},
        "platform": {"architecture": "amd64", "os": "linux"},
    }
    index = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
    with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in (
            ("oci-layout", LAYOUT.encode()),
            ("index.json", index),
            (_path(manifest), manifest),
            (_path(config), config),
        ):
            add(tar, path, content, len(content), epoch)
        with qcow2.open("rb") as disk:
            layer = _Layer(disk, size, epoch)
            add(tar, f"blobs/sha256/{digest}", io.BufferedReader(layer), total, epoch)


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def _blob(content: bytes) -> dict[str, Any]:
    return {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def _path(content: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
