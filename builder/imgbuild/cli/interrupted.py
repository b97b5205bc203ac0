"""Short messages for Ctrl-C, SIGTERM, SIGHUP and too little memory, also while imgbuild is still importing.

SIGTERM and SIGHUP end a run as Ctrl-C at a terminal does: what it has made for itself is removed, and the programs that
it has started are ended. Signals that were ignored at the start (nohup) stay ignored.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

# Created beforehand: without free memory, a message cannot be created either.
_INTERRUPTED = b"error: interrupted\n  fix: run it again; nothing was changed\n"
_NO_MEMORY = b"error: not enough memory\n  fix: free some, or raise the limit (ulimit -v), and run it again\n"
_ENVIRONMENT = 3
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_caught: list[int] = []


def listen() -> None:
    """Handle the signals from now on. ``early`` ends the program until the command has its own handler of SIGINT."""
    signal.signal(signal.SIGINT, early)
    for number in _ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _as_ctrl_c)


def early(_number: int, _frame: FrameType | None) -> None:
    """SIGINT before the command handles it itself, and after it has ended."""
    _end(_INTERRUPTED, status())


def no_memory() -> None:
    """End the program with exit code 3."""
    _end(_NO_MEMORY, _ENVIRONMENT)


def status() -> int:
    """The exit code of a run that was interrupted: 3 after Ctrl-C, else 128 and the signal's number, as in a shell."""
    return 128 + _caught[0] if _caught else _ENVIRONMENT


def _as_ctrl_c(number: int, _frame: FrameType | None) -> None:
    """A second one changes nothing: a terminal that closes sends two, and the first one's cleaning up must end."""
    if _caught:
        return
    _caught.append(number)
    end_programs()
    signal.raise_signal(signal.SIGINT)


def end_programs() -> None:
    """Send SIGINT to what this process has started, as a terminal does: to its own process group, and no other one."""
    group, parents = os.getpgrp(), dict[int, int]()
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib is not imported yet
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as text:  # noqa: PTH123 - the same
                    fields = text.read().rpartition(b")")[2].split()
            except OSError:  # it has ended
                continue
            if int(fields[2]) == group:
                parents[int(name)] = int(fields[1])
    ours = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    for child in ours - {os.getpid()}:
        try:
            os.kill(child, signal.SIGINT)
        except OSError:  # it has ended, or is another user's
            continue


def _end(message: bytes, code: int) -> None:
    os.write(2, message)
    os._exit(code)
