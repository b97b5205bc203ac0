"""Reports of machines: read strictly, bounded, and applied to a record. Their content is a claim and only ever text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import parse_qsl

from imgbuild.serve.state import Install, Record, Stage

Event = Literal["install", "installed", "failed", "cloud-init", "stage", "ready", "console"]
MAX_BODY, MAX_CONSOLE = 64 << 10, 64 << 10
"""Bytes of a report, and characters of a console log."""
_MAX_MESSAGE, _MAX_WORD, _MAX_STAGES, _MAX_FIELDS = 4096, 64, 32, 64
_TOKEN = re.compile(r"/[rt]/[\w-]{20,}", re.ASCII)
"""A token in an address, which an error may repeat."""
_PHONE_HOME = ("instance_id", "hostname", "fqdn")


class BadReport(Exception):  # noqa: N818 - what the sender gets as an answer
    """A report that cannot be understood."""


@dataclass(frozen=True)
class Report:
    """One report. ``at`` is the machine's uptime in seconds, which orders reports that overtake each other."""

    event: Event
    node: str = ""
    mac: str = ""
    stage: str = ""
    state: str = ""
    message: str = ""
    progress: int | None = None
    at: float | None = None
    instance: str = ""


def read_report(body: str) -> Report:
    """A report from the body of a POST, which is a form.

    Raises:
        BadReport: it is not one.
    """
    try:
        fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise BadReport("a report is a form of at most 64 fields") from error
    event = fields.get("event", "")
    if not event and any(name in fields for name in _PHONE_HOME):  # cloud-init's phone_home
        return Report(
            "cloud-init", node=_word(fields.get("hostname", "")), instance=_word(fields.get("instance_id", ""))
        )
    if event not in get_args(Event):
        raise BadReport(f"event must be one of {', '.join(get_args(Event))}")
    return Report(
        event,  # type: ignore[arg-type]  # checked above
        node=_word(fields.get("node", "") or fields.get("hostname", "")),
        mac=_word(fields.get("mac", "")).lower(),
        stage=_word(fields.get("stage", "")),
        state=_word(fields.get("state", "")),
        message=_message(fields.get("message", ""), event),
        progress=_percent(fields.get("progress", "")),
        at=_seconds(fields.get("at", "")),
        instance=_word(fields.get("instance_id", "")),
    )


def apply(record: Record, report: Report, now: float, *, trusted: bool) -> None:
    """Change ``record`` by the report. ``trusted``: it came with the machine's own token."""
    record.seen = now
    match report.event:
        case "install" if record.state != "installed":
            record.state, record.download = "installing", None
            record.install = Install(stage=report.stage, progress=report.progress, time=now)
            _error(record, "", now)
        case "installed" if trusted:
            record.state, record.installed, record.token = "installed", now, None
            record.install, record.confirmed = None, ""
            _error(record, "", now)
        case "failed":
            _error(record, report.message or report.stage or "failed", now)
        case "cloud-init":
            record.phone, record.instance = now, report.instance or record.instance
            if report.state == "failed":
                _error(record, report.message or "cloud-init failed", now)
        case "stage":
            _stage(record, report, now)
        case "ready":
            record.ready = now
            _error(record, "", now)
        case "console":
            record.console = report.message  # the end of it, each time
        case _:
            pass


def _stage(record: Record, report: Report, now: float) -> None:
    name, at = report.stage or "none", report.at or 0.0
    before = record.stages.get(name)
    if before is not None and at and at < before.at and before.at - at < 3600:
        return  # overtaken on the way; a much smaller uptime is another boot
    if before is None and len(record.stages) >= _MAX_STAGES:
        return
    record.stages[name] = Stage(state=report.state, message=report.message, time=now, at=at)
    record.stage, record.ready = name, None
    problem = report.message if report.state in ("failed", "retrying") else ""
    _error(record, f"{name}: {problem}" if problem else "", now)


def _error(record: Record, text: str, now: float) -> None:
    record.error, record.error_time = text, now if text else None


def _printable(text: str, limit: int, also: str = "") -> str:
    return "".join(c for c in text[:limit] if c.isprintable() or c in also)


def _word(text: str) -> str:
    return _printable(text, _MAX_WORD).strip()


def _message(text: str, event: str) -> str:
    text = _TOKEN.sub("/(not shown)", text)
    if event == "console":
        return _printable(text.replace("\r\n", "\n").replace("\r", "\n"), MAX_CONSOLE, "\n\t")
    return _printable(text.replace("\n", " "), _MAX_MESSAGE).strip()


def _percent(text: str) -> int | None:
    return min(int(text), 100) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e10 else None
