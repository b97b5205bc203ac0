"""Disk images of CentOS made by the real command, from the stand-in base and a loopback mirror."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imgbuild.config.fields import Firmware
from imgbuild.image.rootfs.build import Rootfs
from tests.support.el.base import base_tar
from tests.support.el.update import RUN
from tests.support.el.world import World, make_world
from tests.support.mirror import serving

IMGBUILD = str(Path(sys.executable).with_name("imgbuild"))
OTHER: dict[Firmware, Firmware] = {"bios": "efi", "efi": "bios"}
# QEMU's restricted network gives no default route, and first boot would wait minutes for the node's address.
_ROUTE = "ip route replace default via 10.0.2.2"
# Without the update's disk nothing of it runs.
_RUN_IF_THERE = f"[ ! -e /dev/disk/by-label/IMGBUILDT ] || {{ {RUN}; }}"


@dataclass(frozen=True)
class Made:
    """One image, and what it was made of."""

    world: World
    profile: str
    folder: Path
    said: str
    cache: Path
    layers: tuple[str, ...]

    @property
    def firmware(self) -> Firmware:
        """The profile's."""
        return "efi" if self.profile.endswith("-efi") else "bios"

    def disk(self, target: Path) -> Path:
        """The image as a raw disk."""
        source = self.folder / "image" / f"{self.profile}.qcow2"
        subprocess.run(["qemu-img", "convert", "-O", "raw", source, target], check=True)
        return target


def imgbuild(*words: str | Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """The real command, with a cache of its own."""
    environment = {**os.environ, "IMGBUILD_CACHE": str(cache), "COLUMNS": "200"}
    return subprocess.run(
        [IMGBUILD, *words], capture_output=True, text=True, check=False, env=environment, timeout=1500
    )


@contextmanager
def make_image(rootfs: Rootfs, release: str, firmware: Firmware, folder: Path, *sets: str) -> Iterator[Made]:
    """The image of CentOS ``release`` ("7" or "8") below ``folder``, and its mirror for as long as the block lasts.

    ``sets``: further values of the profile, as for ``--set``.
    """
    tar = base_tar(rootfs, release)
    with tar.open("rb") as data, serving(folder / "mirror") as mirror:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
        yield build(make_world(mirror, release, tar, digest, folder), firmware, folder, *sets)


def build(world: World, firmware: Firmware, folder: Path, *sets: str) -> Made:
    """The image by the real command; what is built once more takes the cached root file system."""
    profile, cache = f"centos{world.release}-{firmware}", folder / "cache"
    (folder / "run.yaml").write_text(json.dumps({"run": [_ROUTE, _RUN_IF_THERE]}))
    layers = (str(world.layer), str(folder / "run.yaml"))
    words = [word for layer in layers for word in ("--layer", layer)]
    words += [word for value in sets for word in ("--set", value)]
    done = imgbuild("--profile", profile, *words, "--output", folder, cache=cache)
    assert done.returncode == 0, done.stderr[-4000:]
    return Made(world, profile, folder / profile, done.stderr, cache, layers)
