"""A file from the network: it appears complete and with the right sha256, or not at all.

Received data is in FILE.part, and its source in FILE.part.json, so that a killed run can be resumed.
Whatever the server or the disk did to a part, the sha256 decides: a file that was assembled from
several answers and has a wrong one is fetched once more from its first byte.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from imgbuild.diagnostics.progress import Steps, Transfer
from imgbuild.fetch.address import shown
from imgbuild.fetch.checksum import sha256_of, sync
from imgbuild.fetch.exchange import Reply, exchange
from imgbuild.fetch.failure import AGAIN, Failure, FetchError, retry_after
from imgbuild.fetch.limits import Limits

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_WHOLE = re.compile(r"bytes \*/([0-9]{1,18})")
_PIECED = "it was assembled from several answers"
_SPARE = 16 << 20  # bytes that stay free on the disk
_HINT = "check the network, and http_proxy, https_proxy and no_proxy; the next run resumes where this one ended"


def download(url: str, file: Path, sha256: str, steps: Steps, limits: Limits | None = None) -> None:
    """Fetch ``url`` (http or https) to ``file``. Use it only while holding a lock on it.

    Raises:
        FetchError: it cannot be fetched, or its sha256 differs.
    """
    with steps.step(f"Fetch {shown(url)}"):
        try:
            _fetch(url, file, sha256, steps, limits or Limits())
        except OSError as error:
            raise FetchError(
                f"{file} cannot be written: {error.strerror or error}",
                "free some space, or set IMGBUILD_CACHE to a folder on a larger disk",
            ) from error


def _fetch(url: str, file: Path, sha256: str, steps: Steps, limits: Limits) -> None:
    part = _Part(file)
    deadline = time.monotonic() + limits.total_seconds
    doubtful = _whole(url, part, limits, deadline, steps)
    if doubtful and sha256_of(part.path) != sha256:
        steps.note(f"{doubtful} and has another sha256: fetching it from its first byte")
        part.discard()
        _whole(url, part, limits, deadline, steps)
    found = sha256_of(part.path)
    if found != sha256:
        part.discard()
        raise FetchError(
            f"the file at {shown(url)} has the sha256 {found}, not {sha256}",
            "compare the sha256 with the publisher's: the file has changed, or the sha256 is that of another file",
        )
    sync(part.path)
    part.path.replace(file)
    sync(file.parent)
    part.discard()


def _whole(url: str, part: _Part, limits: Limits, deadline: float, steps: Steps) -> str:
    """Try until all of it is in ``part``; return why it could be wrong although the server is right, or nothing."""
    failed = 0
    most = part.size()
    with steps.transfer() as report:
        while True:
            try:
                return _piece(url, part, limits, deadline, report)
            except Failure as error:
                # Counted from the most bytes ever received: a server without ranges starts again each time.
                failed = 1 if part.size() - most >= limits.progress_bytes else failed + 1
                most = max(most, part.size())
                wait = limits.pause(failed) if error.wait is None else error.wait
                if error.wait is not None and wait > limits.max_wait_seconds:
                    raise _gave_up(url, f"{error}, and requests a pause of {wait:.0f} s") from error
                if not error.again:
                    raise _gave_up(url, str(error)) from error
                if failed >= limits.tries or time.monotonic() + wait >= deadline:
                    raise _gave_up(url, f"{error} (tried {failed} times)") from error
                steps.note(f"{error}: retrying in {wait:.0f} s")
                time.sleep(wait)


def _gave_up(url: str, why: str) -> FetchError:
    return FetchError(f"{shown(url)} cannot be fetched: {why}", _HINT)


def _piece(url: str, part: _Part, limits: Limits, deadline: float, report: Transfer) -> str:
    """One request for the missing part; return why the whole could be wrong although the server is right, or nothing.

    Raises:
        Failure: not all of it was received.
    """
    there, origin = part.size(), part.origin(url)
    headers = {}
    if there:
        headers["Range"] = f"bytes={there}-"
        if origin.validator:
            headers["If-Range"] = origin.validator
    with exchange("GET", url, headers, limits, deadline) as reply:
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
            raise Failure(f"the server answers with status {reply.status}")
        _room(part.path.parent, total, there, limits)
        part.begin(_Origin(shown(url), _validator(reply), total), again=not there)
        with part.path.open("r+b") as out:
            out.seek(there)
            _copy(reply, out, total, limits, report)
            end = out.tell()
    if total is not None and end < total:
        raise Failure(f"the server sent {end} of {total} bytes", again=True)
    if there:
        return _PIECED
    return "" if reply.ends else "its end was not marked"


def _copy(reply: Reply, out: BinaryIO, total: int | None, limits: Limits, report: Transfer) -> None:
    report(out.tell(), total)
    for block in reply.blocks():
        out.write(block)
        if out.tell() > (limits.max_bytes if total is None else total):
            raise Failure(f"the server sends more than {out.tell() - len(block)} bytes, and does not stop")
        report(out.tell(), total)


def _checked_range(reply: Reply, part: _Part, there: int, origin: _Origin) -> int | None:
    """The whole file's size from a 206. A range that was not requested must not get into the part."""
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


def _room(folder: Path, total: int | None, there: int, limits: Limits) -> None:
    if total is None:
        return
    if total > limits.max_bytes:
        raise Failure(f"it has {total} bytes, more than the limit of {limits.max_bytes}")
    free = shutil.disk_usage(folder).free
    if total - there > free - _SPARE:
        raise Failure(f"it needs {(total - there) >> 20} MiB, and {folder} has {free >> 20} MiB free")


def _validator(reply: Reply) -> str:
    """The value for If-Range: a strong ETag, else Last-Modified; empty if there is neither."""
    tag = reply.headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', tag):
        return tag
    date = reply.headers.get("Last-Modified", "")
    return date if re.fullmatch(r"[A-Za-z0-9 ,:]{10,40}", date) else ""


@dataclass(frozen=True)
class _Origin:
    """The source of a part. ``address`` is kept without its login and query."""

    address: str
    validator: str = ""
    total: int | None = None


class _Part:
    """The data received so far."""

    def __init__(self, file: Path) -> None:
        self.path = file.with_name(f"{file.name}.part")
        self._about = file.with_name(f"{file.name}.part.json")
        if self.path.is_symlink() or not self.path.is_file():
            self.discard()

    def size(self) -> int:
        """Bytes; 0 if there is none."""
        return self.path.stat().st_size if self.path.exists() else 0

    def origin(self, url: str) -> _Origin:
        """What is known about it; nothing if it came from another address, whose validators do not apply here."""
        try:
            data = json.loads(self._about.read_text())
            known = _Origin(str(data["address"]), str(data["validator"]), data["total"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return _Origin("")
        if known.address != shown(url) or not isinstance(known.total, int | None):
            return _Origin("")
        return known

    def begin(self, origin: _Origin, *, again: bool) -> None:
        """Record its source; ``again``: and start it at its first byte."""
        if again:
            self.discard()
            self.path.touch(mode=0o600)
        new = self._about.with_name(f"{self._about.name}.new")
        new.unlink(missing_ok=True)
        new.write_text(json.dumps(asdict(origin)))
        new.replace(self._about)

    def discard(self) -> None:
        """Remove it, and anything else with its names."""
        for path in (self.path, self._about):
            try:
                path.unlink(missing_ok=True)
            except IsADirectoryError:
                shutil.rmtree(path)
