"""Keep a guest running for a person: until its SSH server answers, and then until Ctrl-C or a time limit."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_BANNER = b"SSH-"
_KNOCK_SECONDS = 2.0
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Stay:
    """``ready`` is called with the port when the guest's SSH server answers; from then on it stays ``seconds``."""

    ready: Callable[[int], None]
    seconds: float


async def answering(port: int) -> None:
    """Wait until an SSH server answers behind this port of 127.0.0.1."""
    while not await _answers(port):
        await asyncio.sleep(_KNOCK_SECONDS)


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await reader.readexactly(len(_BANNER)) == _BANNER
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@contextmanager
def interrupts(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block the first Ctrl-C calls ``stop``; a second one interrupts as usual."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stop()

    loop.add_signal_handler(signal.SIGINT, first)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
