"""A network of its own for a test: namespaces for the server and for machines, joined by a bridge."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.deadline import HUNG, Deadline

SERVER = "10.77.0.1"
URL = f"http://{SERVER}:8080/"
_UDHCPC = """#!/bin/sh
case $1 in bound | renew) ip addr flush dev "$interface"; ip addr add "$ip/$mask" dev "$interface" ;; esac
"""


def _run(*words: str, check: bool = True) -> str:
    return subprocess.run(words, check=check, capture_output=True, text=True, timeout=HUNG).stdout


class Segment:
    """The server's end is br0 in the namespace ``server``; each machine has eth0 in a namespace of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._mark = folder, f"{os.getpid() % 100000:05d}"
        self.server = f"ibs{self._mark}"
        self._namespaces: list[str] = []
        self._space(self.server)
        _run("ip", "-n", self.server, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        _run("ip", "-n", self.server, "addr", "add", f"{SERVER}/24", "dev", "br0")
        _run("ip", "-n", self.server, "link", "set", "br0", "up")

    def _space(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        self._namespaces.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")

    def machine(self, mac: str, address: str | None = None) -> Machine:
        """A machine with this MAC. Without an address it has none until it asks for one."""
        number = len(self._namespaces)
        name, port = f"ibm{self._mark}-{number}", f"v{number}"
        self._space(name)
        _run("ip", "-n", self.server, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "-n", self.server, "link", "set", port, "master", "br0", "up")
        _run("ip", "-n", name, "link", "set", "eth0", "address", mac, "up")
        if address:
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        return Machine(name, self.folder)

    def sockets(self) -> list[str]:
        """What listens on the server's side: protocol, address and program."""
        lines = _run("ip", "netns", "exec", self.server, "ss", "-Hlnptu").splitlines()
        return [
            " ".join([row[0], row[4], *re.findall(r'"([^"]+)"', line)[:1]]) for line in lines if (row := line.split())
        ]

    def end(self) -> None:
        for name in self._namespaces:
            _run("ip", "netns", "del", name, check=False)


class Machine:
    """One machine of the segment."""

    def __init__(self, space: str, folder: Path) -> None:
        self._space, self._folder = space, folder

    def call(self, *words: str, check: bool = True) -> str:
        """The output of a program that runs in this machine's network."""
        return _run("ip", "netns", "exec", self._space, *words, check=check)

    def curl(self, url: str, *words: str) -> tuple[int, str]:
        """Status and content of an address."""
        out = self.call("curl", "-sS", "-m", "60", "-w", "\n%{http_code}", *words, url)
        text, _, status = out.rpartition("\n")
        return int(status), text

    def dhcp(self) -> str:
        """Ask for an address, as busybox does; return it."""
        script = self._folder / "udhcpc"
        script.write_text(_UDHCPC)
        script.chmod(0o755)
        self.call("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-t", "20", "-T", "1", "-s", str(script))
        (address,) = re.findall(r"inet ([\d.]+)/", self.call("ip", "-4", "addr", "show", "dev", "eth0"))
        return str(address)


class Serve:
    """The real command in the server's namespace."""

    def __init__(self, segment: Segment, folder: Path, options: Sequence[str], through: Sequence[str]) -> None:
        self.log = segment.folder / "serve.log"
        call = ["ip", "netns", "exec", segment.server, *through, sys.executable, "-m", "imgbuild", "serve", str(folder)]
        call += ["--state", str(segment.folder / "state"), *options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(call, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def text(self) -> str:
        """What it has printed so far, in all its runs."""
        return self.log.read_text()

    def ready(self, times: int = 1) -> None:
        """Wait until it answers."""
        limit = Deadline(60)
        while self.text().count("\npage: ") < times:
            assert self.process.poll() is None and not limit.passed(), self.text()
            time.sleep(0.1)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End it; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=HUNG)


@contextmanager
def segment(folder: Path) -> Iterator[Segment]:
    """A segment for the time of a block."""
    made = Segment(folder)
    try:
        yield made
    finally:
        made.end()


@contextmanager
def serving(
    there: Segment, folder: Path, *options: str, times: int = 1, through: Sequence[str] = ()
) -> Iterator[Serve]:
    """`imgbuild serve`, ready; ended with the block. ``through``: a command that starts it."""
    server = Serve(there, folder, options, through)
    try:
        server.ready(times)
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()
