"""One request for what is missing of a file. A range that was not requested must not get into the part."""

from __future__ import annotations

import os
import re
import shutil
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from imgbuild.diagnostics.progress import Transfer
from imgbuild.fetch.address import shown
from imgbuild.fetch.failure import AGAIN, SPACE, Failure, Stopped, retry_after
from imgbuild.fetch.hashing import Hashing
from imgbuild.fetch.limits import Limits
from imgbuild.fetch.logins import refused
from imgbuild.fetch.part import Origin, Part
from imgbuild.fetch.writeback import Writeback

if TYPE_CHECKING:
    from imgbuild.fetch.exchange import Reply

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_WHOLE = re.compile(r"bytes \*/([0-9]{1,18})")
_PIECED = "it was assembled from several answers"
_MIB = 1 << 20
_SPARE = 16 * _MIB  # bytes that stay free on the disk
_BLOCK = _MIB
_LOCAL = "file://"
_ADDRESS = "correct the address, or set a mirror that has the file (mirrors)"
_ABSENT = f"{_ADDRESS}; an address of imgbuild.lock is found again by imgbuild lock --update all"
_LOGIN = "set a login for this host in repositories.logins"
_SIZE = "pin it again, with the options of this run: imgbuild lock --update all; or correct the address"


@dataclass(frozen=True)
class Wanted:
    """What one file may cost. ``size``: the bytes that it must have, if that is known."""

    size: int | None
    limits: Limits
    deadline: float
    stop: threading.Event
    """Ends the transfer when it is set."""


def is_local(url: str) -> bool:
    """Whether the address is that of a file of this host."""
    return url.startswith(_LOCAL)


def local_path(url: str) -> Path:
    """The path of a file address."""
    return Path(unquote(urlsplit(url).path))


def piece(url: str, part: Part, wanted: Wanted, report: Transfer) -> str:
    """Get what is missing of ``part``; return why the whole could be wrong although the server is right, or nothing.

    Raises:
        Failure: not all of it was received.
        Stopped: ``wanted.stop`` was set.
        OSError: the part cannot be written.
    """
    return _copied(url, part, wanted, report) if is_local(url) else _received(url, part, wanted, report)


def _copied(url: str, part: Part, wanted: Wanted, report: Transfer) -> str:
    path = local_path(url)
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        hint = f"correct the path, or make it readable for the user that runs imgbuild: {path}"
        raise Failure(f"it cannot be read on this host: {getattr(error, 'strerror', error)}", hint=hint) from error
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode):
        os.close(number)
        raise Failure("it is not a regular file", hint=f"name a file in place of {path}")
    with open(number, "rb") as data:  # noqa: PTH123 - a descriptor
        total = _total(found.st_size, 0, part, wanted)
        part.begin(Origin(shown(url), "", total), again=True)
        _write(iter(lambda: data.read(_BLOCK), b""), part, 0, total, wanted, report)
    return ""


def _received(url: str, part: Part, wanted: Wanted, report: Transfer) -> str:
    from imgbuild.fetch.exchange import exchange

    there, origin = part.size(), part.origin(url)
    headers = {}
    if there:
        headers["Range"] = f"bytes={there}-"
        if origin.validator:
            headers["If-Range"] = origin.validator
    with exchange("GET", url, headers, wanted.limits, wanted.deadline) as reply:
        if reply.status == 416 and there:
            whole = _WHOLE.fullmatch(reply.headers.get("Content-Range", ""))
            if whole and int(whole[1]) == there:
                return _PIECED  # it was complete; the sha256 decides
            part.discard()
            raise Failure("the server does not have the rest of it", again=True)
        if reply.status in AGAIN:
            wait = retry_after(reply.headers.get("Retry-After"))
            raise Failure(f"the server answers with status {reply.status}", again=True, wait=wait)
        if reply.status == 206 and there:
            total = _checked_range(reply, part, there, origin)
        elif reply.status == 200:
            there, total = 0, reply.length
        else:
            login = refused(reply.status)
            hint = _LOGIN if login else _ABSENT if reply.status in (404, 410) else _ADDRESS
            raise Failure(login or f"the server answers with status {reply.status}", hint=hint)
        total = _total(total, there, part, wanted)
        part.begin(Origin(shown(url), _validator(reply), total), again=not there)
        end = _write(reply.blocks(), part, there, total, wanted, report)
    if total is not None and end < total:
        raise Failure(f"the server sent {end} of {total} bytes", again=True)
    if there:
        return _PIECED
    return "" if reply.ends else "its end was not marked"


def _write(blocks: Iterable[bytes], part: Part, start: int, total: int | None, wanted: Wanted, report: Transfer) -> int:
    """Write the blocks from ``start`` on; return where they end.

    Each is hashed, and written to the disk, while the next ones are received.
    """
    most = wanted.limits.max_bytes if total is None else total
    with (
        part.path.open("r+b", buffering=0) as out,
        Writeback(out.fileno(), start) as writeback,
        Hashing(part, start) as hashing,
    ):
        out.seek(start)
        at = start
        report(at, total)
        for block in blocks:
            _add(out, block)
            hashing.add(block)
            at += len(block)
            if at > most:
                raise Failure(f"the server sends more than {at - len(block)} bytes, and does not stop", hint=_ADDRESS)
            report(at, total)
            writeback.wrote(at)
            if wanted.stop.is_set():
                raise Stopped
    return at


def _add(out: FileIO, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[out.write(rest) :]


def _checked_range(reply: Reply, part: Part, there: int, origin: Origin) -> int | None:
    """The whole file's size from a 206."""
    found = _RANGE.fullmatch(reply.headers.get("Content-Range", "").strip())
    if found is not None:
        first, last = int(found[1]), int(found[2])
        total = None if found[3] == "*" else int(found[3])
        if (
            first == there <= last
            and (total is None or last < total)
            and reply.length in {None, last + 1 - first}
            and (origin.total is None or total in {None, origin.total})
        ):
            return total
    part.discard()
    raise Failure("the server sends another range than the one requested", again=True)


def _total(total: int | None, there: int, part: Part, wanted: Wanted) -> int | None:
    """The whole file's size, if it is known and fits.

    Raises:
        Failure: it is another file, or there is no room for it.
    """
    if wanted.size is not None:
        if total not in {None, wanted.size}:
            raise Failure(f"it has {total} bytes there, not {wanted.size}", hint=_SIZE)
        total = wanted.size
    if total is None:
        return None
    if total > wanted.limits.max_bytes:
        raise Failure(f"it has {total} bytes, more than the limit of {wanted.limits.max_bytes}", hint=_ADDRESS)
    folder = part.path.parent
    free = shutil.disk_usage(folder).free
    if total - there > free - _SPARE:
        needed = (total - there + _SPARE + _MIB - 1) // _MIB
        spare = f"{_SPARE // _MIB} MiB of which stay free"
        raise Failure(f"it needs {needed} MiB, {spare}, and {folder} has {free // _MIB} MiB", hint=SPACE)
    return total


def _validator(reply: Reply) -> str:
    """The value for If-Range: a strong ETag, else Last-Modified; empty if there is neither."""
    tag = reply.headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', tag):
        return tag
    date = reply.headers.get("Last-Modified", "")
    return date if re.fullmatch(r"[A-Za-z0-9 ,:]{10,40}", date) else ""
