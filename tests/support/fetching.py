"""Files to fetch, and servers for several of them."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Mapping
from pathlib import Path

from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch import download as fetched
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.limits import Limits
from tests.support.fetch_server import Act, Talk


def download(url: str, file: Path, sha256: str, steps: Steps, limits: Limits | None = None) -> None:
    """Fetch one file from one address."""
    fetched.download(Artifact(file.name, sha256, None, (url,)), file, steps, limits)


def contents(count: int, size: int) -> dict[str, bytes]:
    """Different files by name."""
    source = random.Random(count)  # noqa: S311 - not a secret
    return {f"file{number}": source.randbytes(size) for number in range(count)}


def artifacts(files: Mapping[str, bytes], *places: str) -> list[Artifact]:
    """Those files, at these addresses (http://HOST:PORT), with their sizes."""
    return [
        Artifact(name, hashlib.sha256(data).hexdigest(), len(data), tuple(f"{place}/{name}" for place in places))
        for name, data in files.items()
    ]


def serve(files: Mapping[str, bytes], block: int = 1 << 20, pause: float = 0) -> Act:
    """As a good server, with ranges: each file below its name, ``block`` bytes every ``pause`` seconds."""

    def act(talk: Talk) -> None:
        found = re.match(r"GET /(\S+) ", talk.request)
        data = files.get(found[1]) if found else None
        if data is None:
            talk.head("404 Not Found", "Content-Length: 0")
            return
        start, size = talk.start, len(data)
        talk.head("206 P" if start else "200 OK", 'ETag: "x"', f"Content-Length: {size - start}",
                  f"Content-Range: bytes {start}-{size - 1}/{size}")  # fmt: skip
        for at in range(start, size, block):
            talk.send(data[at : at + block])
            time.sleep(pause)

    return act
