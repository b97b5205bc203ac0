"""What the guest sends on the virtio-serial port: JSON, one object per line.

Two kinds are known. ``verify`` has checks; imgbuild-report.service in the image sends one at each boot:

    {"imgbuild": 1, "kind": "verify", "boot_id": "…", "checks": [
        {"name": "kernel", "ok": true, "expected": "…", "found": "…", "hint": "…"}], …}

``plot`` has ``systemd-analyze plot``: {"kind": "plot", "encoding": "gzip+base64", "data": "…"}. Any other
kind is kept as it is, for tests that send more.

The guest is not trusted: whatever it sends is bounded, checked and made safe to print.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from imgbuild.machine.text import as_text
from imgbuild.machine.verdict import Check

LINE_LIMIT = 8 << 20  # bytes of one line: a plot has about 100 KiB
TOTAL_LIMIT = 64 << 20  # bytes of a whole run
MESSAGE_LIMIT = 1000
CHECK_LIMIT = 500
SVG_LIMIT = 16 << 20  # bytes once unpacked


class ReportError(Exception):
    """The guest sent something that is not the protocol. The text describes it, and shows its start."""


@dataclass(frozen=True)
class Message:
    """One line. ``body`` is the whole object, ``kind`` its kind."""

    kind: str
    body: Mapping[str, object]


class Lines:
    """Assembles bytes from the port into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._total = 0
        self._count = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes.

        Raises:
            ReportError: one is not valid, or there are too many.
        """
        self._total += len(data)
        if self._total > TOTAL_LIMIT:
            raise ReportError(f"the guest sent more than {TOTAL_LIMIT >> 20} MiB")
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        self._rest = bytearray(rest)
        if any(len(line) > LINE_LIMIT for line in (*lines, rest)):
            raise ReportError(f"the guest sent a line of more than {LINE_LIMIT >> 20} MiB: {_shown(rest)}")
        messages = [parse_line(bytes(line)) for line in lines if line.strip()]
        self._count += len(messages)
        if self._count > MESSAGE_LIMIT:
            raise ReportError(f"the guest sent more than {MESSAGE_LIMIT} lines")
        return messages

    def drop_unfinished(self) -> None:
        """Drop an incomplete line: its sender ended in a reboot."""
        self._rest.clear()


def parse_line(line: bytes) -> Message:
    """One line as a message.

    Raises:
        ReportError: it is not one.
    """
    try:
        body = json.loads(line.decode("utf-8"), object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"the guest sent a line that is not JSON ({_brief(error)}): {_shown(line)}") from None
    if not isinstance(body, dict):
        raise ReportError(f"the guest sent JSON that is not an object: {_shown(line)}")
    kind = body.get("kind")
    if not isinstance(kind, str) or not kind.isascii() or not kind.isidentifier():
        raise ReportError(f"the guest sent an object without a kind: {_shown(line)}")
    return Message(kind, body)


def parse_verify(message: Message) -> tuple[Check, ...]:
    """The checks of a ``verify`` message.

    Raises:
        ReportError: something in it is wrong; it names the first thing.
    """
    if message.body.get("imgbuild") != 1 or isinstance(message.body.get("imgbuild"), bool):
        raise ReportError(f"the report's version is {as_text(message.body.get('imgbuild'))!r}, not 1")
    entries = message.body.get("checks")
    if not isinstance(entries, list):
        raise ReportError("the report has no list of checks")
    if len(entries) > CHECK_LIMIT:
        raise ReportError(f"the report has {len(entries)} checks, more than the limit of {CHECK_LIMIT}")
    checks = tuple(_check(number, entry) for number, entry in enumerate(entries))
    names = [check.name for check in checks]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ReportError(f"the report has two checks named {double[0]}")
    return checks


def _check(number: int, entry: object) -> Check:
    if not isinstance(entry, dict):
        raise ReportError(f"check {number} of the report is not an object")
    name, ok = entry.get("name"), entry.get("ok", "absent")
    if not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable():
        raise ReportError(f"check {number} of the report has no valid name")
    if ok is not None and not isinstance(ok, bool):
        raise ReportError(f"check {name}: ok is {as_text(ok)!r}, not true, false or null")
    unknown = sorted(set(entry) - {"name", "ok", "expected", "found", "hint"})
    if unknown:
        raise ReportError(f"check {name}: unknown key {as_text(unknown[0])}")
    return Check(name, ok, *(as_text(entry.get(key)) for key in ("expected", "found", "hint")))


def parse_plot(message: Message) -> bytes:
    """The SVG of a ``plot`` message.

    Raises:
        ReportError: it is something else, too large, or has a script.
    """
    data = message.body.get("data")
    if message.body.get("encoding") != "gzip+base64" or not isinstance(data, str):
        raise ReportError("the boot plot is not gzip in base64")
    unpack = zlib.decompressobj(wbits=31)
    try:
        svg = unpack.decompress(base64.b64decode(data, validate=True), SVG_LIMIT)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise ReportError(f"the boot plot cannot be unpacked: {error}") from None
    if not unpack.eof:
        raise ReportError(f"the boot plot is truncated, or larger than {SVG_LIMIT >> 20} MiB")
    lower = svg.lower()
    if b"<svg" not in lower[:4000]:
        raise ReportError(f"the boot plot is not an SVG: {_shown(svg)}")
    # It will be opened in a browser.
    for active in (b"<script", b"javascript:", b"<foreignobject", b"<!entity", b" onload", b" onclick"):
        if active in lower:
            raise ReportError(f"the boot plot contains {active.decode().strip()}: not kept")
    return svg


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("duplicate key")
    return body


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _shown(data: bytes | bytearray) -> str:
    return repr(bytes(data[:120]).decode("utf-8", errors="backslashreplace"))


def _brief(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
