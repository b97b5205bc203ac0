"""The EFI system partition, written by mkfs.vfat and mtools: the host's kernel does not have to support vfat.

The boot entries in a machine's own memory are never written, because the image does not know the machine: a firmware
whose list is empty starts EFI/BOOT/BOOTX64.EFI.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.blocks import copy_data
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.sizes import MIB
from imgbuild.image.tool import run

FALLBACK = "/EFI/BOOT/BOOTX64.EFI"
# It writes the firmware's own list from a CSV file, and may reset the machine: unsuitable for an image for any machine.
_NOT_COPIED = "fbx64.efi"


def linked(loader: bytes) -> dict[str, bytes]:
    """The ESP's files if GRUB is one program that was linked for this disk."""
    return {FALLBACK: loader}


def signed(root: Path, layout: DiskLayout, menu: str, environment: bytes) -> dict[str, bytes]:
    """The ESP's files if the distribution's signed shim and GRUB are used; ``root`` has the files of their packages.

    Both are in the vendor's folder with grub.cfg and grubenv, where the node's tools look, and again in the fallback
    folder, whose grub.cfg only loads the vendor's: a copy would be stale after the first update in the node.

    Raises:
        HostError: the packages have no shim or no GRUB.
    """
    vendor = layout.esp_vendor
    found = {f"/{p.relative_to(root / layout.esp_mount[1:])}": p for p in (root / layout.esp_mount[1:]).rglob("*")}
    out = {
        name: path.read_bytes()
        for name, path in sorted(found.items())
        if path.is_file() and path.name.lower() != _NOT_COPIED
    }
    for name in ("shimx64.efi", "grubx64.efi"):
        if f"{vendor}/{name}" not in out:
            raise HostError(
                f"the root file system lacks the signed boot loader ({layout.esp_mount}{vendor}/{name})",
                "check that the packages shim-x64 and grub2-efi-x64 are not in base.remove",
            )
    fallback = FALLBACK.rpartition("/")[0]
    out[FALLBACK] = out[f"{vendor}/shimx64.efi"]
    for name in ("grubx64.efi", "mmx64.efi"):
        if f"{vendor}/{name}" in out:
            out[f"{fallback}/{name}"] = out[f"{vendor}/{name}"]
    # GRUB has come from the ESP: root is the ESP here, and prefix is where grubenv is read and written.
    out[f"{fallback}/grub.cfg"] = f"set prefix=($root){vendor}\nconfigfile $prefix/grub.cfg\n".encode()
    out[f"{vendor}/grub.cfg"] = menu.encode()
    out[f"{vendor}/grubenv"] = environment
    return out


def write_esp(disk: Path, layout: DiskLayout, files: Mapping[str, bytes], work: Path, epoch: int) -> None:
    """Make the ESP with ``files``, path to content, inside ``disk``; ``epoch`` (seconds) dates them.

    Raises:
        HostError: a tool of dosfstools or mtools fails.
    """
    image, content = work / "esp.img", work / "esp"
    image.unlink(missing_ok=True)
    env = {"SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC", "MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"}
    run(
        # --invariant: the label's date, which SOURCE_DATE_EPOCH does not set.
        [
            "mkfs.vfat",
            "--invariant",
            "-F",
            "32",
            "-i",
            layout.esp_id,
            "-n",
            "ESP",
            "-C",
            image,
            str(layout.esp_mib * 1024),
        ],
        what="make the EFI system partition",
        env=env,
    )
    folders = {str(folder) for path in files for folder in PurePosixPath(path).parents} - {"/"}
    run(["mmd", "-i", image, *(f"::{f}" for f in sorted(folders))], what="make the ESP's folders", env=env)
    for path, data in sorted(files.items()):
        content.write_bytes(data)
        run(["mcopy", "-i", image, content, f"::{path}"], what=f"copy {path} to the ESP", env=env)
    content.unlink()
    with disk.open("r+b") as out:
        copy_data(image, out.fileno(), MIB)
    image.unlink()


def read_esp(disk: Path, start: int, path: str) -> bytes | None:
    """A file of the ESP that begins at byte ``start`` of ``disk``; None if it is missing."""
    env = {"MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"}
    try:
        return run(["mcopy", "-n", "-i", f"{disk}@@{start}", f"::{path}", "-"], what="read the ESP", env=env)
    except HostError as error:
        if "not found" in str(error):
            return None
        raise
