"""A run that is killed, wherever it is: the file is there whole or not at all, and the next run goes on."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from imgbuild.fetch.checksum import sha256_of
from imgbuild.fetch.download import download
from tests.support.deadline import HUNG
from tests.support.fetch_server import Server, Talk
from tests.support.image.recorder import Recorder
from tests.support.places import ROOT

CONTENT = random.Random(1).randbytes(6 << 20)  # noqa: S311 - not a secret
SUM = hashlib.sha256(CONTENT).hexdigest()
_CODE = """
import sys
from pathlib import Path
from imgbuild.fetch.download import download
from imgbuild.diagnostics.progress import PlainSteps
download(sys.argv[1], Path(sys.argv[2]), sys.argv[3], PlainSteps(sys.stderr))
"""


def _steady(talk: Talk) -> None:
    """Some 10 MiB a second, with ranges."""
    start = talk.start
    size = len(CONTENT)
    talk.head("206 P" if start else "200 OK", 'ETag: "x"', f"Content-Length: {size - start}",
              f"Content-Range: bytes {start}-{size - 1}/{size}")  # fmt: skip
    for at in range(start, size, 64 << 10):
        talk.send(CONTENT[at : at + (64 << 10)])
        time.sleep(0.006)


def test_kills_at_random_points(tmp_path: Path) -> None:
    source = random.Random(9)  # noqa: S311 - not a secret
    file = tmp_path / "base"
    killed = resumed = 0
    with Server(_steady) as server:
        for number in range(12):
            how = source.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
            argv = [sys.executable, "-c", _CODE, server.url, str(file), SUM]
            before = len(server.requests)
            process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE)
            while len(server.requests) == before and process.poll() is None:
                time.sleep(0.01)
            try:
                process.wait(source.uniform(0, 0.8))
            except subprocess.TimeoutExpired:
                process.send_signal(how)
                killed += 1
            process.communicate(timeout=HUNG)
            assert not file.exists() or sha256_of(file) == SUM
            assert {p.name for p in tmp_path.iterdir()} <= {"base", "base.part", "base.part.json", "base.part.json.new"}
            if file.exists() or number % 4 == 3:  # begin anew
                for path in tmp_path.iterdir():
                    path.unlink()
        resumed = sum(r is not None for r in server.ranges())
        download(server.url, file, SUM, Recorder())
    assert killed >= 6
    assert resumed >= 3
    assert sha256_of(file) == SUM
    assert {p.name for p in tmp_path.iterdir()} <= {"base", "base.part.json.new"}
