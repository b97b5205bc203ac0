"""The disk that the update test hands to a guest: a repository with a newer kernel-ml, and the script that uses it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pycdlib

from tests.el.rpms import build, index, kernel
from tests.el.world import World
from tests.machine import testdisk
from tests.machine.packages import cache_dir, download, unpack

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
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="IMGBUILDT")
    here = Path(__file__).parent
    probe = here.parent / "machine" / "guest" / "probe.py"
    for path in (probe, here / "guest" / "update.py", folder / "repository.tar"):
        iso.add_file(str(path), f"/{path.name.upper()};1", rr_name=path.name, joliet_path=f"/{path.name}")
    iso.write(str(folder / "update.iso"))
    iso.close()
    return release, folder / "update.iso"
