"""Several files at a time, into a store."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from imgbuild.diagnostics.errors import ImgbuildError
from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.absent import not_there
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.failure import FetchError, Stopped
from imgbuild.fetch.limits import Limits
from imgbuild.fetch.store import Store

AT_ONCE = 4
"""Transfers at a time: more than one, because one server may be slow; few, because servers limit connections."""
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Fetched:
    """What was there already, and what was fetched."""

    there: Sequence[Artifact]
    new: Sequence[Artifact]


def missing(artifacts: Sequence[Artifact], store: Store, steps: Steps, *, verify: bool = False) -> list[Artifact]:
    """Those that are not in the store, each content once. ``verify``: read all that is there.

    Raises:
        FetchError: the store cannot be read.
        HostError: a file is damaged in the bundle.
    """
    once: dict[str, Artifact] = {}
    for artifact in artifacts:
        once.setdefault(artifact.sha256, artifact)
    wanted = list(once.values())
    if not verify:
        return [artifact for artifact in wanted if not store.has(artifact, steps)]
    with steps.step(f"Verify the files in {store.folder}"):
        return [artifact for artifact in wanted if not store.has(artifact, steps, verify=True)]


def fetch_all(
    artifacts: Sequence[Artifact],
    store: Store,
    steps: Steps,
    limits: Limits | None = None,
    *,
    at_once: int = AT_ONCE,
    verify: bool = False,
) -> Fetched:
    """Get all of them into the store.

    Raises:
        FetchError: some could not be fetched; all others were.
    """
    wanted = missing(artifacts, store, steps, verify=verify)
    absent = {artifact.sha256 for artifact in wanted}
    there = [artifact for artifact in artifacts if artifact.sha256 not in absent]
    if not wanted:
        return Fetched(there, ())
    if store.offline:
        raise not_there(wanted, store.folder)
    with steps.step(f"Fetch {_listed(wanted)}"):
        errors = _Crew(wanted, store, steps, limits).work(min(at_once, len(wanted)))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        hints = "\n".join(dict.fromkeys(line for error in errors for line in error.hint.splitlines()))
        each = list(dict.fromkeys(map(str, errors)))
        if len(each) == 1:  # the store, for example
            raise FetchError(each[0], hints)
        what = "; ".join(each)
        raise FetchError(f"{len(errors)} of {len(wanted)} files could not be fetched: {what}", hints)
    return Fetched(there, wanted)


def _listed(wanted: Sequence[Artifact]) -> str:
    if len(wanted) == 1:
        return wanted[0].name
    sizes = [artifact.size for artifact in wanted if artifact.size is not None]
    size = f" ({sum(sizes) / (1 << 20):.0f} MiB)" if len(sizes) == len(wanted) else ""
    return f"{len(wanted)} files{size}"


class _Crew:
    """Threads that fetch one file after the other. They end with the process: an interrupted run waits for none."""

    def __init__(self, wanted: Sequence[Artifact], store: Store, steps: Steps, limits: Limits | None) -> None:
        self._store, self._steps, self._limits = store, steps, limits
        self._todo: queue.SimpleQueue[Artifact | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._count = len(wanted)
        for artifact in wanted:
            self._todo.put(artifact)

    def work(self, threads: int) -> list[ImgbuildError]:
        """Fetch all of them with so many threads; return why some could not be fetched."""
        crew = [threading.Thread(target=self._run, daemon=True, name="imgbuild-fetch") for _ in range(threads)]
        for thread in crew:
            thread.start()
        errors = []
        try:
            for _ in range(self._count):
                error = self._next()
                if isinstance(error, ImgbuildError):
                    errors.append(error)
                elif error is not None:
                    raise error
        except BaseException:
            self._stop.set()
            raise
        for _ in crew:
            self._todo.put(None)
        for thread in crew:
            thread.join()
        return errors

    def _next(self) -> BaseException | None:
        """How the next file has ended. Python sees a signal that comes just before a wait only after it."""
        while True:
            with suppress(queue.Empty):
                return self._done.get(timeout=_LOOK_SECONDS)

    def _run(self) -> None:
        while (artifact := self._todo.get()) is not None and not self._stop.is_set():
            try:
                self._store.fetch(artifact, self._steps, self._limits, self._stop)
            except Stopped:
                return
            except BaseException as error:
                self._done.put(error)
            else:
                self._done.put(None)
