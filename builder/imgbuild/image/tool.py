"""Run the tools that build an image, with an error that explains what went wrong."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from imgbuild.diagnostics.errors import HostError

_NO_SPACE = ("No space left on device", "Disk full", "Disk quota exceeded")


def run(
    argv: Sequence[str | Path],
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    data: bytes | None = None,
    cwd: Path | None = None,
    output: Path | None = None,
) -> bytes:
    """Run ``argv`` and return its standard output. ``what`` is its purpose in an error ("make the ESP").

    ``output``: the file that standard output is written to instead. ``env`` is added to a plain environment (C locale,
    so that messages can be recognised).

    Raises:
        HostError: the tool is missing or fails, with the tool's own last lines.
    """
    names = [str(a) for a in argv]
    try:
        with nullcontext(subprocess.PIPE) if output is None else output.open("wb") as out:
            done = subprocess.run(
                names,
                input=data,
                stdout=out,
                stderr=subprocess.PIPE,
                check=False,
                env={**os.environ, "LC_ALL": "C", **(env or {})},
                cwd=cwd,
                stdin=subprocess.DEVNULL if data is None else None,
            )
    except FileNotFoundError as err:
        raise HostError(
            f"cannot {what}: {names[0]} is not installed",
            "run 'imgbuild doctor': it lists what the image build needs, with the Debian package of each tool",
        ) from err
    if done.returncode:
        raise failure(what, names[0], done.returncode, (done.stderr or done.stdout or b"").decode(errors="replace"))
    return done.stdout or b""


def failure(what: str, tool: str, code: int, output: str) -> HostError:
    """The error for a tool that ended with ``code``; a full disk is named as such."""
    if any(text in output for text in _NO_SPACE):
        return no_space(what)
    tail = " | ".join(line.strip() for line in output.strip().splitlines()[-3:]) or "it printed nothing"
    ended = f"was killed by signal {-code}" if code < 0 else f"exited with status {code}"
    return HostError(f"cannot {what}: {Path(tool).name} {ended}: {tail}")


def no_space(what: str) -> HostError:
    """The error for a full disk."""
    return HostError(
        f"cannot {what}: no space left on the disk",
        "free some space, or put the cache (IMGBUILD_CACHE) and the output folder on a larger disk; "
        "about 6 GB is needed. The last finished image is unchanged",
    )
