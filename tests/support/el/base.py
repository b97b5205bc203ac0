"""A base that goes for CentOS, made of Debian's packages (base.sh), once for each release and content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import time
from pathlib import Path

from imgbuild.image.cache import default_cache
from imgbuild.image.rootfs.build import Rootfs
from tests.support.deadline import HUNG

HERE = Path(__file__).parent
_KEEP_SECONDS = 86400  # one that no test asked for since then is of another content


def base_tar(rootfs: Rootfs, release: str) -> Path:
    """The base of CentOS ``release`` ("7" or "8"), from the Debian root file system that the image tests share."""
    digest = hashlib.sha256(f"{rootfs.key} {release}".encode())
    for path in sorted([HERE / "base.sh", *(HERE / "standins").iterdir()]):
        digest.update(path.read_bytes())
    folder = default_cache() / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    tar = folder / f"centos{release}-{digest.hexdigest()[:16]}.tar"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            _make(rootfs, release, tar)
        os.utime(tar)
        for other in folder.glob("centos*.tar"):
            if time.time() - other.stat().st_mtime > _KEEP_SECONDS:
                other.unlink()
    return tar


def _make(rootfs: Rootfs, release: str, tar: Path) -> None:
    """In memory, in a mount namespace that takes all with it; the tar appears whole or not at all."""
    script = """
    set -eu
    mount -t tmpfs -o size=5g,mode=0755 tmpfs "$1"
    tar --extract --file "$2" --directory "$1" --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*'
    bash "$3/base.sh" "$1" "$4" "$3/standins"
    tar --create --file "$5" --directory "$1" --numeric-owner --xattrs --xattrs-include='*' .
    """
    part, room = tar.with_suffix(".part"), tar.with_suffix(".room")
    room.mkdir(exist_ok=True)
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*argv, room, rootfs.tar, HERE, release, part], capture_output=True, text=True, check=False, timeout=HUNG
    )
    room.rmdir()
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    part.rename(tar)
