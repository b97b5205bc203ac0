"""Runs that are killed, wherever they are: the store is good, and the next run continues."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import astuple
from pathlib import Path

from imgbuild.fetch.checksum import sha256_of
from tests.support.deadline import HUNG
from tests.support.fetch_server import Server
from tests.support.fetching import artifacts, contents, serve
from tests.support.places import ROOT

FILES = contents(3, 1 << 20)
KILLS = 50
# One process that has everything imported, and a fork of it for each run: a start costs more than a run.
_CODE = """
import io, json, os, sys
from pathlib import Path
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.several import fetch_all
from imgbuild.fetch.store import Store
wanted = [Artifact(name, sha256, size, tuple(urls)) for name, sha256, size, urls in json.loads(sys.argv[2])]
while sys.stdin.readline():
    child = os.fork()
    if not child:
        fetch_all(wanted, Store(Path(sys.argv[1])), PlainSteps(io.StringIO()))
        os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()  # only then is its number free again
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_fifty_kills_at_random_points(tmp_path: Path) -> None:
    seed = int(os.environ.get("IMGBUILD_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"IMGBUILD_SEED={seed}")
    source = random.Random(seed)  # noqa: S311 - not a secret
    killed = whole = number = 0
    longest = 0.15
    with Server(serve(FILES, 32 << 10, 0.003)) as server:
        wanted = artifacts(FILES, f"http://127.0.0.1:{server.port}")
        argv = [sys.executable, "-c", _CODE]
        store = tmp_path / "0"
        while killed < KILLS:
            told = json.dumps([astuple(artifact) for artifact in wanted])
            with subprocess.Popen(
                [*argv, str(store), told], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as runs:
                assert runs.stdin is not None
                assert runs.stdout is not None
                status = 1
                while status and killed < KILLS:
                    print("run", file=runs.stdin, flush=True)
                    child = int(runs.stdout.readline())
                    time.sleep(source.uniform(0, longest))
                    longest *= 1.0 if whole else 1.05  # on a busy machine a run needs more time
                    os.kill(child, signal.SIGKILL)
                    print("killed", file=runs.stdin, flush=True)
                    status = int(runs.stdout.readline())
                    killed += status != 0
                    blobs = store / "blobs/sha256"
                    for blob in blobs.iterdir() if blobs.is_dir() else ():
                        assert sha256_of(blob) == blob.name
                    assert not any((store / "aside").glob("*"))
                runs.stdin.close()
                runs.wait(HUNG)
            if not status:
                whole += 1
                assert {path.name for path in (store / "blobs/sha256").iterdir()} == {a.sha256 for a in wanted}
            number += 1
            store = tmp_path / str(number)
        continued = sum(start is not None for start in server.ranges())
    assert whole > 0
    assert continued > 0
