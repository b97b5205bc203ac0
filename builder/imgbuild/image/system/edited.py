"""A disk from a file system that is kept: node files and boot loader are written into a copy of its metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.progress import Steps
from imgbuild.image.blocks import Blocks, copy_data
from imgbuild.image.content import HOST_KEYS, WRITTEN, Additions, add, write_boot_loader
from imgbuild.image.disk import selinux
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.disk.partition import check_root, resize_root
from imgbuild.image.formats.qcow2 import Compression
from imgbuild.image.preload import FOLDER
from imgbuild.image.scratch import small_scratch
from imgbuild.image.sizes import MIB
from imgbuild.image.system.edit import apply, blocks_of, extents_of, fits
from imgbuild.image.system.kept import System
from imgbuild.image.system.listing import INIT_SCRIPTS
from imgbuild.image.system.make import size_of
from imgbuild.image.system.packs import Pack
from imgbuild.image.system.partial import Partial
from imgbuild.image.system.working import PAGE, Working

_POLICY = "/etc/selinux/"
_POLICY_CONFIG = "/etc/selinux/config"


@dataclass(frozen=True)
class Source:
    """Where a disk's content is that is not in its file."""

    system: System
    working: Working

    def blocks(self) -> Blocks:
        """The disk's blocks."""
        return self.working.blocks()

    def pack(self, kind: Compression) -> AbstractContextManager[Pack]:
        """Those that are already compressed."""
        return self.system.pack(kind)

    def fill(self) -> None:
        """Put everything into the disk's file.

        Raises:
            DamagedError: a block of the kept file system is not what it was.
        """
        self.working.fill()


@dataclass(frozen=True)
class Disk:
    """A raw disk and the version of the kernel that it must start."""

    path: Path
    kernel: str
    source: Source | None = None
    read: Callable[[str], bytes | None] | None = None
    """The content of a file of the root file system, if it is there; None if all of them are in the disk's file."""


def why_whole(additions: Additions, system: System) -> str | None:
    """Why the whole root is needed for these additions; None if a part of it is enough."""
    tree = additions.tree
    paths = [*(file.path for file in tree.files), *(link.path for link in tree.links)]
    if not fits([*paths, *(link.target for link in tree.links)]):
        return "a path has a quotation mark or a line break"
    policy = [p for p in paths if p.startswith(_POLICY) and p != _POLICY_CONFIG]
    if additions.layout.selinux and policy:
        return f"{policy[0]} can change the labels of all files"
    for unit in tree.enable:
        name = unit.removesuffix(".service")
        for folder in INIT_SCRIPTS:
            if f"/{folder}/{name}" in paths or (f"{folder}/{name}" in system.listing and not _starts(system, name)):
                return f"/{folder}/{name} is enabled by the root's own tools"
    return None


def _starts(system: System, name: str) -> bool:
    """Whether an init script is enabled: then enabling its unit does not change its links."""
    link = re.compile(rf"etc/(rc\.d/)?rc[S2345]\.d/S\d\d{re.escape(name)}")
    return any(link.fullmatch(path) for path in system.listing)


def edited(additions: Additions, system: System, folder: Path, stack: ExitStack, steps: Steps) -> Disk:
    """The disk; ``stack`` closes its files.

    Raises:
        HostError: as `add` does, or the additions do not fit.
    """
    layout, disk = additions.layout, folder / "disk.raw"
    for path in system.dropped:
        steps.note(f"removed {path} of the base: it adds to the boot menu, and can change what starts")
    others = [path for firmware, path in layout.boot.module_dirs.items() if firmware != layout.firmware]
    if additions.preload is None:
        small = stack.enter_context(small_scratch(folder, _room(additions, system)))
    else:
        small = folder  # the archive of the container images is large
    partial = Partial(small / "root", system.kit, system.listing, others)
    for path in _paths(additions, system):
        partial.reach(path)
    boot = add(partial.root, additions, lambda: system.core(layout.firmware), steps)
    with steps.step("Make the disk"):
        changes = partial.changes()
        if layout.selinux:
            selinux.label(partial.root)
        with disk.open("wb") as out:
            out.truncate(layout.size_mib * MIB)
        grown = _grown(system, layout, folder, additions.epoch)
        working = Working(disk, layout.root_offset, system.image, system.meta, system.digests, grown)
        stack.callback(working.close)
        written = apply(working.device, partial.root, changes, folder, additions.epoch, labels=layout.selinux)
        working.own(blocks_of(working.device, written, folder))
        write_boot_loader(disk, partial.root, additions, boot, folder)
        check_root(disk, layout)

    def read(path: str) -> bytes | None:
        file = extents_of(working.device, path, folder)
        return None if file is None else working.content(file)

    return Disk(disk, boot.kernel, Source(system, working), read)


def _room(additions: Additions, system: System) -> int:
    """The size of a partial root in bytes, at most: GRUB's modules are there twice."""
    files = sum(PAGE + len(file.content) for file in additions.tree.files)
    return 2 * system.kit.stat().st_size + files


def _grown(system: System, layout: DiskLayout, folder: Path, epoch: int) -> Path | None:
    """The metadata of the file system after it was resized to its partition; None if it has that size.

    In a file of its own: resize2fs cuts a file off where it thinks the file system ends, without its offset.
    """
    if size_of(layout) == layout.root_bytes:
        return None
    grown = folder / "grown.img"
    with grown.open("wb") as out:
        out.truncate(layout.root_bytes)
        copy_data(system.meta, out.fileno())
    resize_root(grown, layout.root_bytes, epoch)
    return grown


def _paths(additions: Additions, system: System) -> Iterator[str]:
    """Where `add` writes, besides the folders that a partial root has whole."""
    yield from (file.path for file in additions.tree.files)
    yield from (link.path for link in additions.tree.links)
    yield from WRITTEN
    yield additions.layout.boot.defaults_file
    yield from (f"/{path}" for path in system.listing if path.startswith(f"{HOST_KEYS}"))
    if additions.preload is not None:
        yield f"{FOLDER}/x"
