"""A file in the archive of a form."""

from __future__ import annotations

import io
import tarfile
from typing import IO


def add(tar: tarfile.TarFile, name: str, content: bytes | IO[bytes], size: int, epoch: int) -> None:
    """Add a file that everybody may read: ``size`` bytes, of the time ``epoch``."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, epoch, 0o644
    tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else content)
