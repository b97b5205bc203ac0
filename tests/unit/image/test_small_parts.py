"""Scratch folders, initramfs listing, the host's requirements."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.formats import bootable, suffix_of
from imgbuild.image import scratch as scratches
from imgbuild.image.proof import initramfs
from imgbuild.image.requirements import lacks, missing_tools
from imgbuild.image.scratch import scratch, small_scratch, sweep
from imgbuild.image.tool import run
from tests.support.places import ROOT


def test_a_scratch_folder_goes_and_takes_dead_ones_along(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from imgbuild.image.scratch import scratch\n"
        "with scratch(Path(sys.argv[1]), 'work') as f: (f / 'x').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False, cwd=ROOT)
    assert len(list(tmp_path.iterdir())) == 1
    with scratch(tmp_path, "work") as one:
        assert list(tmp_path.iterdir()) == [one]
        with scratch(tmp_path, "work") as two:
            assert sorted(tmp_path.iterdir()) == sorted([one, two])
    assert not list(tmp_path.iterdir())


def test_small_files_are_in_memory_if_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tmp_path / "memory"
    monkeypatch.setattr(scratches, "_MEMORY", memory)
    monkeypatch.setattr(os, "setxattr", lambda *_args: None)  # a unit test is not root

    def parent(size: int) -> Path:
        with small_scratch(tmp_path / "beside", size) as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            return folder.parent

    assert parent(1) == tmp_path / "beside"  # this machine has none
    memory.mkdir()
    assert parent(1) == memory
    assert parent(shutil.disk_usage(memory).free) == tmp_path / "beside"

    def refuse(*_args: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    assert parent(1) == tmp_path / "beside"
    assert not list(memory.iterdir())


def test_what_a_killed_run_left_in_memory_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tmp_path / "memory"
    left = memory / "imgbuild-left"
    left.mkdir(parents=True)
    (left / ".lock").touch()
    (left / "secret.key").touch()
    monkeypatch.setattr(scratches, "_MEMORY", memory)
    with small_scratch(tmp_path / "beside", shutil.disk_usage(memory).free) as folder:  # no room for this run
        assert folder.parent == tmp_path / "beside"
        assert not left.exists()


def test_a_folder_that_another_run_removes_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "work-gone"
    monkeypatch.setattr(Path, "glob", lambda *_args: iter([gone]))
    assert sweep(tmp_path, "work") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder for another user")
def test_a_folder_of_another_users_stays(tmp_path: Path) -> None:
    other = tmp_path / "work-other"
    other.mkdir()
    (other / ".lock").touch()
    os.chown(other, 12345, 12345)
    with scratch(tmp_path, "work"):
        assert other.is_dir()


def _cpio(*names: str) -> bytes:
    out = b""
    for name in (*names, "TRAILER!!!"):
        fields = [0] * 13
        fields[11] = len(name) + 1
        head = b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
        out += head + b"\0" * (-len(head) % 4)
    return out


@pytest.mark.parametrize("missing", [1, 4, 20, 10**6])
def test_an_initramfs_that_is_cut_is_damaged(missing: int) -> None:
    names = [f"lib/modules/6.1/kernel/{number}.ko" for number in range(500)]
    whole = zstandard.ZstdCompressor(write_checksum=True).compress(_cpio(*names))
    assert len(initramfs.modules(whole + whole)) == 500
    for image in (whole, whole + whole):
        cut = image[: max(len(image) - missing, len(image) - len(whole) + 6)]
        with pytest.raises(HostError, match="the initramfs is damaged"):
            initramfs.modules(cut)


def test_an_initramfs_with_microcode_before_it() -> None:
    early = _cpio("kernel/x86/microcode/GenuineIntel.bin").ljust(1024, b"\0")
    late = gzip.compress(
        _cpio("usr/lib/modules/6.1/kernel/drivers/nvme/host/nvme.ko.xz", "lib/modules/6.1/a/virtio-blk.ko")
    )
    assert "kernel/x86/microcode/GenuineIntel.bin" in list(initramfs.names(early + late))
    assert initramfs.modules(early + late) == {"nvme", "virtio_blk"}


@pytest.mark.parametrize("image", [b"not an archive", _cpio("a")[:150]])
def test_a_damaged_initramfs(image: bytes) -> None:
    with pytest.raises(HostError, match="initramfs"):
        list(initramfs.names(image))


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "mmdebstrap" not in {tool.name for tool in missing_tools(rootfs=False)}
    monkeypatch.setattr("shutil.which", lambda *_args, **_more: None)
    checks = {"root": lambda: False, "loop": lambda: False, "keyring": lambda: False}
    found = lacks(tmp_path, tmp_path / "not" / "there", checks=checks)
    text = "\n".join(f"{lack.what}: {lack.hint}" for lack in found)
    for expected in ("run imgbuild with sudo", "qemu-img", "mmdebstrap", "mtools", "loop device", "keyring"):
        assert expected in text
    assert "mtools" not in "".join(lack.hint for lack in lacks(tmp_path, tmp_path, "bios", checks=checks))
    for element, needed in (("el", True), ("debian", False)):
        told = "".join(lack.what for lack in lacks(tmp_path, tmp_path, "bios", element, checks=checks))
        assert ("loop device" in told) == needed
    assert "xz" not in {tool.name for tool in missing_tools(formats=["qcow2", "ova"])}
    assert "xz" in {tool.name for tool in missing_tools(formats=["raw.xz"])}
    assert "xz" in {tool.name for tool in missing_tools()}  # imgbuild doctor


def test_boot_takes_the_file_that_qemu_starts_fastest() -> None:
    assert bootable(["image/a.ova", "image/a.vmdk", "image/a.raw.xz"]) == ("image/a.vmdk", "vmdk")
    assert bootable(["image/a.zstd.qcow2", "image/a.raw"]) == ("image/a.zstd.qcow2", "qcow2")
    assert bootable(["image/a.raw.zst", "image/a.containerdisk.tar", "image/SHA256SUMS"]) is None
    assert suffix_of("image/a.b.zstd.qcow2") == ".zstd.qcow2"
    assert suffix_of("image/SHA256SUMS") is None


def test_a_command_that_is_missing_or_fails() -> None:
    with pytest.raises(HostError, match="cannot dance: no-such-tool is not installed"):
        run(["no-such-tool"], what="dance")
    with pytest.raises(HostError, match="cannot dance: sh exited with status 3: oh no"):
        run(["sh", "-c", "echo oh no >&2; exit 3"], what="dance")
    with pytest.raises(HostError, match="no space left"):
        run(["sh", "-c", "echo 'write: No space left on device' >&2; exit 1"], what="dance")
