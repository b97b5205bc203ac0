"""What is in a root file system: one line for each file, and what is needed of them without the rest."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgbuild.config.target import Boot
from imgbuild.image.tool import run

_LARGE = 256 * 1024  # bytes; of kernels and initramfs only the names matter, and a compiled policy labels nothing
# What units, labels and boot loaders depend on.
_UNITS = ("etc/systemd", "lib/systemd/system", "usr/lib/systemd/system", "usr/local/lib/systemd/system")
_WHOLE = ("boot", "etc/selinux", "usr/share/imgbuild", *_UNITS)
_LABELS = re.compile(r"etc/selinux/[^/]+/contexts/files/")  # EL's file_contexts has 400 KB
INIT_SCRIPTS = ("etc/init.d", "etc/rc.d/init.d")
"""Where scripts from before systemd are. A partial root has none: systemctl would run the root's own tools."""


@dataclass(frozen=True, slots=True)
class Place:
    """One file, folder or link; ``mode`` with its type, ``target`` of a link."""

    mode: int
    uid: int
    gid: int
    target: str = ""

    @property
    def kind(self) -> int:
        """Its type, as stat.S_IFMT gives it."""
        return stat.S_IFMT(self.mode)


Listing = Mapping[str, Place]
"""By path without a leading slash."""


def listed(root: Path) -> dict[str, Place]:
    """Everything below ``root``."""
    return {path: place_of(root / path) for path in _walk(root, "")}


def place_of(path: Path) -> Place:
    """What is at ``path``."""
    found = path.lstat()
    target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""  # noqa: PTH115 - as it is written
    return Place(found.st_mode, found.st_uid, found.st_gid, target)


def _walk(root: Path, folder: str) -> Iterator[str]:
    with os.scandir(root / folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path)


def packed(listing: Listing) -> list[list[Any]]:
    """For JSON."""
    return [[path, at.mode, at.uid, at.gid, *([at.target] if at.target else [])] for path, at in listing.items()]


def unpacked(rows: list[list[Any]]) -> dict[str, Place]:
    """From JSON."""
    return {row[0]: Place(*row[1:]) for row in rows}


def wanted(listing: Listing, root: Path, boot: Boot) -> list[str]:
    """The paths that a partial root needs at once: whole folders, GRUB's modules, and the links at the top."""
    whole = (*_WHOLE, *(folder.strip("/") for folder in boot.module_dirs.values()))
    out = []
    for path, at in listing.items():
        if not _below(path, whole):
            if "/" in path or not stat.S_ISLNK(at.mode):
                continue
        elif stat.S_ISREG(at.mode) and not _needed(path) and (root / path).lstat().st_size > _LARGE:
            continue
        if stat.S_IFMT(at.mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            out.append(path)
    return out


def _needed(path: str) -> bool:
    """Whether its content is read, however large it is: the ESP's programs, the rules for labels."""
    return path.startswith("boot/efi/") or _LABELS.match(path) is not None


def _below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def pack(root: Path, paths: list[str], tar: Path) -> None:
    """Write these files, without what is in folders, into ``tar``.

    Raises:
        HostError: tar fails.
    """
    argv: list[str | Path] = ["tar", "--create", "--file", tar, "--directory", root, "--no-recursion"]
    argv += ["--numeric-owner", "--format=posix", "--sort=none", "--null", "--verbatim-files-from", "--files-from=-"]
    run(argv, what="keep a part of the root file system", data=b"\0".join(path.encode() for path in paths) + b"\0")
