"""The form of a bundle: a tar whose first file lists the checksums of all others.

    SHA256SUMS         a line for each file below, in their order, as `sha256sum -c` reads it
    SHA256SUMS.sig     its signature (PROTOCOL.sshsig of OpenSSH), if the bundle is signed
    bundle.json        what the bundle is of, with size and kind of each file below
    oci-layout, index.json, blobs/sha256/HEX   an OCI image layout: container images, and all other files by checksum
    profile/           the profile with its layers and files, and imgbuild.lock
    wheels/            imgbuild and the Python packages that it needs

So tar, ssh-keygen and sha256sum are enough to verify one, where imgbuild itself is not installed yet; and `skopeo copy
oci-archive:FILE:NAME` reads its images. The tar is not compressed: nearly everything in it is. Its headers are the
ones that this module makes, byte for byte, so a reader compares them and interprets nothing: there are no links, no
other names, and no place for anything that is not listed.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imgbuild.outputs.signature import SUFFIX, SUMS

SIGNATURE = f"{SUMS}{SUFFIX}"
CONTENTS = "bundle.json"
BLOBS = "blobs/sha256/"
PROFILE = "profile/"
WHEELS = "wheels/"
FORMAT: Final = 1
BLOCK = 512
"""Bytes of a tar's block: a header has one, and content is filled up to whole ones (POSIX.1, pax, ustar)."""
END = bytes(2 * BLOCK)
MAX_LIST = 64 << 20
"""Bytes of SHA256SUMS and of bundle.json: a repository of 100,000 packages needs a quarter of it."""
MAX_SIGNATURE = 64 << 10
_EPOCH = 1_700_000_000
_PATH = re.compile(r"(?!/)(?!.*(?:^|/)\.{1,2}(?:/|$))(?!.*//)[^\x00-\x1f\x7f\\]{1,1024}(?<!/)")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")

Kind = Literal["file", "image", "package", "layout", "profile", "wheel"]
KINDS: dict[Kind, tuple[str, str]] = {
    "file": ("file", "files"), "image": ("part of a container image", "parts of container images"),
    "package": ("package", "packages"), "layout": ("file of the layout", "files of the layout"),
    "profile": ("file of the profile", "files of the profile"), "wheel": ("wheel", "wheels"),
}  # fmt: skip
"""What people call one of each, and several."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Listed(_Strict):
    """A file of the bundle. ``name``: what people call it, such as "helm 4.3.0"."""

    path: str
    size: Annotated[int, Field(ge=0, le=1 << 40)]
    kind: Kind
    name: str = ""


class LeftOut(_Strict):
    """Something that the profile refers to and the bundle does not have. ``fix``: what to do where it is used."""

    where: str
    what: str
    fix: str


Line = Annotated[str, Field(pattern="^[!-~]{1,500}$")]
Hex = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Digest = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]


class ImageIn(_Strict):
    """A container image. ``name``: as the nodes request it, without the digest if it has a tag.

    ``digest``: of its index or manifest. ``manifest``: the one for amd64. ``by_digest``: whether they request it by
    its digest.
    """

    name: Line
    digest: Digest
    manifest: Digest
    by_digest: bool


class Contents(_Strict):
    """bundle.json."""

    format: Literal[1]
    imgbuild: str
    """The version that made it."""
    profile: str
    """The profile's name in the lock."""
    options: tuple[str, ...]
    """The options of a build in the folder profile/, without --offline and --store."""
    python: str
    """For which Python the wheels are, such as "CPython 3.11, linux x86_64"; empty if there are none."""
    images: tuple[ImageIn, ...]
    charts: dict[str, Hex]
    """The sha256 of the charts, by their names in the lock."""
    left_out: tuple[LeftOut, ...]
    files: tuple[Listed, ...]


@dataclass(frozen=True)
class Member:
    """A file of the tar, where its header starts, and its content's checksum."""

    path: str
    size: int
    sha256: str
    offset: int

    @property
    def start(self) -> int:
        """Offset of the content."""
        return self.offset + len(header(self.path, self.size))

    @property
    def end(self) -> int:
        """Offset of the next header."""
        return self.start + self.size + filling(self.size)


def header(path: str, size: int) -> bytes:
    """The tar header of a file. All that could differ from machine to machine is fixed."""
    info = tarfile.TarInfo(path)
    info.size, info.mtime, info.mode = size, _EPOCH, 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def filling(size: int) -> int:
    """Bytes between the end of a content of that size and the next header."""
    return -size % BLOCK


def is_path(path: str) -> bool:
    """Whether this may be the path of a file in a bundle: below the folder that it is unpacked in."""
    return _PATH.fullmatch(path) is not None and len(path.encode("utf-8", "surrogatepass")) <= 1024


def sums_text(sums: dict[str, str]) -> bytes:
    """SHA256SUMS of files by their paths, in this order."""
    return "".join(f"{sha256}  {path}\n" for path, sha256 in sums.items()).encode()


def read_sums(content: bytes) -> dict[str, str]:
    """The checksums in SHA256SUMS, by path and in its order. A file in blobs/sha256 has its own name.

    Raises:
        ValueError: it is not one of a bundle.
    """
    found: dict[str, str] = {}
    lines = content.decode().split("\n")
    if lines.pop():
        raise ValueError("its last line has no end")
    for line in lines:
        parts = _LINE.fullmatch(line)
        if parts is None or not is_path(parts[2]) or parts[2] in found or parts[2] in (SUMS, SIGNATURE):
            raise ValueError("a line is not a checksum and a path below this folder")
        if parts[2].startswith(BLOBS) and parts[2] != f"{BLOBS}{parts[1]}":
            raise ValueError(f"it has the sha256 {parts[1]} for {parts[2]}, whose name is another one")
        found[parts[2]] = parts[1]
    return found
