"""The error of a run that must not use the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgbuild.fetch.address import shown
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.failure import FetchError

_IN_FULL = 20  # files with checksum and addresses; packages of a lock are hundreds


def not_there(artifacts: Sequence[Artifact], folder: Path) -> FetchError:
    """The error with everything that the store in ``folder`` lacks."""
    what = "; ".join(f"{a.name} (sha256 {a.sha256}, from {', '.join(map(shown, a.urls))})" for a in artifacts)
    if len(artifacts) > _IN_FULL:
        what = f"{len(artifacts)} files: {', '.join(a.name for a in artifacts)}"
    return FetchError(
        f"not in the store {folder}, and nothing is fetched with --offline: {what}",
        "run `imgbuild fetch` with the same profile, layers and --store on a machine with a network, and carry the "
        "folder here",
    )
