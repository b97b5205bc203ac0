"""The folder that is served: pxe/ for everybody, pxe-private/ for each node alone.

Every file is opened through its folders, one by one and without following a link, so no name in a request leads out of
them. A build may replace both groups while they are served: each request sees the files of the moment.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.config.profile.pxe import NetworkBoot
from imgbuild.diagnostics.errors import HostError
from imgbuild.image.disk.extents import LIST
from imgbuild.outputs.bootfile import NAME, PRIVATE, BootFile, read_boot_file
from imgbuild.outputs.bootline import ANY, BootLine
from imgbuild.outputs.manifest import mixed, read_manifest

PUBLIC = "pxe"


@dataclass
class Tree:
    """An output folder. ``nodes`` is read again when its file has changed."""

    folder: Path
    cluster: str
    _nodes: BootFile
    _seen: tuple[int, int]

    @property
    def nodes(self) -> BootFile:
        """What boot.json has now; if it cannot be read at the moment, what it had before."""
        try:
            seen = _version(self.folder)
            if seen != self._seen:
                self._nodes, self._seen = read_boot_file(self.folder), seen
        except (OSError, HostError):
            pass
        return self._nodes

    def machine(self, mac: str) -> BootLine | None:
        """The node that boots from the card with this MAC, else the one that takes any machine."""
        found = next((node for node in self.nodes.nodes if mac in (node.mac, *node.macs)), None)
        return found or next((node for node in self.nodes.nodes if node.mac is None and node.folder == ANY), None)

    def named(self, name: str) -> BootLine | None:
        """The node of this name."""
        return next((node for node in self.nodes.nodes if node.name == name), None)

    def public(self, path: str) -> int | None:
        """A descriptor of a file that everybody may read; None if there is none."""
        names = path.split("/")
        if names[0].startswith(("mac-", "README")) or names[0] in (ANY, PRIVATE):
            return None
        return open_below(self.folder / PUBLIC, names)

    def private(self, machine: BootLine, name: str) -> int | None:
        """A descriptor of a file of this node's seed; None if there is none."""
        return open_below(self.folder / PRIVATE, [machine.folder, name])

    def lacks(self, boot: NetworkBoot | None = None) -> list[str]:
        """What a machine could not be booted with, for the start of `serve`. ``boot``: all boot this way."""
        nodes, place = self.nodes, self.folder / PUBLIC
        wanted = [nodes.kernel, nodes.initrd, *([nodes.root] if nodes.live else [])]
        if any((boot or node.boot) == "install" for node in nodes.nodes):
            wanted.append(LIST)
        return [f"{PUBLIC}/{name}" for name in wanted if not (place / name).is_file()]


def open_tree(folder: Path) -> Tree:
    """The output folder, checked.

    Raises:
        HostError: it is not the output of a build, is from several runs, or has no files for a network boot.
    """
    if (folder / "boot.ipxe").is_file() and (folder.parent / "manifest.json").is_file():
        raise HostError(f"{folder} is only a part of an output folder", f"pass {folder.parent}")
    manifest = read_manifest(folder)
    reasons = mixed(folder, manifest)
    if reasons:
        raise HostError(f"{folder} is a mixed tree: {'; '.join(reasons)}", "build it again")
    return Tree(folder, folder.resolve().name, read_boot_file(folder), _version(folder))


def _version(folder: Path) -> tuple[int, int]:
    there = (folder / PRIVATE / NAME).stat()
    return there.st_mtime_ns, there.st_ino


def open_below(folder: Path, names: Sequence[str]) -> int | None:
    """A descriptor of the regular file at ``names`` below ``folder``; None for anything else, links included."""
    if not names or any(not name or name.startswith(".") or "\0" in name for name in names):
        return None
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    for name in names[:-1]:
        at = _into(at, name, os.O_DIRECTORY)
    at = _into(at, names[-1], os.O_NONBLOCK)
    if at >= 0 and not stat.S_ISREG(os.fstat(at).st_mode):
        os.close(at)
        return None
    return at if at >= 0 else None


def _into(at: int, name: str, flags: int) -> int:
    """``name`` in the open folder ``at``, which is closed; -1 if it cannot be opened."""
    if at < 0:
        return at
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=at)
    except (OSError, ValueError):
        return -1
    finally:
        os.close(at)
