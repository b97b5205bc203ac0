"""Files that a store takes from one file beside it, instead of from the network: a bundle (imgbuild.bundle)."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol

from imgbuild.fetch.checksum import sha256_of, sync
from imgbuild.fetch.failure import FetchError

_ANEW = "do not use that bundle: get one from somebody whom you trust, or make it again with imgbuild bundle"


class Carried(Protocol):
    """What has content by its sha256."""

    def has_blob(self, sha256: str) -> bool:
        """Whether it has a file with that checksum."""

    def copy_blob(self, sha256: str, out: BinaryIO) -> None:
        """Copy it. Whoever stores it compares its checksum.

        Raises:
            HostError: it is damaged there.
        """


def take(carried: Carried, sha256: str, part: Path, place: Path) -> None:
    """Copy a file to ``place``, where it appears with the right content or not at all; ``part`` is beside it.

    Raises:
        HostError: it is damaged there, or another file has its name.
        OSError: it cannot be written here.
    """
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as out:
            carried.copy_blob(sha256, out)
        if (found := sha256_of(part)) != sha256:  # whatever the other file lists: only this one was asked for
            raise FetchError(f"the file in the bundle for {sha256} has the sha256 {found}", _ANEW)
        part.chmod(0o644)
        sync(part)
        part.replace(place)
        sync(place.parent)
    finally:
        part.unlink(missing_ok=True)
