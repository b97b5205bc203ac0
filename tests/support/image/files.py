"""Everything on a disk's root file system, as the kernel sees it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

_LISTED = """
import hashlib, json, os, stat, sys
out = {}
for folder, folders, files in os.walk(sys.argv[1]):
    for name in (*folders, *files):
        path = os.path.join(folder, name)
        at = os.lstat(path)
        names = os.listxattr(path, follow_symlinks=False)
        labels = {one: os.getxattr(path, one, follow_symlinks=False).hex() for one in names}
        content = os.readlink(path) if stat.S_ISLNK(at.st_mode) else ""
        if stat.S_ISREG(at.st_mode):
            content = hashlib.file_digest(open(path, "rb"), "sha256").hexdigest()
        size = 0 if stat.S_ISDIR(at.st_mode) else at.st_size
        links = 1 if stat.S_ISDIR(at.st_mode) else at.st_nlink
        out[path[len(sys.argv[1]):]] = [at.st_mode, at.st_uid, at.st_gid, size, links, content, labels]
json.dump(out, sys.stdout)
"""


def files_of(disk: Path, offset: int, work: Path) -> dict[str, Any]:
    """Mode, owner, group, size, links, content and labels of each path; ``offset``: bytes to the file system."""
    subprocess.run(["e2fsck", "-fn", f"{disk}?offset={offset}"], check=True, capture_output=True)
    place = work / "mounted"
    place.mkdir(exist_ok=True)
    script = 'mount -o loop,ro,noload,offset="$1" "$2" "$3" && python3 -c "$4" "$3"'
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(offset), str(disk)]
    done = subprocess.run([*argv, str(place), _LISTED], check=True, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
