"""An ISO that starts from a CD and from a USB disk, by BIOS and by EFI: grub-mkrescue's hybrid image."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.fetch.checksum import sync
from imgbuild.image.tool import run
from imgbuild.outputs.medium import SEED, Medium

_PACKAGES = "grub-common grub-pc-bin grub-efi-amd64-bin mtools xorriso"
_MODULES = ("i386-pc", "x86_64-efi")


def write_iso(medium: Medium, target: Path) -> None:
    """Write the ISO, complete or not at all. With a seed on it only its owner may read it (0600).

    Raises:
        HostError: a tool is missing or failed, or there is no space.
    """
    lacks = [name for name in ("grub-mkrescue", "xorriso", "mformat") if shutil.which(name) is None]
    lacks += [f"GRUB for {name}" for name in _MODULES if not Path("/usr/lib/grub", name, "moddep.lst").exists()]
    if lacks:
        raise HostError(f"cannot write the medium: {', '.join(lacks)} is missing", f"apt-get install {_PACKAGES}")
    target.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    part = Path(name)  # 0600
    try:
        os.close(number)
        with tempfile.TemporaryDirectory() as folder:
            menu = Path(folder) / "grub.cfg"
            menu.write_text(medium.menu)
            files = {**medium.files, "boot/grub/grub.cfg": menu}
            argv: list[str | Path] = ["grub-mkrescue", "--output", part]
            argv += [f"{place}={path.resolve()}" for place, path in files.items()]
            argv += ["--", "-volid", medium.label]
            if medium.secret:  # grub-mkrescue makes all files readable for everybody
                argv += ["-chmod_r", "go-rwx", f"/{SEED}", "--"]
            run(argv, what="write the medium")
        if not medium.secret:
            part.chmod(0o644)
        sync(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
