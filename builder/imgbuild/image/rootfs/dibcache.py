"""What diskimage-builder keeps between builds: the packages that apt has fetched.

apt uses a package from its archives if only the size is right. So each file is compared with the sha256 that it had
when the last build ended, and files that differ are removed before the next one starts.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from imgbuild.fetch.checksum import sha256_of
from imgbuild.image.cache import write_record

_RECORD = "sha256.json"
_PACKAGES = "apt"


class DibCache:
    """diskimage-builder's cache folder. Use it only while holding the cache's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = folder / _RECORD

    def discard_unknown(self) -> list[str]:
        """Remove everything that the last build did not record; return the names of the files."""
        known = self._known()
        gone = []
        for path in list(self._files()):
            name = path.relative_to(self._folder).as_posix()
            if not _same(path, known.get(name)):
                path.unlink()
                gone.append(name)
        return sorted(gone)

    def vouch(self) -> None:
        """Record the packages that are there now: apt moves them there once verified."""
        found = sorted((path.relative_to(self._folder).as_posix(), path) for path in self._files())
        packages = {name: sha256_of(path) for name, path in found if name.startswith(f"{_PACKAGES}/")}
        write_record(self._record, packages)

    def _known(self) -> dict[str, str]:
        try:
            known = json.loads(self._record.read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return known if isinstance(known, dict) else {}

    def _files(self) -> Iterator[Path]:
        """Every file with content and every link: locks are empty, and a link to a folder counts as a file."""
        for folder, folders, files in os.walk(self._folder):
            for name in [*files, *folders]:
                path = Path(folder, name)
                found = path.lstat()
                empty = stat.S_ISREG(found.st_mode) and not found.st_size
                if path != self._record and not empty and not stat.S_ISDIR(found.st_mode):
                    yield path


def discard_packages(cache_dir: Path) -> None:
    """Remove everything, so that it is fetched again. Use it only while holding the cache's lock."""
    shutil.rmtree(cache_dir / "dib", ignore_errors=True)


def _same(path: Path, sha256: str | None) -> bool:
    try:
        return sha256 is not None and path.lstat().st_nlink == 1 and sha256_of(path) == sha256
    except OSError:
        return False
