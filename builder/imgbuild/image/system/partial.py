"""A root of which only a part is there: enough to add node files, enable units and write the boot loader's files.

Everything else is known by its name and type, and is put there, empty, when a path leads through it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imgbuild.image.system.listing import Listing, Place, place_of
from imgbuild.image.tool import run

_MAX_LINKS = 40
_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Changes:
    """What a build has changed. Paths without a leading slash; folders come before what is in them."""

    gone: Sequence[tuple[str, Place]]
    made: Mapping[str, Place]
    """Files, folders and links that are new or replaced."""
    kept: Mapping[str, Place]
    """Folders that were there, with another mode or owner."""


class Partial:
    """The folder ``root``, unpacked from the part that was kept of a root file system."""

    def __init__(self, root: Path, tar: Path, listing: Listing, without: Sequence[str] = ()) -> None:
        """``without``: folders of the tar that are not needed."""
        self.root = root
        self.listing = listing
        root.mkdir()
        argv: list[str | Path] = ["tar", "--extract", "--file", tar, "--directory", root, "--numeric-owner"]
        argv += [f"--exclude={path.strip('/')}" for path in without]
        run([*argv, "--same-owner", "--same-permissions"], what="unpack a part of the root file system")
        self._before: dict[str, _Stamp] = {}
        for path in sorted(p for p in listing if p.startswith("boot/") and "/" not in p[5:]):  # kernels' names
            self._put(path)
        self._before = self._now()

    def reach(self, path: str) -> None:
        """Put there what is on the way to the node's ``path``, and an empty file or folder at its end if it has one."""
        todo, at, links = list(PurePosixPath(path).parts[1:]), list[str](), 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                if not at:
                    return  # out of the root: reported by whoever writes there
                at.pop()
                continue
            here = "/".join([*at, part])
            self._put(here)
            place = self.root / here
            if todo and place.is_symlink():
                links += 1
                if links > _MAX_LINKS:
                    return
                target = PurePosixPath(os.readlink(place))  # noqa: PTH115 - as it is written
                at = [] if target.is_absolute() else at
                todo = [*(p for p in target.parts if p not in {"/", "."}), *todo]
                continue
            at.append(part)

    def _put(self, path: str) -> None:
        """An empty stand-in of what the root has at ``path``, unless something is there."""
        there, place = self.listing.get(path), self.root / path
        if there is None or os.path.lexists(place) or not place.parent.is_dir():
            return
        if stat.S_ISDIR(there.mode):
            place.mkdir()
        elif stat.S_ISLNK(there.mode):
            place.symlink_to(there.target)
        else:
            place.touch()
        if not stat.S_ISLNK(there.mode):
            place.chmod(stat.S_IMODE(there.mode))
        os.chown(place, there.uid, there.gid, follow_symlinks=False)
        self._before[path] = _stamp(place)

    def changes(self) -> Changes:
        """What has changed since the beginning."""
        after = self._now()
        gone = [(path, self.listing[path]) for path in self._before if path not in after and path in self.listing]
        made: dict[str, Place] = {}
        kept: dict[str, Place] = {}
        for path, stamp in after.items():
            if self._before.get(path) == stamp:
                continue
            new, old = place_of(self.root / path), self.listing.get(path)
            if old is not None and stat.S_ISDIR(new.mode) and stat.S_ISDIR(old.mode):
                if new != old:
                    kept[path] = new
                continue
            if old is not None:
                gone.append((path, old))
            made[path] = new
        return Changes(sorted(set(gone), key=lambda one: one[0], reverse=True), dict(sorted(made.items())), kept)

    def _now(self) -> dict[str, _Stamp]:
        out = {}
        for folder, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                place = Path(folder, name)
                out[place.relative_to(self.root).as_posix()] = _stamp(place)
        return out


def _stamp(path: Path) -> _Stamp:
    found = path.lstat()
    # A folder counts as changed by its own mode and owner alone, which changes() compares.
    return found.st_ino, found.st_ctime_ns, found.st_mode
