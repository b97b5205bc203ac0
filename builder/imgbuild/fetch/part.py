"""The data of a file that has been received so far, with the sha256 of it.

It is in FILE.part, and its source in FILE.part.json, so that a killed run can be resumed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from imgbuild.fetch.address import shown

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Origin:
    """The source of a part. ``address`` is kept without its login and query."""

    address: str
    validator: str = ""
    total: int | None = None


class Part:
    """The part of ``file``. Use it only while holding a lock on it."""

    def __init__(self, file: Path) -> None:
        self.path = file.with_name(f"{file.name}.part")
        self._about = file.with_name(f"{file.name}.part.json")
        self._sum, self._summed = hashlib.sha256(), 0
        if self.path.is_symlink() or not self.path.is_file():
            self.discard()

    def size(self) -> int:
        """Bytes; 0 if there is none."""
        return self.path.stat().st_size if self.path.exists() else 0

    def origin(self, url: str) -> Origin:
        """What is known about it; nothing if it came from another address, whose validators do not apply here."""
        try:
            data = json.loads(self._about.read_text())
            known = Origin(str(data["address"]), str(data["validator"]), data["total"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return Origin("")
        if known.address != shown(url) or not isinstance(known.total, int | None):
            return Origin("")
        return known

    def begin(self, origin: Origin, *, again: bool) -> None:
        """Record its source; ``again``: and start it at its first byte."""
        if again:
            self.discard()
            self.path.touch(mode=0o600)
        new = self._about.with_name(f"{self._about.name}.new")
        new.unlink(missing_ok=True)
        new.write_text(json.dumps(asdict(origin)))
        new.replace(self._about)

    def feed(self, blocks: Iterable[bytes], at: int) -> None:
        """Count bytes that are written at ``at`` into the sum."""
        self._read_up_to(at)
        for block in blocks:
            self._sum.update(block)
            self._summed += len(block)

    def sha256(self) -> str:
        """That of all of it (hex). Only what another process had received is read for it."""
        self._read_up_to(self.size())
        return self._sum.hexdigest()

    def _read_up_to(self, end: int) -> None:
        if self._summed == end:
            return
        self._sum, self._summed = hashlib.sha256(), 0
        with self.path.open("rb") as data:
            while self._summed < end and (block := data.read(min(_BLOCK, end - self._summed))):
                self._sum.update(block)
                self._summed += len(block)

    def finish(self, place: Path) -> None:
        """Move it to ``place``, and forget its source."""
        self.path.replace(place)
        self.discard()

    def discard(self) -> None:
        """Remove it, and anything else with its names."""
        self._sum, self._summed = hashlib.sha256(), 0
        for path in (self.path, self._about):
            try:
                path.unlink(missing_ok=True)
            except IsADirectoryError:
                shutil.rmtree(path)
