"""Many machines at once: nothing is lost, memory is bounded, and the page still answers."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.deadline import HUNG, Deadline
from tests.support.serving.tree import NODES, make_tree

MIB = 1 << 20


def peak_mib(pid: int) -> float:
    (found,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found) / 1024


@pytest.mark.parametrize(
    ("machines", "mib"), [(20, 4), pytest.param(200, 64, marks=pytest.mark.slow)], ids=["20", "200"]
)
def test_machines_that_fetch_at_once(tmp_path: Path, machines: int, mib: int) -> None:
    nodes = []
    for number in range(machines):
        mac = f"52:54:00:00:{number // 256:02x}:{number % 256:02x}"
        nodes.append(replace(NODES[0], name=f"n{number}", mac=mac, macs=[mac], folder=f"mac-{mac.replace(':', '-')}"))
    folder = make_tree(tmp_path / "lab", nodes=nodes)
    root = folder / "pxe/root.squashfs"
    with root.open("wb") as out:
        for _ in range(mib):
            out.write(os.urandom(MIB))
    with root.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    log = tmp_path / "log"
    call = [sys.executable, "-m", "imgbuild", "serve", str(folder), "--listen", "127.0.0.1", "--port", "8741"]
    with log.open("wb") as out:
        server = subprocess.Popen([*call, "--state", str(tmp_path / "state")], stdout=out, stderr=out)
    try:
        limit = Deadline(60)
        while "\npage: " not in log.read_text():
            assert server.poll() is None and not limit.passed(), log.read_text()
            time.sleep(0.1)
        before = peak_mib(server.pid)
        words = [sys.executable, "-m", "tests.support.serving.fleet", "http://127.0.0.1:8741/root.squashfs"]
        load = subprocess.Popen([*words, str(machines), str(mib * MIB), digest], stdout=subprocess.PIPE, text=True)
        answers = 0
        key = (tmp_path / "state/key").read_text().strip()
        while load.poll() is None:
            asked = urllib.request.Request(
                "http://127.0.0.1:8741/state.json", headers={"Authorization": f"Bearer {key}"}
            )
            with urllib.request.urlopen(asked, timeout=HUNG) as answer:  # noqa: S310 - our own server
                assert len(json.load(answer)["nodes"]) == machines
            answers += 1
            time.sleep(0.2)
        assert load.stdout is not None
        result = json.loads(load.stdout.read())
        assert (result["whole"], result["problems"]) == (machines, [])
        assert answers >= 1
        # The file is never in the server's memory: what grows is a connection's own buffers.
        assert peak_mib(server.pid) - before < 40 + machines * 0.5, (before, peak_mib(server.pid))
        left = len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: PTH208
        assert left < 40 + machines, "descriptors of files are closed"
    finally:
        server.kill()
        server.wait()
