"""Disks made from the real root file system: proven, refused, out of space."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgbuild.config.fields import Firmware
from imgbuild.config.target import load_target
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.drivers import BootDrivers
from imgbuild.facts.images import Image
from imgbuild.facts.registries import Source
from imgbuild.fetch.images import Blob, Found
from imgbuild.image.assemble import assemble
from imgbuild.image.disk.grub import drop_extras
from imgbuild.image.disk.layout import disk_layout
from imgbuild.image.disk.partition import read_table
from imgbuild.image.preload import FOLDER, Preload
from imgbuild.image.proof.bootproof import prove
from imgbuild.image.rootfs.build import Rootfs
from imgbuild.render.nodefile import NodeFile, NodeTree
from tests.support.image.plan import DEBIAN, KERNEL_ARGS, image_files
from tests.support.image.recorder import Recorder
from tests.support.places import ROOT

pytestmark = pytest.mark.image

_SIZE_MIB = 2560
_TREE = NodeTree(
    files=(NodeFile("/etc/imgbuild/test.conf", b"laid over\n", 0o640),), enable=("ssh.service",), mask=("cron.service",)
)


def _debugfs(disk: Path, offset: int, command: str) -> str:
    argv = ["debugfs", "-R", command, f"{disk}?offset={offset}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _preload(folder: Path) -> Preload:
    """One image without an index, with one layer."""
    folder.mkdir()
    blobs = []
    for content in (b"{}", b"layer"):
        digest = hashlib.sha256(content).hexdigest()
        (folder / digest).write_bytes(content)
        blobs.append(Blob("application/vnd.oci.image.layer.v1.tar", f"sha256:{digest}", len(content)))
    root = Blob("application/vnd.oci.image.manifest.v1+json", f"sha256:{hashlib.sha256(b'm').hexdigest()}", 1)
    image = Image("registry.k8s.io/pause:3.10", "pause", ())
    return Preload([Found(image, Source("https", "r", ""), root, root, {root.digest: b"m"}, blobs)], folder)


def _raw(image: Path, target: Path) -> Path:
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, target], check=True)
    return target


def test_what_a_base_adds_to_the_boot_menu_is_removed(tmp_path: Path) -> None:
    boot = load_target("centos8").boot
    assert drop_extras(tmp_path, boot) == []
    for folder in ("boot/grub2", "boot/efi/EFI/centos"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "custom.cfg").write_text("set default=5\n")
        (tmp_path / folder / "grub.cfg").touch()
    (tmp_path / "boot/grub2/user.cfg").symlink_to("/boot/efi/EFI/centos/user.cfg")  # which is not there
    found = drop_extras(tmp_path, boot)
    assert found == ["/boot/grub2/custom.cfg", "/boot/grub2/user.cfg", "/boot/efi/EFI/centos/custom.cfg"]
    assert sorted(path.name for path in tmp_path.rglob("*") if not path.is_dir()) == ["grub.cfg", "grub.cfg"]


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_a_disk_of_either_firmware_from_the_same_root(firmware: Firmware, rootfs: Rootfs, tmp_path: Path) -> None:
    layout = disk_layout(rootfs.key, firmware, _SIZE_MIB, DEBIAN)
    files = image_files(tmp_path / "out")
    output = files.path("qcow2-zstd")
    start = time.monotonic()
    images = _preload(tmp_path / "blobs")
    proof = assemble(
        rootfs, layout, _TREE, KERNEL_ARGS, files, tmp_path / "work", Recorder(), preload=images
    ).proof  # fmt: skip
    seconds = time.monotonic() - start
    assert [p.name for p in output.parent.iterdir()] == ["disk.zstd.qcow2"]
    assert not list((tmp_path / "work").iterdir())
    newest = max(p.version for p in rootfs.packages if p.name == "linux-image-amd64")
    assert proof.kernel.split("+")[0].split("-")[0] in newest
    assert proof.command_line == f"root=UUID={layout.root_uuid} ro {' '.join(KERNEL_ARGS)}"

    disk = _raw(output, tmp_path / "raw")
    at = read_table(disk)[-1].start
    fsck = ["e2fsck", "-fn", f"{disk}?offset={at}"]
    assert subprocess.run(fsck, capture_output=True, check=False).returncode == 0
    fstab = _debugfs(disk, at, "cat /etc/fstab")
    assert f"UUID={layout.root_uuid}\t/\text4" in fstab
    assert ("/boot/efi" in fstab) == (firmware == "efi")
    assert _debugfs(disk, at, "cat /etc/imgbuild/test.conf") == "laid over\n"
    assert "Mode:  0640" in _debugfs(disk, at, "stat /etc/imgbuild/test.conf")
    assert _debugfs(disk, at, f"cat {FOLDER}/images.list").startswith("registry.k8s.io/pause:3.10 sha256:")
    assert "Mode:  0644" in _debugfs(disk, at, f"stat {FOLDER}/images.tar")
    assert "Size: 0" in _debugfs(disk, at, "stat /etc/machine-id")
    assert "Mode:  0555" in _debugfs(disk, at, "stat /proc")
    assert "ssh_host" not in _debugfs(disk, at, "ls -p /etc/ssh")
    assert len(_debugfs(disk, at, "ls -p /dev").splitlines()) <= 3  # ., .. and the blank line: no host devices
    assert "/dev/null" in _debugfs(disk, at, "stat /etc/systemd/system/cron.service")
    assert "GRUB_CMDLINE_LINUX=" in _debugfs(disk, at, f"cat {DEBIAN.defaults_file}")
    # On two cores that others use too: the figure belongs to make bench, this only catches a slip by a factor.
    assert seconds < 90


def test_a_disk_that_would_not_boot_is_refused(rootfs: Rootfs, tmp_path: Path) -> None:
    layout = disk_layout(rootfs.key, "bios", _SIZE_MIB, DEBIAN)
    files = image_files(tmp_path, formats=("raw",))
    proof = assemble(rootfs, layout, NodeTree(), KERNEL_ARGS, files, tmp_path / "work", Recorder()).proof
    disk = files.path("raw")
    with pytest.raises(HostError, match=r"starts kernel .*, not 9\.9\.9"):
        prove(disk, layout, "9.9.9", tmp_path)
    with pytest.raises(HostError, match=f"has the UUID {layout.root_uuid}, not"):
        prove(disk, disk_layout("another root", "bios", _SIZE_MIB, DEBIAN), proof.kernel, tmp_path)
    with pytest.raises(HostError, match="lacks no_such_driver"):
        prove(disk, layout, proof.kernel, tmp_path, BootDrivers(("no_such_driver",), ()))
    # Of the others only those that this kernel has at all.
    prove(disk, layout, proof.kernel, tmp_path, BootDrivers((), ("no_such_driver",)))

    with disk.open("rb") as raw:
        whole = raw.read(512)
    with disk.open("r+b") as out:  # a boot sector that loads something else
        out.seek(0x5C)
        out.write((999).to_bytes(8, "little"))
    with pytest.raises(HostError, match="sector 999, which is not in the BIOS boot partition"):
        prove(disk, layout, proof.kernel, tmp_path)
    with disk.open("r+b") as out:
        out.write(whole)

    at = layout.root_offset
    commands = tmp_path / "commands"
    commands.write_text(f"rm {proof.initrd_path}\n")
    subprocess.run(["debugfs", "-w", "-f", commands, f"{disk}?offset={at}"], check=True, capture_output=True)
    with pytest.raises(HostError, match=r"initrd\.img.* is missing"):
        prove(disk, layout, proof.kernel, tmp_path)


def test_an_unknown_unit_ends_it_and_the_last_image_stays(rootfs: Rootfs, tmp_path: Path) -> None:
    files = image_files(tmp_path)
    output = files.path("qcow2-zstd")
    output.write_text("the last good one")
    layout = disk_layout(rootfs.key, "efi", _SIZE_MIB, DEBIAN)
    with pytest.raises(HostError, match=r"nosuch\.service"):
        assemble(rootfs, layout, NodeTree(enable=("nosuch.service",)), (), files, tmp_path / "work", Recorder())
    assert output.read_text() == "the last good one"
    assert not list((tmp_path / "work").iterdir())


def test_an_image_that_is_too_small_says_how_large_it_must_be(rootfs: Rootfs, tmp_path: Path) -> None:
    layout = disk_layout(rootfs.key, "bios", 300, DEBIAN)
    with pytest.raises(HostError, match="does not fit into 297 MiB") as caught:
        assemble(rootfs, layout, NodeTree(), (), image_files(tmp_path), tmp_path / "work", Recorder())
    assert "larger image" in caught.value.hint


_FULL = """
import sys
from pathlib import Path
from imgbuild.diagnostics.errors import HostError
from imgbuild.image.assemble import assemble
from imgbuild.image.disk.grub import drop_extras
from imgbuild.image.disk.layout import disk_layout
from imgbuild.image.rootfs.build import Rootfs
from imgbuild.render.nodefile import NodeTree
from tests.support.image.plan import DEBIAN, image_files
from tests.support.image.recorder import Recorder

tar, key, work, output = sys.argv[1:]
try:
    layout = disk_layout(key, "bios", 2560, DEBIAN)
    assemble(Rootfs(Path(tar), key), layout, NodeTree(), (), image_files(Path(output)), Path(work), Recorder())
except HostError as err:
    print(err, "|", err.hint, "|", sorted(p.name for p in Path(output).iterdir()), list(Path(work).iterdir()))
"""


@pytest.mark.parametrize("small", ["work", "out"])
def test_a_full_disk(small: str, rootfs: Rootfs, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "out").mkdir()
    script = 'mount -t tmpfs -o size=100m tmpfs "$1" && shift && exec "$@"'
    argv: list[str | Path] = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        "sh",
        tmp_path / small,
    ]
    argv += [sys.executable, "-c", _FULL, rootfs.tar, rootfs.key, tmp_path / "work", tmp_path / "out"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "no space left on the disk" in done.stdout, done.stdout + done.stderr
    assert "[] []" in done.stdout
