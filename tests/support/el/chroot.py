"""A stand-in base to run the install scripts in, a copy for each test: real dnf and rpm, mirrors on the loopback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from imgbuild.render.nodefile import NodeTree
from tests.support.deadline import HUNG
from tests.support.install.room import OWN_DEV

# $1 the folders below, highest first; $2 the copy's own folder; then the command. As in a build, /dev, /proc and /sys
# are there; all mounts live in this run's own namespace and are gone with it. Nothing resolves a host name.
_ENTER = f"""
set -e
{OWN_DEV}
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount --rbind /sys "$2/root/sys"
own_dev "$2/root/dev"
mount -t tmpfs tmpfs "$2/root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$2/root/run"
root=$2/root
shift 2
exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"
"""


class Chroot:
    """One copy: ``below`` stays as it is, whatever is done here."""

    def __init__(self, folder: Path, below: tuple[Path, ...]) -> None:
        self.below = below
        self.folder = folder
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
        self.upper = folder / "upper"

    @classmethod
    def unpack(cls, tar: Path, folder: Path) -> Chroot:
        """A first copy of a base."""
        base = folder / "base"
        base.mkdir(parents=True)
        argv = ["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--exclude=./dev/*"]
        subprocess.run([*argv, "--file", tar, "--directory", base], check=True, timeout=HUNG)
        return cls(folder / "copy", (base,))

    def copy(self, folder: Path) -> Chroot:
        """A copy of this one as it is now; this one must not be written to while the copy is in use."""
        return Chroot(folder, (self.upper, *self.below))

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        place = self.upper / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def exists(self, path: str) -> bool:
        return self._find(path) is not None

    def read(self, path: str) -> str:
        """A file's text, as the copy has it."""
        found = self._find(path)
        assert found is not None, path
        return found.read_text()

    def _find(self, path: str) -> Path | None:
        for folder in (self.upper, *self.below):
            place = folder / path.lstrip("/")
            if place.exists() or place.is_symlink():
                # What was deleted is a character device with the numbers 0:0.
                return None if place.is_char_device() and place.stat().st_rdev == 0 else place
        return None

    def lay(self, tree: NodeTree) -> None:
        for file in tree.files:
            self.write(file.path, file.content.decode(), file.mode)

    def run(self, *command: str, image: bool = True) -> subprocess.CompletedProcess[str]:
        """A command in the copy, bounded; what it changes stays in the copy."""
        words = [f"IMGBUILD_IN_IMAGE={int(image)}", "IMGBUILD_RETRIES=1", "IMGBUILD_RETRY_SECONDS=0", *command]
        below = ":".join(str(folder) for folder in self.below)
        return subprocess.run(
            [
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "bash",
                "-c",
                _ENTER,
                "enter",
                below,
                self.folder,
                *words,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=HUNG,
            env=os.environ,
        )

    def step(self, name: str, *, image: bool = True) -> subprocess.CompletedProcess[str]:
        """One step of install.d, by itself."""
        return self.run("bash", f"/usr/libexec/imgbuild/install.d/{name}", image=image)
