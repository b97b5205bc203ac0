"""A containerd of its own, with nothing of the host's, on a configuration that imgbuild rendered."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cri.client import Cri
from tests.support.cri.grpc import GrpcError
from tests.support.deadline import HUNG, Deadline

# A socket's path may have 107 bytes (unix(7)), and pytest's folders take most of them.
_OWN = """
[grpc]
address = "{folder}/c.sock"
[ttrpc]
address = "{folder}/c.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
"""


@contextmanager
def containerd(folder: Path, config: bytes) -> Iterator[Cri]:
    """Runs until the end of the block. ``config`` has root and state of its own below ``folder``."""
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_bytes(config + _OWN.format(folder=folder).encode())
    cri = Cri(str(folder / "c.sock"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["containerd", "-c", str(folder / "config.toml")], stdout=log, stderr=log)
    try:
        deadline = Deadline(90)
        while True:
            try:
                cri.version()
                break
            except GrpcError as error:
                text = (folder / "log").read_text()
                assert process.poll() is None and not deadline.passed(), f"{error}\n{text}"
                time.sleep(0.1)
        yield cri
    finally:
        process.terminate()
        process.wait(timeout=HUNG)
