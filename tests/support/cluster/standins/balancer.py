"""The static pod of a node's balancer: a real haproxy of the host, in no container."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import yaml

from tests.support.cluster.standins import place

_MANIFEST = place.MANIFESTS / "balancer.yaml"


def run() -> None:
    """It runs while its manifest is there, and outlives the kubelet."""
    if not _MANIFEST.exists():
        end()
        return
    if process() is not None:
        return
    pod = yaml.safe_load(_MANIFEST.read_text())["spec"]
    (volume,) = pod["volumes"]
    command = ["haproxy", "-db", "-f", f"{volume['hostPath']['path']}/haproxy.cfg"]
    log = Path("/var/log/pods/balancer.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    place.write(place.BALANCER_PID, str(started.pid))


def process() -> int | None:
    """Its process, if it is alive."""
    try:
        pid = int(place.BALANCER_PID.read_text())
        alive = b"haproxy" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if alive else None


def end() -> None:
    """Stop it."""
    pid = process()
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    place.BALANCER_PID.unlink(missing_ok=True)
