"""What is known of the files of a store: their names, and in which state their sha256 was compared."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgbuild.fetch.artifact import Artifact


class Records:
    """A record for each file, in ``folder``. A store that cannot be written forgets them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def match(self, sha256: str, found: os.stat_result) -> bool:
        """Whether the file was right in this state. Notes that it was used."""
        if self._read(sha256).get("state") != _state(found):
            return False
        with suppress(OSError):
            os.utime(self.folder / sha256)
        return True

    def name(self, sha256: str) -> str:
        """The name of the artifact; empty if it is not known."""
        return str(self._read(sha256).get("name", ""))

    def used(self, sha256: str) -> float:
        """When the file was used, in seconds since 1970; 0 if it is not known."""
        try:
            return (self.folder / sha256).stat().st_mtime
        except OSError:
            return 0.0

    def note_use(self, sha256: str, when: float) -> None:
        """Note that the file was last used then, in seconds since 1970."""
        with suppress(OSError):
            os.utime(self.folder / sha256, (when, when))

    def write(self, artifact: Artifact, found: os.stat_result) -> None:
        """Remember that this file, in this state, is right."""
        new = self.folder / f"{artifact.sha256}.{os.getpid()}.{threading.get_ident()}"
        with suppress(OSError):
            try:
                new.write_text(json.dumps({"name": artifact.name, "state": _state(found)}))
                new.replace(self.folder / artifact.sha256)
            finally:
                new.unlink(missing_ok=True)

    def forget(self, sha256: str) -> None:
        """Remove a record."""
        (self.folder / sha256).unlink(missing_ok=True)

    def _read(self, sha256: str) -> Mapping[str, Any]:
        """A record; empty if there is none that can be read."""
        try:
            data = json.loads((self.folder / sha256).read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}


def _state(found: os.stat_result) -> list[int]:
    """What changes when a file does. The time of the inode's change cannot be set back."""
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
