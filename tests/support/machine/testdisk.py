"""The disk that a test hands to a guest: an ISO labelled IMGBUILDT with the probe and what it needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pycdlib

from imgbuild.config.fields import Firmware
from tests.support.cri.pack import pack_client
from tests.support.cri.pause_image import pause_image
from tests.support.deadline import HUNG
from tests.support.machine.packages import candidate, download

RUN = (
    "mkdir -p /run/imgbuildtest && mount -o ro /dev/disk/by-label/IMGBUILDT /run/imgbuildtest && "
    "systemd-run --no-block --unit=imgbuildtest-first python3 /run/imgbuildtest/probe.py"
)
"""The profile's ``run`` must hold this command, so that the guest starts the probe. It does not wait for it:
cloud-init has to end before imgbuild-report.service speaks."""

_GRUB: dict[Firmware, str] = {"bios": "grub-pc", "efi": "grub-efi-amd64"}


def make_test_disk(folder: Path, *, upgrade: Firmware | None, quick: bool = False) -> Path:
    """Write the ISO below ``folder``.

    With ``upgrade`` it holds a newer kernel of the flavour that images have, and that firmware's GRUB package; with
    ``quick`` the kernel's initramfs is to have the modules of this machine only and not, as is Debian's way, of most.
    """
    files = {
        "probe.py": Path(__file__).with_name("guest") / "probe.py",
        "cri.pyz": pack_client(folder / "cri.pyz"),
        "pause.tar": pause_image(folder / "pause.tar", "imgbuild.test/pause:test"),
    }
    if upgrade is not None:
        files["kernel.deb"] = _of_the_general_flavour(download(newest_cloud_kernel()), folder)
        files["grub.deb"] = download(_GRUB[upgrade])
    if quick:
        files["quick"] = folder / "quick"
        files["quick"].write_text("yes\n")
    return write_disk(folder / "imgbuildtest.iso", files)


def write_disk(target: Path, files: Mapping[str, Path]) -> Path:
    """An ISO with the label that guests look for, and the files by the names that they have there."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="IMGBUILDT")
    for name, path in files.items():
        iso.add_file(str(path), f"/{name.upper().replace('-', '_')};1", rr_name=name, joliet_path=f"/{name}")
    iso.write(str(target))
    iso.close()
    return target


def _of_the_general_flavour(deb: Path, folder: Path) -> Path:
    """A cloud flavour's kernel in a package with a name as the general flavour's have, which profiles ask for.

    No newer one of that flavour can be had than the image may hold. Not packed: the guest has to unpack it.
    """
    tree = folder / "kernel"
    subprocess.run(["dpkg-deb", "--raw-extract", str(deb), str(tree)], check=True, timeout=HUNG)
    control = tree / "DEBIAN/control"
    text, changed = re.subn(r"^(Package: .+)-cloud(-amd64)$", r"\1-1\2", control.read_text(), flags=re.MULTILINE)
    assert changed == 1, control
    control.write_text(text)
    target = folder / "kernel.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(target)]
    subprocess.run(command, check=True, timeout=HUNG)
    shutil.rmtree(tree)
    return target


def newest_cloud_kernel() -> str:
    """The package of the highest version of the cloud flavour.

    GRUB's default is the highest name as ``sort -V`` sees it. Images hold the general flavour ("…-amd64"), which
    comes before the cloud flavour ("…-cloud-amd64") of the same version: this package's kernel is always the
    higher one. It is also a quarter of the other's size, and so is its initramfs.
    """
    shown = subprocess.run(
        ["apt-cache", "pkgnames", "linux-image-"], check=True, capture_output=True, text=True, timeout=HUNG
    ).stdout
    names = [n for n in shown.split() if re.fullmatch(r"linux-image-\d+\.\d+\S*-cloud-amd64", n)]
    exact = [n for n in names if re.fullmatch(r"linux-image-\d+\.\d+(\.\d+)?[-+].*", n)]
    ordered = subprocess.run(
        ["sort", "-V"], input="\n".join(exact), check=True, capture_output=True, text=True, timeout=HUNG
    ).stdout.split()
    # What apt knows by name it may know from a dependency only.
    return next(name for name in reversed(ordered) if _installable(name))


def _installable(package: str) -> bool:
    try:
        return bool(candidate(package))
    except AssertionError:
        return False
