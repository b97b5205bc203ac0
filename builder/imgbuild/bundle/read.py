"""Read a bundle and find all that is wrong with it. Nothing in it is interpreted before its checksum is right."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from imgbuild.bundle.layout import (
    BLOBS,
    BLOCK,
    CONTENTS,
    END,
    FORMAT,
    MAX_LIST,
    MAX_SIGNATURE,
    SIGNATURE,
    Contents,
    Member,
    filling,
    header,
    read_sums,
)  # fmt: skip
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.outputs.signature import SUMS

_BYTES = 1 << 20
_ANEW = "copy it again from where it was made, or make it again: imgbuild bundle"


class DamagedError(HostError):
    """A bundle that is not as it was written."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose list was read: the sums of its files, and where each of them is. No content was compared yet."""

    file: Path
    sums: bytes
    signature: bytes | None
    contents: Contents
    members: dict[str, Member]
    """By path, in the order of the file."""

    @property
    def end(self) -> int:
        """The size of the whole file."""
        return next(reversed(self.members.values())).end + len(END)

    def has_blob(self, sha256: str) -> bool:
        """Whether it lists a file of that checksum for the store."""
        return f"{BLOBS}{sha256}" in self.members

    def copy_blob(self, sha256: str, out: BinaryIO) -> None:
        """Copy that file; raises the same as ``copy``."""
        self.copy(f"{BLOBS}{sha256}", out)

    def copy(self, path: str, out: BinaryIO) -> None:
        """Copy the file at ``path``, while its checksum is compared.

        Raises:
            DamagedError: it is not what the list has. ``out`` must not be used then.
        """
        with _opened(self.file) as stream:
            for block in _content(stream, self.members[path]):
                out.write(block)

    def text(self, path: str) -> bytes:
        """The content of a small file; raises the same."""
        with _opened(self.file) as stream:
            return b"".join(_content(stream, self.members[path]))

    def damage(self, tell: Callable[[Member], None] = lambda _: None) -> list[str]:
        """Everything that is wrong with its files, after reading all of them; empty if nothing is.

        ``tell`` is called before each.

        Raises:
            HostError: the bundle can no longer be opened.
        """
        found: list[str] = []
        with _opened(self.file) as stream:
            size = os.fstat(stream.fileno()).st_size
            lost = [member for member in self.members.values() if member.end > size]
            for member in self.members.values():
                if member.end > size:
                    break
                tell(member)
                try:
                    for _ in _content(stream, member):
                        pass
                except DamagedError as error:
                    found.append(str(error))
            if size < self.end:
                lack = f"; it lacks {len(lost)} of {len(self.members)} files, from {lost[0].path} on" if lost else ""
                found.append(f"it is cut short: it has {size} bytes of {self.end}{lack}")
            else:
                stream.seek(self.end - len(END))
                if _read(stream, len(END)) != END:
                    found.append("its end is not that of a bundle")
                if size > self.end:
                    found.append(f"it has {size - self.end} bytes after its end")
        return found


def _content(stream: BinaryIO, member: Member) -> Iterator[bytes]:
    """The content of a file, block by block; the last comes before its checksum is known.

    Raises:
        DamagedError: it, its header or what fills its last block is not what the list has.
    """
    wanted = header(member.path, member.size)
    stream.seek(member.offset)
    wrong = "" if _read(stream, len(wanted)) == wanted else "its header is not the one of the file that the list has"
    found, left = hashlib.sha256(), member.size
    while left and (block := _read(stream, min(_BYTES, left))):
        found.update(block)
        left -= len(block)
        yield block
    if left:
        raise DamagedError(f"{member.path}: {left} of its {member.size} bytes are missing", _ANEW)
    if found.hexdigest() != member.sha256:
        wrong = f"it has the sha256 {found.hexdigest()}, the list has {member.sha256}"
    elif _read(stream, filling(member.size)).strip(b"\0"):
        wrong = wrong or "the bytes behind it are not zero"
    if wrong:
        raise DamagedError(f"{member.path}: {wrong}", _ANEW)


def open_bundle(file: Path) -> Bundle:
    """The bundle in ``file``.

    Raises:
        UsageError: there is no such file.
        DamagedError: it is not a bundle, or its list is not complete.
        HostError: it cannot be read, or is of a later version.
    """
    with _opened(file) as stream:
        front = _Front(stream, os.fstat(stream.fileno()).st_size, file)
        sums = front.take(SUMS, MAX_LIST)
        if sums is None:
            why = f"{file} is not a bundle: it does not start with {SUMS}"
            raise DamagedError(why, "name a file that imgbuild bundle has written")
        signature = front.take(SIGNATURE, MAX_SIGNATURE)
        start = front.offset
        contents = front.take(CONTENTS, MAX_LIST)
    try:
        listed = read_sums(sums)
    except ValueError as error:
        raise DamagedError(f"{file}: {SUMS} is damaged: {error}", _ANEW) from error
    if contents is None or hashlib.sha256(contents).hexdigest() != listed.get(CONTENTS):
        raise DamagedError(f"{file}: {CONTENTS} is missing, or is not the one that {SUMS} has", _ANEW)
    about = _about(file, contents)
    paths = [CONTENTS, *(one.path for one in about.files)]
    if paths != list(listed):
        raise DamagedError(f"{file}: {CONTENTS} and {SUMS} do not list the same files", _ANEW)
    members: dict[str, Member] = {}
    for path, size in zip(paths, (len(contents), *(one.size for one in about.files)), strict=True):
        members[path] = Member(path, size, listed[path], start)
        start = members[path].end
    return Bundle(file, sums, signature, about, members)


def _about(file: Path, contents: bytes) -> Contents:
    try:
        return Contents.model_validate_json(contents)
    except ValidationError as error:
        later = any(each["loc"] == ("format",) for each in error.errors())
        if later:
            raise HostError(
                f"{file} has another format than {FORMAT}, which this imgbuild reads", "use the imgbuild that made it"
            ) from error
        raise DamagedError(f"{file}: {CONTENTS} is not one of a bundle", _ANEW) from error


class _Front:
    """The first files of a bundle, whose sizes are only in their headers."""

    def __init__(self, stream: BinaryIO, size: int, file: Path) -> None:
        self._stream, self._size, self._file, self.offset = stream, size, file, 0

    def take(self, path: str, most: int) -> bytes | None:
        """The content of the next file if it is ``path``; no more than ``most`` bytes are read.

        Raises:
            DamagedError: it is larger, or the bundle ends within it.
        """
        self._stream.seek(self.offset)
        block = _read(self._stream, BLOCK)
        try:
            size = tarfile.TarInfo.frombuf(block, "utf-8", "strict").size
        except (tarfile.HeaderError, UnicodeError):
            return None
        if size < 0 or block != header(path, size):
            return None
        if size > most or self.offset + BLOCK + size + filling(size) > self._size:
            raise DamagedError(f"{self._file} is cut short within {path}, or that file is too large", _ANEW)
        content = _read(self._stream, size)
        if _read(self._stream, filling(size)).strip(b"\0"):
            raise DamagedError(f"{self._file}: the bytes behind {path} are not zero", _ANEW)
        self.offset += BLOCK + size + filling(size)
        return content


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        number = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {file}", "correct the path of the bundle") from error
    except OSError as error:
        raise HostError(f"the bundle {file} cannot be read: {error.strerror}", "run imgbuild as its owner") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise HostError(f"{file} is not a regular file", "copy the bundle to a disk first, and name that file")
    with open(number, "rb") as stream:  # noqa: PTH123 - a descriptor
        yield stream


def _read(stream: BinaryIO, size: int) -> bytes:
    """The next bytes, fewer at the end of the file."""
    try:
        return stream.read(size)
    except OSError as error:  # a worn-out stick, for example
        raise DamagedError(f"the bundle cannot be read: {error.strerror}", _ANEW) from error
