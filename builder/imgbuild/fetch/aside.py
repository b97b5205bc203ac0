"""The folder of what did not match its sha256, for whoever looks for the reason."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from imgbuild.fetch.part import Part

_SHOWN = 12  # digits of a sha256 that tell files apart for people


class Aside:
    """The folder ``folder``, which the store makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self) -> list[Path]:
        """What is in it."""
        return sorted(self.folder.iterdir()) if self.folder.is_dir() else []

    def move(self, file: Path) -> str:
        """Move a wrong file of the store out of the way; return what became of it."""
        names = (self.folder / f"{file.name}.{number}" for number in count(1))
        place = next(name for name in names if not os.path.lexists(name))
        try:
            self.folder.mkdir(exist_ok=True)
            file.replace(place)
        except FileNotFoundError:
            return "another imgbuild has moved it aside"
        except OSError as error:
            return f"it is not used, and cannot be moved aside ({error.strerror})"
        return f"moved to {place}"

    def keep(self, part: Part, found: str) -> str:
        """Move a whole transfer with another sha256 here; return where it is."""
        wanted = part.path.name.partition(".")[0]
        place = self.folder / f"{wanted}.{found[:_SHOWN]}"
        part.path.chmod(0o600)
        part.finish(place)
        return f"; it is kept as {place}"
