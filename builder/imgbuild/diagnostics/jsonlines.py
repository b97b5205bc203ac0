"""The JSON form of all that imgbuild says: one object a line, each with its ``event``."""

from __future__ import annotations

import json


def json_line(event: str, **fields: object) -> str:
    """One event as a line of ASCII: whatever the input holds, it reaches any terminal and any pipe."""
    return json.dumps({"event": event, **fields}, default=str).replace("\x7f", "\\u007f")
