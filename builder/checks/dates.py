"""What a date decides: whether this machine's clock can be right."""

from __future__ import annotations

import datetime

from builder.checks.context import Context
from builder.moment import RELEASED


def check_clock(context: Context, *, makes_keys: bool) -> None:
    """A finding where the run goes by a clock that is certainly wrong: keys would be made for the past."""
    moment = context.moment
    if moment.now >= RELEASED or (moment.epoch is not None and not makes_keys):
        return
    context.findings.add(
        "IB239",
        f"this machine's clock shows {_day(moment.now)}, before this imgbuild was released ({_day(RELEASED)}): "
        "certificates and tokens would be made for the past, and nothing that expires would be noticed",
        hint="set the clock (timedatectl set-ntp true; or date --utc --set TIME) and run again",
    )


def _day(second: int) -> datetime.date:
    return datetime.datetime.fromtimestamp(second, datetime.UTC).date()
