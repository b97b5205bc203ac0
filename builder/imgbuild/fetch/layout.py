"""What makes the folder of a store an OCI image layout, so that other tools can read it."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from imgbuild.fetch.checksum import sync
from imgbuild.fetch.oci_format import EMPTY_LAYOUT


def write_layout(folder: Path, room: Path) -> None:
    """Write the files that are missing, or empty since a disk was full; each appears complete or not at all.

    ``room``: a folder beside for files that are not complete.

    Raises:
        OSError: they cannot be written.
    """
    for name, text in EMPTY_LAYOUT.items():
        place = folder / name
        with suppress(FileNotFoundError):
            if place.lstat().st_size:
                continue
        number, part = tempfile.mkstemp(prefix=f"{name}.", suffix=".part", dir=room)
        new = Path(part)
        try:
            with open(number, "w") as out:  # noqa: PTH123 - a descriptor
                out.write(text)
            new.chmod(0o644)
            sync(new)
            if place.exists():
                new.replace(place)
            else:
                _move(new, place)
        finally:
            new.unlink(missing_ok=True)


def _move(new: Path, place: Path) -> None:
    """Give a file its name, unless another program has made one of that name meanwhile."""
    try:
        os.link(new, place)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        new.replace(place)
