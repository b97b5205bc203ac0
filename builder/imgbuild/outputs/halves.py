"""Work on many nodes or files in two halves: one in this process, the other in a forked one, on another core.

Threads would not do, because nearly all of it is Python. There are no more than two processes: what comes before the
halves, such as reading the cluster file, takes longer than what four of them would still save.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from imgbuild.diagnostics.errors import HostError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")
R = TypeVar("R")
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AT_A_TIME = 200
"""How many results are sent at once: the other process frees what it has sent, so that they are not in memory twice."""


def in_halves(work: Callable[[T], R], items: Sequence[T], least: int) -> list[R]:
    """``work`` of each item, in their order; of fewer than ``least`` items, or with one core, in this process alone.

    ``work`` must have no effect on this process's memory, and a result that can be pickled. An error is that of the
    first item that has one, as if all were done in turn.

    Raises:
        HostError: the other process was killed.
    """
    alone = len(os.sched_getaffinity(0)) == 1 or threading.current_thread() is not threading.main_thread()
    if alone or len(items) < least:
        return [work(item) for item in items]
    from multiprocessing import get_context  # not for a few nodes

    middle, context = len(items) // 2, get_context("fork")
    here, there = context.Pipe(duplex=False)
    other = context.Process(target=_second, args=(work, items[middle:], there), daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # this process's handlers are not for the other one
    try:
        other.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()
    try:
        out = [work(item) for item in items[:middle]]
        while len(out) < len(items):
            found: list[R] | BaseException = here.recv()
            if isinstance(found, BaseException):
                raise found
            out += found
    except EOFError as error:
        other.join()
        why = "a process of imgbuild was killed, as happens when memory runs out"
        raise HostError(why, "free some memory and run it again") from error
    finally:
        other.kill()
        other.join()
        here.close()
    return out


def _second(work: Callable[[T], R], items: Sequence[T], there: Connection) -> None:
    """The other process: results are sent when all are done, because nobody reads them before."""
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    with suppress(OSError):  # the first process is gone
        try:
            results = [work(item) for item in items]
        except Exception as error:
            there.send(error)
            return
        results.reverse()
        while results:
            there.send([results.pop() for _ in range(min(_AT_A_TIME, len(results)))])
