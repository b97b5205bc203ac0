"""The squashfs of a live root, made of the folder that the disk was made of."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from imgbuild.config.target import LiveRoot
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.live import ROOT
from imgbuild.image.disk import selinux
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.live.proof import prove_kernel
from imgbuild.image.overlay import enable_units, inside, lay
from imgbuild.image.sizes import MIB
from imgbuild.image.tool import run
from imgbuild.render.nodefile import NodeTree

_EMPTY = ("boot", "dev", "proc", "run", "sys", "tmp")
"""Folders without content: the kernel comes from the server, the rest is mounted. dracut from 049 on takes a squashfs
for a root only if it has /proc."""
_SLACK_MIB = 256
"""Free space in the ext4 of a nested root, beyond what its snapshot can take."""


@dataclass(frozen=True)
class LiveParts:
    """How a target mounts its live root, and what only that root has. ``folder``: where the files for pxe/ go."""

    facts: LiveRoot
    tree: NodeTree
    folder: Path


def write_root(root: Path, live: LiveParts, layout: DiskLayout, kernel: str, work: Path, epoch: int) -> None:
    """Make root.squashfs of ``root``, which is another one afterwards: use it for nothing else.

    ``kernel``: the version that will mount it.

    Raises:
        HostError: that kernel cannot mount it.
    """
    prove_kernel(root, kernel, live.facts)
    _make_live(root, live.tree, epoch)
    if layout.selinux:
        selinux.label(root)
    source = root if live.facts.layout == "flat" else _nested(root, layout, live.facts, work, epoch)
    argv: list[str | Path] = [
        "mksquashfs",
        source,
        live.folder / ROOT,
        "-noappend",
        "-no-progress",
        "-quiet",
        "-xattrs",
    ]
    argv += ["-comp", live.facts.compression, *live.facts.options]
    # Not -mkfs-time: with it mksquashfs refuses a SOURCE_DATE_EPOCH that the build was given.
    run(argv, what="make the live root", env={"SOURCE_DATE_EPOCH": str(epoch)})


def _make_live(root: Path, tree: NodeTree, epoch: int) -> None:
    for name in _EMPTY:
        folder = inside(root, f"/{name}/x").parent
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    # Emptied, not replaced: its label stays. With the disk's / in it, systemd-remount-fs fails, and live-boot adds a
    # second line for /.
    inside(root, "/etc/fstab").write_bytes(b"")
    lay(root, tree, epoch)
    enable_units(root, tree)


def _nested(root: Path, layout: DiskLayout, facts: LiveRoot, work: Path, epoch: int) -> Path:
    """A folder with the root as LiveOS/rootfs.img, an ext4 of the target's own features."""
    folder = work / "squash"
    (folder / "LiveOS").mkdir(parents=True)
    used = int(run(["du", "-s", "--block-size=1M", root], what="measure the root file system").split()[0])
    size = (used * 5 // 4 + _SLACK_MIB + (facts.snapshot_mib or 0)) * MIB
    image = folder / "LiveOS/rootfs.img"
    with image.open("wb") as out:
        out.truncate(size)
    config = work / "live-mke2fs.conf"
    features = ",".join(f for f in layout.boot.ext4_features if f != "has_journal")  # nothing outlives a power cut
    config.write_text(f"[defaults]\n\tbase_features = {features}\n\tblocksize = 4096\n\tinode_size = 256\n")
    argv: list[str | Path] = ["mkfs.ext4", "-q", "-F", "-L", "live", "-m", "0", "-d", root, image]
    run(argv, what="make the live root's ext4", env={"MKE2FS_CONFIG": str(config), "SOURCE_DATE_EPOCH": str(epoch)})
    shutil.rmtree(root)
    return folder


def take_initrd(root: Path, path: str, folder: Path, name: str) -> Path:
    """Move the live root's initramfs out of ``root`` into ``folder``.

    Raises:
        HostError: the build made none.
    """
    made = inside(root, path)
    if not made.is_file():
        raise HostError(
            f"the root file system has no {path}, the initramfs of the live root",
            "build it again: --fresh; report this if it stays",
        )
    target = folder / name
    shutil.move(made, target)
    target.chmod(0o644)
    return target
