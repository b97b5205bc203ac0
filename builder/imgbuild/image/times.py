"""How long the steps of a profile's last image build took, kept in the cache for `imgbuild plan`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from imgbuild.diagnostics.timed import Taken
from imgbuild.image.cache import open_cache, subfolder, write_record


@dataclass(frozen=True)
class LastRun:
    """``ended``: seconds since 1970."""

    ended: int
    steps: Sequence[Taken]

    @property
    def seconds(self) -> float:
        """The time of all steps together."""
        return round(sum(step.seconds for step in self.steps if not step.depth), 1)


def save(cache: Path, name: str, run: LastRun) -> None:
    """Keep the times of the profile ``name`` in place of older ones.

    Raises:
        HostError: the cache cannot be used.
    """
    place = open_cache(cache)
    subfolder(place, "times")
    write_record(_file(place, name), asdict(run))


def last_run(cache: Path, name: str) -> LastRun | None:
    """The times of the last build of an image; None if the cache has none."""
    try:
        data = json.loads(_file(cache, name).read_text())
        return LastRun(int(data["ended"]), [Taken(**step) for step in data["steps"]])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _file(cache: Path, name: str) -> Path:
    return cache / "times" / f"{name}.json"
