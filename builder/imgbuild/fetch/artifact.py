"""A file that is pinned by its sha256, and where it can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.fetch.address import shown
from imgbuild.fetch.failure import FetchError

_IN_FULL = 20
"""Files with checksum and addresses in one message; packages of a lock are hundreds."""


@dataclass(frozen=True)
class Artifact:
    """``urls``: http, https or file addresses in the order to try them; the origin first, then its mirrors."""

    name: str
    """What the user calls it: a file name or a part of the node. It appears in messages only."""
    sha256: str
    """64 lower-case hexadecimal digits."""
    size: int | None
    """Bytes; None if nobody has recorded it."""
    urls: tuple[str, ...]


def not_there(artifacts: Sequence[Artifact], folder: Path) -> FetchError:
    """The error of a run that must not use the network, with everything that it lacks."""
    what = "; ".join(f"{a.name} (sha256 {a.sha256}, from {', '.join(map(shown, a.urls))})" for a in artifacts)
    if len(artifacts) > _IN_FULL:
        what = f"{len(artifacts)} files: {', '.join(a.name for a in artifacts)}"
    return FetchError(
        f"not in the store {folder}, and nothing is fetched with --offline: {what}",
        "run `imgbuild fetch` with the same profile, layers and --store on a machine with a network, and carry the "
        "folder here",
    )
