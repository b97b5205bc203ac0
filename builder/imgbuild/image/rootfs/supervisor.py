"""The process that owns one diskimage-builder run, and cleans up after it however imgbuild ends.

It runs in its own mount namespace (started by "unshare --mount") and puts the build into a process
namespace: killing the first process there ends every process of the build, whatever they forked. It detects
imgbuild's end by its standard input, a pipe that the kernel closes even on SIGKILL; if it is killed itself,
the build dies with it (parent-death signal) and the next run removes its files.

    python -m imgbuild.image.rootfs.supervisor RUN_DIR    reads RUN_DIR/job.json, writes RUN_DIR/log
"""

from __future__ import annotations

import json
import select
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

JOB = "job.json"
INTERRUPTED = 130
_LIFELINE = 0
_POLL_SECONDS = 0.2


class _Stop(Exception):  # noqa: N818 - not an error: a requested stop
    """imgbuild is gone, or requests the build to end."""


def main(run_dir: Path) -> int:
    """Run the job; return its exit code, or 130 if it was stopped."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)
    job: dict[str, Any] = json.loads((run_dir / JOB).read_text())
    temporary = run_dir / "tmp"
    mounted = False
    try:
        temporary.mkdir()
        if job["tmpfs_mib"]:
            size = f"size={job['tmpfs_mib']}m,mode=0755"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "imgbuild", temporary], check=True)
            mounted = True
        return _build(job, run_dir)
    except _Stop:
        return INTERRUPTED
    finally:
        _ignore_signals()
        if mounted:
            subprocess.run(["umount", "--lazy", temporary], check=False)
        shutil.rmtree(temporary, ignore_errors=True)
        # imgbuild takes what it needs (log, tar) if it is still running; if not, nothing is needed.
        if _abandoned():
            shutil.rmtree(run_dir, ignore_errors=True)


def _build(job: dict[str, Any], run_dir: Path) -> int:
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with (run_dir / "log").open("ab") as log:
        child = subprocess.Popen(
            [*argv, *job["argv"]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=run_dir,
            env=dict(job["env"]),
        )
    try:
        while True:
            try:
                return child.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if _abandoned():
                    raise _Stop from None
    finally:
        if child.poll() is None:
            _ignore_signals()
            _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End the process namespace. unshare reaps its first process: when it returns, all are gone."""
    try:
        first = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    except OSError:
        first = []
    for pid in first:
        subprocess.run(["kill", "-KILL", pid], check=False)
    if not first:
        child.kill()
    child.wait()


def _abandoned() -> bool:
    """Whether the pipe to imgbuild is closed at its other end."""
    return bool(select.select([_LIFELINE], [], [], 0)[0])


def _on_signal(_number: int, _frame: types.FrameType | None) -> None:
    raise _Stop


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
