"""The formats of a disk image. A new one is a row here, a name in Format, and its part in imgbuild.image.formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from imgbuild.config.profile.extras import Format


@dataclass(frozen=True)
class Form:
    """``suffix`` follows the image's name; ``driver``: QEMU's block driver that reads the file, None if it cannot."""

    suffix: str
    driver: str | None = None


FORMATS: Mapping[Format, Form] = {
    "qcow2": Form(".qcow2", "qcow2"),
    "qcow2-zstd": Form(".zstd.qcow2", "qcow2"),
    "raw": Form(".raw", "raw"),
    "vhdx": Form(".vhdx", "vhdx"),
    "vhd": Form(".vhd", "vpc"),
    "vmdk": Form(".vmdk", "vmdk"),
    "raw.xz": Form(".raw.xz"),
    "raw.zst": Form(".raw.zst"),
    "ova": Form(".ova"),
    "containerdisk": Form(".containerdisk.tar"),
}
"""In the order in which `imgbuild boot` takes them."""


def suffix_of(path: str) -> str | None:
    """How the file of a disk image ends; None if it is not one."""
    fitting = [form.suffix for form in FORMATS.values() if path.endswith(form.suffix)]
    return max(fitting, key=len, default=None)


def bootable(paths: Iterable[str]) -> tuple[str, str] | None:
    """The file that QEMU starts fastest, and the block driver that reads it; None if QEMU can read none of them."""
    there = sorted(paths)
    for form in FORMATS.values():
        for path in there:
            if form.driver is not None and path.endswith(form.suffix):
                return path, form.driver
    return None
