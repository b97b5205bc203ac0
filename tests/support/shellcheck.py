"""shellcheck, once for each distinct script with the files that it may source."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

_seen: set[str] = set()


def shellcheck(
    scripts: Sequence[Path], sourced: Sequence[Path], *options: str, source_paths: Sequence[Path] = ()
) -> None:
    """Fail if shellcheck reports something about ``scripts``, which may source ``sourced`` from ``source_paths``.

    A script that was found clean before, with the same files to source and the same options, is not read again: most
    scripts are the same on all targets, and reading them takes a minute.
    """
    beside = hashlib.sha256(repr([(file.name, file.read_bytes()) for file in sorted(sourced)]).encode()).hexdigest()
    new = {}
    for script in scripts:
        key = repr((script.read_bytes(), beside, options))
        if key not in _seen:
            new[key] = script
    if new:
        where = [f"--source-path={path}" for path in source_paths]
        argv: list[str | Path] = ["shellcheck", *where, *options, *new.values()]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    _seen.update(new)
