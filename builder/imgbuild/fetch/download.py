"""A file from the network: it appears complete and with the right sha256, or not at all.

Its addresses are tried in their order. One that fails in a way that may pass is tried again later, and the others in
the meantime; what one has sent is continued at the next. Whatever a server or the disk did to a part, the sha256
decides: a file that was assembled from several answers and has a wrong one is fetched once more from its first byte.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.progress import Steps, Transfer
from imgbuild.fetch.address import shown
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.checksum import sync
from imgbuild.fetch.failure import SPACE, Failure, FetchError, Stopped
from imgbuild.fetch.limits import Limits
from imgbuild.fetch.part import Part
from imgbuild.fetch.piece import Wanted, piece

_NETWORK = "check the network, and http_proxy, https_proxy and no_proxy; the next run resumes where this one ended"
_CONTENT = "compare the sha256 with the publisher's: the file has changed, or the sha256 is that of another file"
Aside = Callable[[Part, str], str]
"""Move a whole file with that other sha256 aside; return what to say about it."""


def download(
    artifact: Artifact,
    file: Path,
    steps: Steps,
    limits: Limits | None = None,
    *,
    part: Part | None = None,
    aside: Aside | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Fetch ``artifact`` to ``file``. Use it only while holding a lock on it.

    ``part`` is by default beside the file. ``stop``: gives up as soon as it is set.

    Raises:
        FetchError: no address has it.
        Stopped: ``stop`` was set.
    """
    got = part or Part(file)
    limit = limits or Limits()
    wanted = Wanted(artifact.size, limit, time.monotonic() + limit.total_seconds, stop or threading.Event())
    try:
        with steps.transfer(artifact.name) as report:
            _fill(artifact, got, wanted, report, steps, aside or _discard)
        got.path.chmod(0o644)
        sync(got.path)
        got.finish(file)
        sync(file.parent)
    except OSError as error:
        raise FetchError(f"{file} cannot be written: {error.strerror or error}", SPACE) from error


@dataclass
class _Source:
    """One address. ``failed``: tries in a row without progress; ``ready``: when it may be asked again."""

    url: str
    failed: int = 0
    ready: float = 0.0
    doubted: bool = False
    why: str = ""
    """Why it was given up; empty as long as it was not."""
    hint: str = _NETWORK


def _fill(artifact: Artifact, part: Part, wanted: Wanted, report: Transfer, steps: Steps, aside: Aside) -> None:
    """Try until the part is the whole file with its sha256."""
    sources = [_Source(url) for url in artifact.urls]
    most = part.size()
    while True:
        source = _next(artifact, sources)
        if wanted.stop.wait(max(0.0, source.ready - time.monotonic())):
            raise Stopped
        try:
            doubtful = piece(source.url, part, wanted, report)
        except Failure as error:
            # Counted from the most bytes ever received: a server without ranges starts again each time.
            moved = part.size() - most >= wanted.limits.progress_bytes
            most = max(most, part.size())
            source.failed = 1 if moved else source.failed + 1
            _judge(source, error, wanted)
            _tell(source, str(error), sources, steps)
            continue
        found = part.sha256()
        if found == artifact.sha256:
            return
        said = f"{shown(source.url)} has the sha256 {found}, not {artifact.sha256}"
        if doubtful and not source.doubted:
            source.doubted = True
            steps.note(f"{doubtful} and has another sha256: fetching it from its first byte")
            part.discard()
            continue
        kept = aside(part, found)
        source.why, source.hint = f"the file at {said}{kept}", _CONTENT
        _tell(source, source.why, sources, steps)


def _next(artifact: Artifact, sources: Sequence[_Source]) -> _Source:
    """The first address that may be asked now, else the one that may be asked soonest."""
    alive = [source for source in sources if not source.why]
    if alive:
        now = time.monotonic()
        return min(alive, key=lambda source: max(source.ready, now))
    hints = "\n".join(dict.fromkeys(source.hint for source in sources)) or "give it an address"
    if len(sources) == 1:
        raise FetchError(sources[0].why, hints)
    what = "; ".join(source.why for source in sources) or "it has no address"
    raise FetchError(f"{artifact.name} cannot be fetched from any of its addresses: {what}", hints)


def _judge(source: _Source, error: Failure, wanted: Wanted) -> None:
    """Decide whether this address is asked again, and when."""
    limits = wanted.limits
    wait = limits.pause(source.failed) if error.wait is None else error.wait
    why = ""
    if error.wait is not None and wait > limits.max_wait_seconds:
        why = f"{error}, and requests a pause of {wait:.0f} s"
    elif not error.again:
        why = str(error)
    elif source.failed >= limits.tries or time.monotonic() + wait >= wanted.deadline:
        why = f"{error} (tried {source.failed} times)"
    if why:
        source.why = f"{shown(source.url)} cannot be fetched: {why}"
        source.hint = error.hint or source.hint
    source.ready = time.monotonic() + wait


def _tell(source: _Source, why: str, sources: Sequence[_Source], steps: Steps) -> None:
    """Note what happened and what comes next, unless it is the end."""
    alive = [other for other in sources if not other.why]
    if not alive:
        return
    now = time.monotonic()
    following = min(alive, key=lambda other: max(other.ready, now))
    if following is source:
        steps.note(f"{why}: retrying in {max(0.0, source.ready - now):.0f} s")
    else:
        steps.note(f"{source.why or f'{shown(source.url)}: {why}'}; trying {shown(following.url)}")


def _discard(part: Part, found: str) -> str:
    part.discard()
    return ""
