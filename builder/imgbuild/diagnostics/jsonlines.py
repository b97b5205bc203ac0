"""The JSON form of imgbuild's output: one object per line, each with its ``event``."""

from __future__ import annotations

import json


def json_line(event: str, **fields: object) -> str:
    """One event as a line of ASCII: whatever the input has, it is safe for any terminal and any pipe."""
    return json.dumps({"event": event, **fields}, default=str).replace("\x7f", "\\u007f")
