"""The time zones of the IANA database, as this host has it."""

from __future__ import annotations

import zoneinfo
from functools import cache


@cache
def zones() -> frozenset[str]:
    """The names of all time zones; none on a host without tzdata."""
    return frozenset(zoneinfo.available_timezones())
