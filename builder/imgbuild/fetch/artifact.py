"""A file that is pinned by its sha256, and where it can be had."""

from __future__ import annotations

from dataclasses import dataclass


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
