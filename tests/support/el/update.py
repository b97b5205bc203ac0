"""The disk that the update test hands to a guest: a repository with a newer kernel-ml, and the script that uses it."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.support.el.rpms import build, index, kernel
from tests.support.el.world import World
from tests.support.machine import testdisk
from tests.support.machine.packages import cache_dir, download, unpack

RUN = testdisk.RUN.replace("/probe.py", "/update.py")
"""The profile's ``run`` must hold this command."""


def make_update_disk(world: World, folder: Path) -> tuple[str, Path]:
    """The newer kernel's own name, and the ISO below ``folder``."""
    deb = download(testdisk.newest_cloud_kernel())
    release, rpms = kernel(unpack(deb, cache_dir() / deb.stem), folder, bls=world.release == "8")
    build(rpms, folder / "repository", folder / "build", world.signer)
    index(folder / "repository")
    with tarfile.open(folder / "repository.tar", "w") as tar:
        tar.add(folder / "repository", "repository")
    here = Path(__file__).parent
    probe = here.parent / "machine" / "guest" / "probe.py"
    paths = (probe, here / "guest" / "update.py", folder / "repository.tar")
    return release, testdisk.write_disk(folder / "update.iso", {path.name: path for path in paths})
