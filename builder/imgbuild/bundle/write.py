"""Write a bundle: in one pass, in memory that does not depend on the files' sizes, and complete or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from imgbuild.bundle.layout import CONTENTS, END, SIGNATURE, Contents, Kind, Listed, filling, header, sums_text
from imgbuild.diagnostics.errors import HostError
from imgbuild.fetch.checksum import sync
from imgbuild.fetch.hold import in_use, unlink_unused
from imgbuild.outputs.caller import give_file
from imgbuild.outputs.signature import SUMS, Signer
from imgbuild.outputs.tree import own_users

_BLOCK = 1 << 20
_FIRST = header(SUMS, 0).partition(b"\0")[0]


@dataclass(frozen=True)
class Part:
    """One file for a bundle: its ``content``, or the path of a file with that checksum."""

    path: str
    kind: Kind
    size: int
    sha256: str
    content: bytes | Path = field(repr=False)
    name: str = ""


def part_of(path: str, kind: Kind, content: bytes, name: str = "") -> Part:
    """A file whose content is in memory."""
    return Part(path, kind, len(content), hashlib.sha256(content).hexdigest(), content, name)


def refuse_target(target: Path) -> None:
    """Report what prevents a bundle from being written there, before anything is fetched for it.

    Raises:
        HostError: its folder is missing or cannot be written, or something else than a bundle is there.
    """
    folder = target.parent
    if not folder.is_dir():
        raise HostError(f"there is no folder {folder}", f"make it: mkdir -p {folder}; or pass another file with -o")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HostError(f"the folder {folder} cannot be written", "pass a file in a folder of your own with -o")
    if os.path.lexists(target) and not _is_bundle(target):
        raise HostError(f"{target} is there, and is not a bundle", "pass another file with -o")


def _is_bundle(target: Path) -> bool:
    if target.is_symlink() or not target.is_file():
        return False
    with target.open("rb") as stream:
        return stream.read(len(_FIRST)) == _FIRST


def write_bundle(target: Path, about: Contents, parts: Sequence[Part], signer: Signer | None) -> int:
    """Write these files to ``target``; return its size in bytes. ``about.files`` is made from them.

    Raises:
        HostError: the disk is full or cannot be written, or a file has changed meanwhile. ``target`` is unchanged.
    """
    about = about.model_copy(
        update={"files": tuple(Listed(path=p.path, size=p.size, kind=p.kind, name=p.name) for p in parts)}
    )
    contents = about.model_dump_json(indent=1).encode() + b"\n"
    first = part_of(CONTENTS, "layout", contents)
    sums = sums_text({part.path: part.sha256 for part in (first, *parts)})
    front = [part_of(SUMS, "layout", sums)]
    if signer is not None:
        front.append(part_of(SIGNATURE, "layout", signer.sign(sums)))
    every = [*front, first, *parts]
    total = sum(len(header(p.path, p.size)) + p.size + filling(p.size) for p in every) + len(END)
    _clear(target)
    _refuse_full(target, total)
    try:
        number, new = _fresh(target)
    except OSError as error:
        raise _unwritten(target, error) from error
    try:
        with open(number, "wb") as out:  # noqa: PTH123 - a descriptor
            for part in every:
                _write(out, part)
            out.write(END)
            out.flush()
            os.fchmod(number, 0o644)
            give_file(number)
            os.fsync(number)
            new.replace(target)  # while it is locked
        sync(target.parent)
    except OSError as error:
        raise _unwritten(target, error) from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
    return total


def _fresh(target: Path) -> tuple[int, Path]:
    """A new file beside ``target``, locked by this process, so that no other run takes it for one of a killed run."""
    while True:
        number, name = tempfile.mkstemp(prefix=f".{target.name[:200]}.", suffix=".part", dir=target.parent)
        with suppress(BlockingIOError, FileNotFoundError):  # another run clears it
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(number), Path(name).lstat()):
                return number, Path(name)
        os.close(number)


def _clear(target: Path) -> None:
    """Remove what killed runs of this user have left beside ``target``, by the names of `_fresh`."""
    names = re.compile(rf"\.{re.escape(target.name[:200])}\.[a-z0-9_]{{8}}\.part")
    for left in target.parent.iterdir():
        if names.fullmatch(left.name):
            with suppress(OSError):
                there = left.lstat()
                if stat.S_ISREG(there.st_mode) and there.st_uid in own_users():
                    unlink_unused(left)


def _write(out: BinaryIO, part: Part) -> None:
    out.write(header(part.path, part.size))
    if isinstance(part.content, bytes):
        out.write(part.content)
    else:
        _copy(out, part, part.content)
    out.write(bytes(filling(part.size)))


def _copy(out: BinaryIO, part: Part, file: Path) -> None:
    """Copy a file whose size is in the header already, and compare its checksum with the one that is listed."""
    found, left = hashlib.sha256(), part.size
    with _opened(file, part) as stream:
        while left and (block := stream.read(min(_BLOCK, left))):
            found.update(block)
            out.write(block)
            left -= len(block)
        if left or stream.read(1) or found.hexdigest() != part.sha256:
            raise HostError(
                f"{part.name or part.path} has changed while the bundle was written ({file})",
                "run it again; if it is a file of the store, run imgbuild fetch --verify first",
            )


@contextmanager
def _opened(file: Path, part: Part) -> Iterator[BinaryIO]:
    """A file, which nobody removes from its store meanwhile."""
    try:
        held = ExitStack()
        held.enter_context(in_use(file))
        stream = held.enter_context(file.open("rb"))
    except OSError as error:
        raise HostError(
            f"{part.name or part.path} cannot be read: {error.strerror} ({file})", "run it again, as a user who may"
        ) from error
    with held:
        yield stream


def _refuse_full(target: Path, total: int) -> None:
    """Report a disk that is too small before it is filled. An old bundle stays until the new one is complete."""
    free = shutil.disk_usage(target.parent).free
    if free < total:
        raise HostError(
            f"{target.parent} has {free >> 20} MiB free, the bundle has {(total >> 20) + 1} MiB",
            "free some space, or pass a file on a larger disk with -o",
        )


def _unwritten(target: Path, error: OSError) -> HostError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return HostError(
        f"the bundle {target} was not written: {error.strerror or error}",
        "free some space, or pass a file on a larger disk with -o (a FAT file system takes files up to 4 GiB)"
        if full
        else "pass a file in a folder of your own with -o",
    )
