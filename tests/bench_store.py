"""The store's figures: one large file from loopback against curl, memory, and a fetch that finds everything there."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.checksum import sync
from tests.support.fetching import contents

_SIZE = 1 << 30
_SERVER = """
import os, socket, sys
size = int(sys.argv[1])
data = os.memfd_create("data")
block = bytes(range(256)) * 4096
for _ in range(size // len(block)):
    os.write(data, block)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        request = b""
        while b"\\r\\n\\r\\n" not in request:
            request += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % size)
        at = 0
        while at < size and (sent := os.sendfile(connection.fileno(), data, at, size - at)):
            at += sent
"""
_FETCH = """
import json, resource, sys, time
from pathlib import Path
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.several import fetch_all
from imgbuild.fetch.store import Store
told = json.loads(Path(sys.argv[2]).read_text())
wanted = [Artifact(name, sha256, size, tuple(urls)) for name, sha256, size, urls in told]
begun = time.monotonic()
fetch_all(wanted, Store(Path(sys.argv[1])), PlainSteps(sys.stderr))
took = time.monotonic() - begun
used = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss, which begins with that of the process that started this one.
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
print(json.dumps({"seconds": took, "peak": peak, "processor": used.ru_utime + used.ru_stime}))
"""


@contextmanager
def served(size: int) -> Iterator[str]:
    """The address of a file of so many bytes, sent from memory by the kernel."""
    with subprocess.Popen([sys.executable, "-c", _SERVER, str(size)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/file"
        server.kill()


def _fetched(store: Path, wanted: Sequence[Artifact]) -> dict[str, Any]:
    told = store.with_suffix(".json")
    told.write_text(json.dumps([[a.name, a.sha256, a.size, a.urls] for a in wanted]))
    done = subprocess.run(
        [sys.executable, "-c", _FETCH, str(store), str(told)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _curl(url: str, file: Path) -> float:
    done = subprocess.run(
        ["curl", "-sS", "-o", str(file), "-w", "%{time_total}", url], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _synced(file: Path) -> float:
    """Seconds until the disk has a file, which the store waits for and curl does not."""
    begun = time.monotonic()
    sync(file)
    return time.monotonic() - begun


def rate(runs: int = 5) -> tuple[float, float, float]:
    """How much longer than curl the store takes for one large file, in paired runs: than curl alone, and than curl and
    a sync of its file; and the peak memory in MB.
    """
    block = hashlib.sha256()
    for _ in range(_SIZE >> 20):
        block.update(bytes(range(256)) * 4096)
    shares, synced, peak = [], [], 0.0
    with tempfile.TemporaryDirectory() as name, served(_SIZE) as url:
        wanted = [Artifact("file", block.hexdigest(), _SIZE, (url,))]
        for run in range(runs):
            plain = _curl(url, Path(name) / "plain")
            disk = _synced(Path(name) / "plain")
            (Path(name) / "plain").unlink()
            os.sync()
            found = _fetched(Path(name) / f"store{run}", wanted)
            (Path(name) / f"store{run}/blobs/sha256" / block.hexdigest()).unlink()
            os.sync()
            took = f"curl {plain:.2f} s and {disk:.2f} s of the disk, into the store {found['seconds']:.2f} s"
            print(f"       1 GiB: {took}, of the processors {found['processor']:.2f} s; {found['peak']:.0f} MB")
            shares.append(found["seconds"] / plain)
            synced.append(found["seconds"] / (plain + disk))
            peak = max(peak, found["peak"])
    return statistics.median(shares), statistics.median(synced), peak


def warm(count: int = 100, size: int = 10 << 20) -> float:
    """Seconds of a whole process that finds so many files in the store."""
    with tempfile.TemporaryDirectory() as name:
        store, wanted = Path(name) / "store", []
        for number, (label, data) in enumerate(contents(4, size).items()):
            for copy in range(count // 4):
                content = Path(name) / f"{number}-{copy}"
                content.write_bytes(data + bytes([copy]))
                sum256 = hashlib.sha256(content.read_bytes()).hexdigest()
                wanted.append(Artifact(f"{label}-{copy}", sum256, None, (f"file://{content}",)))
        _fetched(store, wanted)
        begun = time.monotonic()
        _fetched(store, wanted)
        return time.monotonic() - begun


if __name__ == "__main__":
    print(rate(), warm())
