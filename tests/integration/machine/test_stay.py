"""`imgbuild boot --ssh`: the guest stays, is reached at one port of the loopback interface, and ends."""

from __future__ import annotations

import io
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from imgbuild.diagnostics.progress import Steps
from imgbuild.machine import BootResult, boot
from imgbuild.machine.spec import Forward
from imgbuild.machine.stay import Stay
from tests.support.machine.tinyguest import TinyGuest, tiny_spec

pytestmark = pytest.mark.boot


class Told:
    """What is called when the guest can be reached: it looks from outside, and then ends the guest if it is told to."""

    def __init__(self, *, interrupt: bool = False) -> None:
        self.port = 0
        self.banner = b""
        self.listening: set[str] = set()
        self._interrupt = interrupt

    def __call__(self, port: int) -> None:
        self.port = port
        self.listening = listening()
        threading.Thread(target=self._look).start()

    def _look(self) -> None:
        # The guest's server takes one connection after the other, and imgbuild has just had one.
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                self.banner = connection.recv(100)
            if self.banner:
                break
            time.sleep(0.1)
        if self._interrupt:
            os.kill(os.getpid(), signal.SIGINT)


def listening() -> set[str]:
    """The addresses at which this network namespace listens: TCP in state 0A (proc(5))."""
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {line[1] for line in lines if line[3] == "0A"}


def stay(tiny: TinyGuest, part: str, steps: Steps, out: Path, told: Told, seconds: float, ssh: Forward) -> BootResult:
    spec = replace(tiny_spec(tiny, part, out.parent), ssh=ssh)
    return boot(spec, steps, out, check=False, seconds=180, powerdown_seconds=1, stay=Stay(told, seconds))


def test_ctrl_c_ends_a_guest_that_was_reached_at_one_local_port(
    tiny: TinyGuest, steps: Steps, out: Path, progress: io.StringIO
) -> None:
    before, told = listening(), Told(interrupt=True)
    result = stay(tiny, "ssh", steps, out, told, 600, Forward())
    assert result.ok, result.failure()
    assert told.banner.startswith(b"SSH-2.0-tiny")
    local = f"0100007F:{told.port:04X}"  # 127.0.0.1 as the kernel of this processor prints it
    assert local in told.listening - before
    assert local not in listening()
    assert "shutting the guest down" in progress.getvalue()


def test_a_static_address_is_reached_and_the_time_limit_ends_it(
    tiny: TinyGuest, steps: Steps, out: Path, progress: io.StringIO
) -> None:
    told = Told()
    address = Forward(0, IPv4Interface("10.0.0.2/24"), IPv4Address("10.0.0.1"))
    result = stay(tiny, "ssh-static", steps, out, told, 8, address)
    assert result.ok, result.failure()
    assert told.banner.startswith(b"SSH-2.0-tiny")
    assert "the time limit of 8 s is over" in progress.getvalue()


@pytest.mark.slow
def test_a_guest_that_powers_off_ends_it_well(tiny: TinyGuest, steps: Steps, out: Path) -> None:
    spec = replace(tiny_spec(tiny, "ssh-then-off", out.parent), ssh=Forward())
    ports: list[int] = []
    result = boot(spec, steps, out, check=False, seconds=180, stay=Stay(ports.append, 600))
    assert result.ok and len(ports) == 1, result.failure()


@pytest.mark.slow
def test_a_guest_whose_ssh_server_never_answers_is_a_failure(tiny: TinyGuest, steps: Steps, out: Path) -> None:
    spec = replace(tiny_spec(tiny, "login", out.parent), ssh=Forward())
    result = boot(spec, steps, out, check=False, seconds=15, powerdown_seconds=1, stay=Stay(lambda _port: None, 600))
    assert not result.ok
    assert "the guest's SSH server did not answer within 15 s" in result.problem
