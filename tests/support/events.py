"""Reading what `--format json` writes: one object a line, the last one the result."""

from __future__ import annotations

import json
from typing import Any

Event = dict[str, Any]


def events(output: str) -> list[Event]:
    """All events, the result last."""
    found = [json.loads(line) for line in output.splitlines()]
    assert found and found[-1]["event"] == "result", output
    assert [event["event"] for event in found].count("result") == 1
    return found


def of_kind(kind: str, output: str) -> list[Event]:
    """The events of one kind, without that word."""
    return [{k: v for k, v in event.items() if k != "event"} for event in events(output) if event["event"] == kind]


def findings_of(output: str) -> list[Event]:
    """The findings."""
    return of_kind("finding", output)


def result_of(output: str) -> Event:
    """The result."""
    return of_kind("result", output)[0]
