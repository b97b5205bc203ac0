"""When a run happens: the one place where the clock and SOURCE_DATE_EPOCH are read, once a run.

Keys and tokens are made for machines that boot by their own clocks, so they use this machine's clock. Checks of the
input against a date (an end of life, a key that expires) must give the same result for the same input: they
use SOURCE_DATE_EPOCH where that is set (reproducible-builds.org/specs/source-date-epoch).
"""

from __future__ import annotations

import datetime
import os
import time
from dataclasses import dataclass

from imgbuild import __released__
from imgbuild.diagnostics.errors import HostError

RELEASED = int(datetime.datetime.fromisoformat(f"{__released__}T00:00:00+00:00").timestamp())
"""When this imgbuild was released, in seconds since 1970: no run of it is earlier."""


@dataclass(frozen=True)
class Moment:
    """``now``: the clock; ``epoch``: SOURCE_DATE_EPOCH, None where it is not set. Both in seconds since 1970, UTC."""

    now: int
    epoch: int | None = None

    @property
    def second(self) -> int:
        """The time that dates are compared with.

        A SOURCE_DATE_EPOCH from before imgbuild's release (0, or an old last commit) is meant for timestamps in
        archives; it is not a day on which this imgbuild ran.
        """
        return self.now if self.epoch is None else max(self.epoch, RELEASED)

    @property
    def today(self) -> datetime.date:
        """The day of ``second``, in UTC."""
        return datetime.datetime.fromtimestamp(self.second, datetime.UTC).date()


def read_moment() -> Moment:
    """This run's moment.

    Raises:
        HostError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text and (not text.isascii() or not text.isdigit() or len(text) > 11):
        raise HostError(f"SOURCE_DATE_EPOCH is {text!r}", "set it to seconds since 1970, or unset it")
    return Moment(int(time.time()), int(text) if text else None)
