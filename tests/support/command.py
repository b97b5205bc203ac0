"""The real command in a process of its own, that must succeed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.deadline import HUNG

IMGBUILD = str(Path(sys.executable).with_name("imgbuild"))


def imgbuild(cache: Path, *words: str | Path, cwd: Path, before: tuple[str, ...] = ()) -> str:
    """What it prints; ``before``: a command that runs it."""
    done = subprocess.run(
        [*before, IMGBUILD, *words], cwd=cwd, capture_output=True, text=True, timeout=HUNG, check=False,
        env={**os.environ, "IMGBUILD_CACHE": str(cache), "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
