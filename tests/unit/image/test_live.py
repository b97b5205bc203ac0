"""The proof of a live root's kernel and initramfs, on made ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from imgbuild.config.target import load_target
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.drivers import BootDrivers
from imgbuild.image.disk.layout import disk_layout
from imgbuild.image.live.proof import prove_initrd, prove_kernel
from imgbuild.image.live.root import LiveParts, write_root
from imgbuild.render.nodefile import NodeTree

KERNEL = "6.1.0-1"
DRIVERS = BootDrivers(("virtio_blk",), ("ahci",))


def cpio(names: list[str]) -> bytes:
    """An initramfs of empty files."""
    out = b""
    for name in [*names, "TRAILER!!!"]:
        text = name.encode() + b"\0"
        out += b"070701" + b"00000000" * 11 + f"{len(text):08x}".encode() + b"00000000" + text
        out += b"\0" * (-len(out) % 4)
    return out


@pytest.fixture
def root(tmp_path: Path) -> Path:
    modules = tmp_path / "usr/lib/modules" / KERNEL
    modules.mkdir(parents=True)
    (modules / "modules.builtin").write_text("kernel/fs/squashfs/squashfs.ko\nkernel/drivers/block/loop.ko\n")
    (modules / "modules.dep").write_text("kernel/drivers/net/e1000e.ko.xz:\nkernel/drivers/ata/ahci.ko.xz: a.ko\n")
    (tmp_path / "boot").mkdir()
    options = sorted(
        {name for target in ("debian12", "centos7", "centos8") for name in load_target(target).live.kernel}
    )
    lines = "".join(f"CONFIG_{name}={'my'[n % 2]}\n" for n, name in enumerate(options))
    (tmp_path / "boot" / f"config-{KERNEL}").write_text(lines)
    return tmp_path


@pytest.mark.parametrize("target", ["debian12", "centos7", "centos8"])
def test_a_kernel_must_have_each_option(target: str, root: Path) -> None:
    facts = load_target(target).live
    prove_kernel(root, KERNEL, facts)
    config = root / "boot" / f"config-{KERNEL}"
    whole = config.read_text()
    for name in facts.kernel:
        lines = [f"# CONFIG_{name} is not set" if f"CONFIG_{name}=" in line else line for line in whole.splitlines()]
        config.write_text("\n".join(lines))
        with pytest.raises(HostError, match=rf"was built without CONFIG_{name}$"):
            prove_kernel(root, KERNEL, facts)


def test_the_compression_is_one_that_elrepos_kernels_have() -> None:
    """kernel-ml 7.1.9 and kernel-lt 5.15.216 of el8 have `# CONFIG_SQUASHFS_ZSTD is not set`."""
    facts = load_target("centos8").live
    assert facts.compression == "xz" and "SQUASHFS_XZ" in facts.kernel and "SQUASHFS_ZSTD" not in facts.kernel
    assert load_target("centos7").live.layout == "nested"


def test_a_kernel_without_its_configuration_is_not_guessed_about(root: Path) -> None:
    (root / "boot" / f"config-{KERNEL}").unlink()
    with pytest.raises(HostError, match=r"the configuration of the kernel 6\.1\.0-1 is missing"):
        prove_kernel(root, KERNEL, load_target("debian12").live)


FILES = [
    "scripts/live", "usr/bin/live-boot", "usr/lib/live/boot/9990-mount-http.sh", "usr/bin/wget",
    "usr/lib/live/boot/9999-imgbuild-network",
    *(f"usr/lib/modules/{KERNEL}/kernel/{name}.ko.xz" for name in
      ("overlay", "virtio-blk", "e1000e", "ahci")),
]  # fmt: skip


def test_an_initramfs_has_what_mounts_and_fetches_the_root(root: Path) -> None:
    facts = load_target("debian12").live
    prove_initrd(cpio(FILES), root, KERNEL, facts, DRIVERS)
    for name in FILES:
        rest = [other for other in FILES if other != name]
        with pytest.raises(HostError, match="the initramfs of the live root lacks"):
            prove_initrd(cpio(rest), root, KERNEL, facts, DRIVERS)


@pytest.mark.parametrize("given", [None, "1"])
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mksquashfs") is None, reason="needs root and squashfs-tools")
def test_the_same_root_gives_the_same_bytes(
    given: str | None, root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where SOURCE_DATE_EPOCH is set, which mksquashfs does not take beside a date of its own."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    if given is not None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
    facts = load_target("debian12").live
    made = []
    for _ in range(2):
        place = tmp_path_factory.mktemp("live")
        copied, folder = place / "root", place / "out"
        shutil.copytree(root, copied)
        for name in ("etc", "dev", "proc", "run", "sys", "tmp"):
            (copied / name).mkdir()
        (copied / "etc/fstab").write_text("UUID=1 / ext4 defaults 0 1\n")
        (copied / "tmp/left").write_text("left")
        folder.mkdir()
        layout = disk_layout("0" * 64, "efi", 1024, load_target("debian12").boot, 64, selinux=False)
        write_root(copied, LiveParts(facts, NodeTree(), folder), layout, KERNEL, folder, 1_700_000_000)
        made.append((folder / "root.squashfs").read_bytes())
    assert made[0] == made[1]
    listed = subprocess.run(
        ["unsquashfs", "-lls", folder / "root.squashfs"], capture_output=True, text=True, check=True
    )
    assert " squashfs-root/proc\n" in listed.stdout and "left" not in listed.stdout and "config-" not in listed.stdout
    assert re.search(r" 0 \S+ \S+ squashfs-root/etc/fstab$", listed.stdout, re.MULTILINE)
