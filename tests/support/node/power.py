"""A machine that loses power at a chosen command of a script, and a file system that then has names without data.

XFS, and ext4 for a new file, may have the rename on the disk and the content not yet: what was written since the last
``sync``, and not by ``dd`` with ``conv=fsync``, is empty afterwards.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROGRAMS = ("cat", "chmod", "cp", "dd", "mv", "rm", "sed", "sync")
# @ is the folder of the count. Whatever the script has started is in its process group, which is not the tests' own.
STANDIN = r"""#!/bin/bash
exec 8> @/lock
/usr/bin/flock 8
number=$(($(< @/count) + 1))
echo "$number" > @/count
if [ "$number" = "$(< @/limit)" ]; then
    read -r -a fields < /proc/self/stat
    [ "${fields[4]}" = GROUP ] || kill -9 0
fi
exec 8>&-
name=${0##*/}
if [ "$name" = sync ]; then
    : > @/synced
    exit 0
fi
"/usr/bin/$name" "$@" || exit
for word; do
    case $name:$word in
        dd:of=*) file=${word#of=} ;;
        dd:conv=*fsync*) /usr/bin/touch -d @0 "$file" ;;
    esac
done
"""


class Power:
    """Stand-ins in ``folder``, which a script sees as ``seen``; ``root`` is what its disk has."""

    def __init__(self, root: Path, folder: Path, state: Path, seen: str = "") -> None:
        self.root, self.state = root, state
        state.mkdir(parents=True)
        folder.mkdir(parents=True, exist_ok=True)
        text = STANDIN.replace("@/", f"{seen or state}/").replace("GROUP", str(os.getpgrp()))
        for name in PROGRAMS:
            (folder / name).unlink(missing_ok=True)  # it may be a link to the program itself
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def _run(self, limit: int, script: Callable[[], subprocess.CompletedProcess[Any]]) -> bool:
        """Whether the script ended before power failed."""
        for name, text in (("count", "0\n"), ("limit", f"{limit}\n"), ("synced", "")):
            (self.state / name).write_text(text)
        done = script()
        if limit == 0 or int((self.state / "count").read_text()) < limit:
            assert done.returncode == 0, done.stderr
        synced = (self.state / "synced").stat().st_mtime_ns
        for path in self.root.rglob("*"):
            ours = path.is_file() and not path.is_symlink() and self.state not in path.parents
            if limit and ours and path.stat().st_mtime_ns > synced:
                path.write_bytes(b"")
        return int((self.state / "count").read_text()) < limit

    def cuts(
        self, prepare: Callable[[], object], script: Callable[[], subprocess.CompletedProcess[Any]]
    ) -> Iterator[int]:
        """Power fails at one command after the other, and right behind the last; then the script runs once more."""
        for limit in range(1, 100):
            prepare()
            whole = self._run(limit, script)
            self._run(0, script)
            yield limit
            if whole:
                return
