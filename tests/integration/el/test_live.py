"""The live root of CentOS, made by the real command from the stand-in base: its squashfs and its initramfs, read again.

Real: dracut with its modules livenet, dmsquash-live and network-legacy (Debian's, 059), the kernel, mksquashfs. What
stands in for what is said in base.sh and rpms.py.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbuild.image.disk.partition import read_table
from imgbuild.image.proof import initramfs
from imgbuild.image.rootfs.build import Rootfs
from tests.integration.image.conftest import rootfs as rootfs
from tests.support.el.made import Made, make_image

pytestmark = [pytest.mark.image, pytest.mark.slow]
BOTH = [pytest.param(f"{release}-efi", id=f"centos{release}") for release in "87"]


@pytest.fixture(scope="module", params=BOTH)
def made(request: pytest.FixtureRequest, rootfs: Rootfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    release, firmware = request.param.split("-")
    folder = tmp_path_factory.mktemp(f"live{release}")
    with make_image(rootfs, release, firmware, folder, "pxe.live=true", "pxe.url=http://10.77.0.1/") as image:
        yield image
    shutil.rmtree(folder)


def unsquashed(made: Made, *words: str) -> str:
    argv = ["unsquashfs", *words, str(made.folder / "pxe/root.squashfs")]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_the_root_has_the_form_that_its_dracut_mounts(made: Made, tmp_path: Path) -> None:
    assert "Compression xz" in unsquashed(made, "-s")
    names = {line.removeprefix("squashfs-root/") for line in unsquashed(made, "-l").splitlines()}
    if made.world.release == "8":
        assert {"proc", "sys", "dev", "run", "usr/share/imgbuild/live"} <= names
        assert not [name for name in names if name.startswith(("boot/", "LiveOS", "usr/share/imgbuild/live-"))]
        return
    assert {name for name in names if "/" in name} == {"LiveOS/rootfs.img"}
    subprocess.run(["unsquashfs", "-q", "-n", "-d", tmp_path / "out", made.folder / "pxe/root.squashfs"], check=True)
    image = tmp_path / "out/LiveOS/rootfs.img"
    subprocess.run(["e2fsck", "-fn", image], check=True, capture_output=True)
    for name, there in (("/usr/share/imgbuild/live", True), ("/proc", True), ("/boot/grub2", False)):
        done = subprocess.run(["debugfs", "-R", f"stat {name}", image], capture_output=True, text=True, check=True)
        assert ("Inode:" in done.stdout) == there, name
    table = subprocess.run(["debugfs", "-R", "cat /etc/fstab", image], capture_output=True, text=True, check=True)
    assert table.stdout == ""
    # Labelled, as its files on the disk are.
    label = subprocess.run(["debugfs", "-R", "ea_list /etc/fstab", image], capture_output=True, text=True, check=True)
    assert "security.selinux" in label.stdout


def test_its_initramfs_fetches_and_mounts_it(made: Made) -> None:
    names = list(initramfs.names((made.folder / "pxe/initrd.img").read_bytes()))
    text = "\n".join(names)
    for name in ("livenetroot", "dmsquash-live-root", "bin/curl", "dhclient", "dmsetup", "parse-livenet.sh"):
        assert name in text, name
    for module in ("squashfs", "overlay", "loop", "virtio_net", "dm-snapshot"):
        assert f"/{module}.ko" in text, module


def test_the_disk_and_its_initramfs_have_nothing_of_it(made: Made, tmp_path: Path) -> None:
    disk = made.disk(tmp_path / "disk.raw")
    device = f"{disk}?offset={read_table(disk)[-1].start}"

    def debugfs(command: str) -> str:
        return subprocess.run(["debugfs", "-R", command, device], capture_output=True, text=True, check=True).stdout

    assert "Inode:" not in debugfs("stat /usr/share/imgbuild/live-initrd.img")
    assert "Inode:" not in debugfs("stat /usr/share/imgbuild/live")
    subprocess.run(
        ["debugfs", "-R", f"dump /boot/initramfs-{made.world.kernel}.img {tmp_path}/initrd", device],
        check=True, capture_output=True,
    )  # fmt: skip
    names = "\n".join(initramfs.names((tmp_path / "initrd").read_bytes()))
    assert "virtio_blk" in names and "livenetroot" not in names
