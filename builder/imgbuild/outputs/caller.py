"""The user behind sudo: what root writes for them belongs to them, except files with secrets."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

_NOBODY = 2**32 - 1  # (uid_t) -1: chown reads it as "leave unchanged"
_UNCHANGED = -1


@dataclass(frozen=True)
class Caller:
    """Who called sudo. ``gid`` is -1 (no change) if it cannot be known."""

    uid: int
    gid: int

    def __str__(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except (KeyError, OverflowError):
            return f"uid {self.uid}"


def caller() -> Caller | None:
    """The user that called sudo; None if this is not root, or not run for another user."""
    uid = _number("SUDO_UID")
    if os.geteuid() != 0 or not uid:
        return None
    gid = _number("SUDO_GID")
    if gid is None:
        try:
            gid = pwd.getpwuid(uid).pw_gid
        except (KeyError, OverflowError):
            gid = _UNCHANGED
    return Caller(uid, gid)


def owner_of(mode: int) -> int:
    """The user that a file with this mode should belong to: a file that only its owner can read keeps its owner."""
    whose = caller()
    return os.geteuid() if whose is None or is_private(mode) else whose.uid


def is_private(mode: int) -> bool:
    """Whether a file of this mode is for its owner only: it has secrets."""
    return mode & 0o077 == 0


def give_file(descriptor: int) -> None:
    """Give an open file to the caller, unless it is private. Only for a file that this run has made."""
    whose = caller()
    if whose is not None and not is_private(os.fstat(descriptor).st_mode):
        os.fchown(descriptor, whose.uid, whose.gid)


def make_folder(path: Path, mode: int) -> None:
    """Make a folder that belongs to the caller.

    Raises:
        FileExistsError: it exists; its owner is kept.
    """
    path.mkdir(mode=mode)
    whose = caller()
    if whose is None:
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Another user may have put another folder in its place: the new one is empty.
        if os.fstat(descriptor).st_uid == os.geteuid() and not os.listdir(descriptor):  # noqa: PTH208
            os.fchown(descriptor, whose.uid, whose.gid)
    finally:
        os.close(descriptor)


def give_tree(folder: Path) -> None:
    """Give a folder that this run has filled to the caller, with everything in it that is not private.

    Links are not followed. From the bottom up: until the top changes owner, no other user can replace what is below.
    """
    whose = caller()
    if whose is None:
        return
    for _, _, names, descriptor in os.fwalk(folder, topdown=False, follow_symlinks=False):
        for name in names:
            there = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(there.st_mode) and there.st_nlink == 1 and not is_private(there.st_mode):
                os.chown(name, whose.uid, whose.gid, dir_fd=descriptor, follow_symlinks=False)
        os.fchown(descriptor, whose.uid, whose.gid)


def _number(name: str) -> int | None:
    """A user's or group's number from the environment; None if it is not set, or not a valid number."""
    text = os.environ.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) >= _NOBODY:
        return None
    return int(text)
