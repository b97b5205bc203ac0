"""Copy node files into an unpacked root file system, as if the node itself wrote them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.tool import run
from imgbuild.render.nodefile import NodeTree

_ENABLED = frozenset({"enabled", "enabled-runtime", "alias"})
_MAX_LINKS = 40  # like the kernel's own limit


def lay(root: Path, tree: NodeTree, epoch: int) -> None:
    """Write the files and links of ``tree`` below ``root``, owned by root:root, dated ``epoch`` (seconds).

    A symbolic link at a file's own path is replaced, never written through. Links among its folders are
    followed as on the node, with ``root`` as /.

    Raises:
        HostError: a link points out of the root.
    """
    for f in tree.files:
        path = _place(root, f.path)
        path.write_bytes(f.content)
        os.chown(path, 0, 0)
        path.chmod(f.mode)
        os.utime(path, (epoch, epoch))
    for link in tree.links:
        path = _place(root, link.path)
        path.symlink_to(link.target)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def inside(root: Path, path: str) -> Path:
    """The place of the node's ``path`` below ``root``, with its folders' links resolved but not its own.

    Raises:
        HostError: a link points out of the root, or forms a loop.
    """
    todo = list(PurePosixPath(path).parts[1:])
    *folders, name = todo
    at: list[str] = []
    links = 0
    while folders:
        part = folders.pop(0)
        if part == "..":
            if not at:
                raise HostError(
                    f"{path}: a symbolic link in the root file system points out of it",
                    "use another path for the file, or fix the package that made the link",
                )
            at.pop()
            continue
        here = root.joinpath(*at, part)
        if here.is_symlink():
            links += 1
            if links > _MAX_LINKS:
                raise HostError(f"{path}: its folders are symbolic links that form a loop")
            target = here.readlink()
            if target.is_absolute():
                at = []
            folders = [*(p for p in target.parts if p not in {"/", "."}), *folders]
            continue
        at.append(part)
    return root.joinpath(*at, name)


def enable_units(root: Path, tree: NodeTree) -> None:
    """Mask and enable units by symbolic links.

    Raises:
        HostError: a unit does not exist, or cannot be enabled.
    """
    if tree.mask:
        run(["systemctl", f"--root={root}", "--quiet", "mask", *tree.mask], what="mask units")
    if not tree.enable:
        return
    enable: list[str | Path] = ["systemctl", f"--root={root}", "enable"]
    try:
        run([*enable, *tree.enable], what=f"enable {', '.join(tree.enable)}")
    except HostError:
        for unit in tree.enable:  # it prints the reason first, then what it did for the others
            run([*enable, unit], what=f"enable {unit}")
        raise
    # A unit without an [Install] section is "enabled" with exit code 0 and no effect.
    states = _states(root, tree.enable)
    if len(states) < len(tree.enable) or not _ENABLED.issuperset(states):
        for unit in tree.enable:
            state = "".join(_states(root, [unit]))
            if state not in _ENABLED:
                raise HostError(
                    f"{unit} cannot be enabled: it is {state}",
                    "check the unit: it needs an [Install] section, and must not be masked",
                )


def _states(root: Path, units: Sequence[str]) -> Sequence[str]:
    """The output of systemctl is-enabled for ``units``, a line each; its exit code is less precise."""
    argv = ["sh", "-c", 'systemctl "$@" || true', "sh", f"--root={root}", "is-enabled", *units]
    return run(argv, what=f"look at {', '.join(units)}").decode().split()


def _place(root: Path, path: str) -> Path:
    """Prepare the place for ``path``: create its folders, remove what was there."""
    place = inside(root, path)
    missing = []
    parent = place.parent
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    if not parent.is_dir():
        raise HostError(f"{path}: {parent.relative_to(root)} is a file on the node, not a folder")
    for folder in reversed(missing):
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return place
    if stat.S_ISDIR(mode):
        raise HostError(f"{path} is a folder on the node: a file cannot replace it")
    place.unlink()
    return place
