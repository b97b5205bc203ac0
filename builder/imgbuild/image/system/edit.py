"""Write changes into an ext4 inside a file by debugfs: it mounts nothing, and shares the code of mke2fs -d."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.disk.selinux import LABEL
from imgbuild.image.system.listing import Place
from imgbuild.image.system.partial import Changes
from imgbuild.image.tool import failure, no_space

_UNFIT = re.compile(r'["\n\r\0]')  # debugfs' command lines know quotes, but no way to write one
_REGULAR = re.compile(r"Type: regular\b.*?\bSize: (\d+)$", re.DOTALL | re.MULTILINE)
_RUN = re.compile(r"\((\d+)(?:-(\d+))?(\[u\])?\):(\d+)")  # of an extent tree; its own blocks are (ETB0):1234
_NO_SPACE = ("Could not allocate", "No space left", "No free space")


def fits(paths: Iterable[str]) -> bool:
    """Whether debugfs can be told about these paths."""
    return not any(_UNFIT.search(path) for path in paths)


def apply(device: str, root: Path, changes: Changes, work: Path, epoch: int, *, labels: bool) -> Sequence[str]:
    """Make ``changes``, whose files are below ``root``, in the file system ``device``; every date becomes ``epoch``.

    ``labels``: SELinux labels too. Returns the paths whose content was written.

    Raises:
        HostError: a command failed, or the files do not fit.
    """
    commands = [f"set_current_time @{epoch}", *_removals(changes)]
    for path, place in (*changes.kept.items(), *changes.made.items()):
        commands += _made(root, path, place, new=path in changes.made)
        if labels:
            commands += _labelled(root, path, work)
    out = debugfs(device, commands, work, write=True)
    wrong = [line for line in out.errors if line]
    if wrong:
        if any(text in line for line in wrong for text in _NO_SPACE):
            raise HostError(
                "the node files do not fit into the root file system", "set a larger image.size_mib, by 256 or more"
            )
        raise failure("add the node files to the root file system", "debugfs", 1, "\n".join(wrong))
    return [path for path, place in changes.made.items() if not stat.S_ISLNK(place.mode)]


def _removals(changes: Changes) -> Iterator[str]:
    for path, place in changes.gone:
        yield f'{"rmdir" if stat.S_ISDIR(place.mode) else "rm"} "/{path}"'


def _made(root: Path, path: str, place: Place, *, new: bool) -> Iterator[str]:
    if new:
        if stat.S_ISDIR(place.mode):
            yield f'mkdir "/{path}"'
        elif stat.S_ISLNK(place.mode):
            yield f'symlink "/{path}" "{place.target}"'
        elif stat.S_ISREG(place.mode):
            folder, _, name = path.rpartition("/")
            yield f'cd "/{folder}"'  # write makes a file in the current folder, whatever slashes its name has
            yield f'write "{root / path}" "{name}"'
            yield "cd /"
        else:
            raise HostError(f"/{path} is neither a file nor a folder nor a link", "remove it from the base")
    if not stat.S_ISLNK(place.mode):
        yield f'set_inode_field "/{path}" mode 0{place.mode:o}'
    for field, value in (("uid", place.uid), ("gid", place.gid)):
        if value or not new:
            yield f'set_inode_field "/{path}" {field} {value}'


def _labelled(root: Path, path: str, work: Path) -> Iterator[str]:
    try:
        label = os.getxattr(root / path, LABEL, follow_symlinks=False)
    except OSError:
        return
    value = work / f"label-{label.hex()}"
    if not value.exists():
        value.write_bytes(label)
    yield f'ea_set -f "{value}" "/{path}" {LABEL}'


@dataclass(frozen=True)
class Output:
    """What debugfs printed: ``lines`` without its own echo, and ``errors``."""

    lines: Sequence[str]
    errors: Sequence[str]


def debugfs(device: str, commands: Sequence[str], work: Path, *, write: bool = False) -> Output:
    """Run debugfs with these commands. It exits with 0 even if one fails: what failed is in ``errors``.

    Raises:
        HostError: it is missing, or cannot open the file system.
    """
    script = work / "debugfs.commands"
    script.write_text("".join(f"{line}\n" for line in commands))
    argv = ["debugfs", *(["-w"] if write else []), "-f", str(script), device]
    try:
        done = subprocess.run(argv, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError as error:
        raise HostError("debugfs is not installed", "install the Debian package e2fsprogs") from error
    finally:
        script.unlink()
    said = done.stderr.decode(errors="replace").splitlines()[1:]  # the first line is its version
    if done.returncode:
        if any("No space left" in line for line in said):
            raise no_space("write the root file system")
        raise failure("write the root file system", "debugfs", done.returncode, "\n".join(said))
    lines = done.stdout.decode(errors="replace").splitlines()
    return Output([line for line in lines if not line.startswith("debugfs: ")], said)


def blocks_of(device: str, paths: Sequence[str], work: Path) -> list[int]:
    """The file system's blocks that have the content of these files; a file that is not there has none.

    Raises:
        HostError: debugfs fails.
    """
    out = debugfs(device, [f'blocks "/{path}"' for path in paths], work)
    return [int(word) for line in out.lines for word in line.split() if word.isdigit()]


@dataclass(frozen=True)
class Extents:
    """Where the content of a file is: its ``size`` in bytes, and its ``runs``, each with the number of its first block
    in the file, that of its first block in the file system, and its length in blocks. Between them are zeros."""

    size: int
    runs: Sequence[tuple[int, int, int]]


def extents_of(device: str, path: str, work: Path) -> Extents | None:
    """The extents of a file; None if there is none at this path.

    Raises:
        HostError: debugfs fails.
    """
    told = "\n".join(debugfs(device, [f'stat "{path}"'], work).lines)
    size = _REGULAR.search(told)
    if size is None:
        return None
    runs = []
    for found in _RUN.finditer(told.partition("\nEXTENTS:\n")[2]):
        start, end, unwritten, place = found.groups()
        if not unwritten:
            runs.append((int(start), int(place), int(end or start) - int(start) + 1))
    return Extents(int(size[1]), runs)
