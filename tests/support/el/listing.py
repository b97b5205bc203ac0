"""What a root file system holds, so that two of them can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

# What two builds of the same packages differ in; whatever is below a folder named here counts as one.
_VARIES = (
    "boot/initramfs-",  # dates inside
    "var/lib/rpm/",  # a database, with the times of the installation
    "var/lib/dnf/",
    "var/lib/yum/",
    "var/log/",
)


def listing(root: Path) -> dict[str, tuple[str, int, int, str]]:
    """Each path below ``root``: mode, owner, group, and a file's digest or a link's target."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            place = str(path.relative_to(root))
            if place.startswith(_VARIES):
                continue
            info = path.lstat()
            found[place] = (stat.filemode(info.st_mode), info.st_uid, info.st_gid, _content(path))
    return found


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    if not path.is_file():
        return ""
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()[:16]
