"""The real `imgbuild serve` in the network of machines, and what it knows of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.deadline import HUNG, Deadline
from tests.support.machine.netboot import SERVER, Network

URL = f"http://{SERVER}:8080/"
DHCP = ("--interface", "br0", "--dhcp", "10.77.0.100,10.77.0.120")


@dataclass
class Served:
    """A serve that runs. ``log`` has what it printed."""

    net: Network
    log: Path
    key: str
    url: str

    def get(self, path: str) -> str:
        """What the server answers to a program with the page's key."""
        words = ["curl", "-sSfk", "-m", "60", "-H", f"Authorization: Bearer {self.key}", f"{self.url}{path}"]
        return subprocess.run(self.net.inside(words), capture_output=True, text=True, check=True, timeout=HUNG).stdout

    def state(self) -> dict[str, Any]:
        """Everything that its page shows."""
        found: dict[str, Any] = json.loads(self.get("state.json"))
        return found

    def node(self, name: str) -> dict[str, Any]:
        """What the page shows of one node."""
        (found,) = [node for node in self.state()["nodes"] if node["name"] == name]
        return dict(found)


def serve(net: Network, folder: Path, *options: str, url: str = URL) -> Served:
    """Start it, and wait until it answers; it ends with the network."""
    state = net.folder / "state"
    argv: list[str | Path] = [sys.executable, "-m", "imgbuild", "serve", folder, "--state", state, *options]
    log = net.start("serve", argv)
    (running,) = net.started[-1:]
    until(lambda: "\npage: " in log.read_text(), 60, lambda: f"{running.poll()}\n{log.read_text()}")
    return Served(net, log, (state / "key").read_text().strip(), url)


def until(there: Callable[[], bool], seconds: float, told: Callable[[], object]) -> None:
    """Wait for something; ``told`` is what a failure shows."""
    limit = Deadline(seconds)
    while not there():
        assert not limit.passed(), told()
        time.sleep(0.2)
