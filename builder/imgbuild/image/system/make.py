"""Make the finished file system of an unpacked root, with all that later builds need to change it without the root."""

from __future__ import annotations

import json
from pathlib import Path

from imgbuild.config.fields import Firmware
from imgbuild.diagnostics.errors import HostError
from imgbuild.image.blocks import FileBlocks, disk_digest
from imgbuild.image.disk import grub, selinux
from imgbuild.image.disk.layout import DiskLayout, disk_layout
from imgbuild.image.disk.partition import make_root
from imgbuild.image.sizes import MIB
from imgbuild.image.system import listing
from imgbuild.image.tool import run

IMAGE, META, KIT, LISTING, DIGESTS, CORES = "root.img", "meta.img", "kit.tar", "listing.json", "digests", "cores.json"
SMALL = (KIT, LISTING, DIGESTS, CORES)
"""Files that are read whole; the image is verified block by block, and the metadata as a sparse file."""


def size_of(layout: DiskLayout) -> int:
    """Bytes of the file system that is kept: it fits both firmwares' disks of this size, and is grown to each."""
    return (layout.size_mib - 2 - max(1, layout.esp_mib)) * MIB


def make(root: Path, key: str, layout: DiskLayout, folder: Path, work: Path, epoch: int) -> None:
    """Write everything into the empty ``folder``; ``root`` is changed: it gets SELinux labels, and loses what adds to
    the boot menu. ``key``: of the root file system, from which all identifiers are derived.

    Raises:
        HostError: the files do not fit, or a tool fails.
    """
    boot = layout.boot
    dropped = grub.drop_extras(root, boot)
    cores = {firmware: _core(root, key, firmware, layout) for firmware in boot.module_dirs}
    if layout.selinux:
        selinux.label(root)
    found = listing.listed(root)
    listing.pack(root, listing.wanted(found, root, boot), folder / KIT)
    (folder / LISTING).write_text(json.dumps({"dropped": dropped, "files": listing.packed(found)}))
    (folder / CORES).write_text(json.dumps(cores))
    image, size = folder / IMAGE, size_of(layout)
    with image.open("wb") as out:
        out.truncate(size)
    make_root(image, layout, root, work, epoch, offset=0, size=size)
    run(["e2image", "-r", image, folder / META], what="copy the metadata of the root file system")
    blocks = FileBlocks(image)
    (folder / DIGESTS).write_bytes(b"".join(blocks.digests))
    blocks.close()


def _core(root: Path, key: str, firmware: Firmware, layout: DiskLayout) -> dict[str, str]:
    """GRUB's core image for a firmware, or why there is none."""
    if firmware == "efi" and layout.boot.signed_efi:
        return {"core": ""}
    own = disk_layout(key, firmware, layout.size_mib, layout.boot, layout.esp_mib, selinux=layout.selinux)
    try:
        return {"core": grub.core_image(root, own).hex()}
    except HostError as error:
        return {"error": str(error), "hint": error.hint}


def meta_digest(folder: Path) -> str:
    """The digest of the metadata."""
    blocks = FileBlocks(folder / META)
    try:
        return disk_digest(blocks.digests)
    finally:
        blocks.close()
