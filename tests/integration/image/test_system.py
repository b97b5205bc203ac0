"""A disk from the kept file system has the same files as one from the whole root; what is damaged is made again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbuild.config.fields import Firmware
from imgbuild.diagnostics.errors import HostError
from imgbuild.image.assemble import assemble
from imgbuild.image.disk.layout import disk_layout
from imgbuild.image.rootfs.build import Rootfs
from imgbuild.image.system import kept
from imgbuild.image.system.make import IMAGE, LISTING, META
from imgbuild.render.nodefile import NodeFile, NodeLink, NodeTree
from tests.support.image.files import files_of
from tests.support.image.plan import DEBIAN, KERNEL_ARGS, image_files
from tests.support.image.recorder import Recorder

pytestmark = pytest.mark.image

_SIZE_MIB = 2560
# New and replaced files, folders that are links, blanks, a long link, a set-user-id bit, an init script's unit.
_TREE = NodeTree(
    files=(
        NodeFile("/etc/hostname", b"replaced\n"),
        NodeFile("/etc/new folder/with blanks/a file", b"x" * 100_000, 0o640),
        NodeFile(
            "/lib/systemd/system/own.service",
            b"[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
        ),
        NodeFile("/usr/bin/sudo", b"another program", 0o4755),
        NodeFile("/var/lib/empty", b""),
        NodeFile("/usr/share/zeros", bytes(200_000) + b"end"),
        NodeFile("/opt/a/b/c", b"deep"),
    ),
    links=(NodeLink("/etc/mtab", "../" * 30 + "proc/self/mounts"), NodeLink("/srv/link", "nowhere at all")),
    enable=("ssh.service", "own.service"),
    mask=("cron.service", "no-such.service"),
)


@pytest.mark.parametrize("firmware", [pytest.param("bios", marks=pytest.mark.slow), "efi"])
def test_the_same_files_as_from_the_whole_root(
    firmware: Firmware, rootfs: Rootfs, tmp_path: Path, shared_cache: Path
) -> None:
    layout = disk_layout(rootfs.key, firmware, _SIZE_MIB, DEBIAN)
    found = []
    for cache in (None, shared_cache):
        files = image_files(tmp_path / f"made-{bool(cache)}", formats=("raw",) if cache is None else ("qcow2-zstd",))
        steps = Recorder()
        assemble(rootfs, layout, _TREE, KERNEL_ARGS, files, tmp_path / "work", steps, cache=cache)
        if cache is not None:
            assert not any("whole root" in line for line in steps.lines)
            (record,) = (cache / kept.FOLDER).glob(f"*/{kept.RECORD}")
            assert json.loads(record.read_text())["name"] == rootfs.name == "debian12"
            disk = tmp_path / "back.raw"
            packed = str(files.path("qcow2-zstd"))
            subprocess.run(["qemu-img", "check", "-q", packed], check=True)
            subprocess.run(["qemu-img", "convert", "-O", "raw", packed, str(disk)], check=True)
        else:
            disk = files.path("raw")
        found.append(files_of(disk, layout.root_offset, tmp_path))
        disk.unlink()
    whole, edited = found
    assert edited.keys() == whole.keys()
    assert {path: (whole[path], edited[path]) for path in whole if whole[path] != edited[path]} == {}
    assert whole["/usr/share/zeros"][3] == 200_003


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
def test_what_is_damaged_is_made_again(rootfs: Rootfs, tmp_path: Path, shared_cache: Path) -> None:
    layout = disk_layout(rootfs.key, "efi", _SIZE_MIB, DEBIAN)
    place = shared_cache / kept.FOLDER / kept.key_of(rootfs.key, rootfs.sha256, layout)

    def made() -> tuple[str, bool]:
        steps = Recorder()
        files = image_files(tmp_path / "out")
        record = assemble(rootfs, layout, _TREE, (), files, tmp_path / "work", steps, cache=shared_cache).disk
        return record.blocks_sha256, any("Unpack" in line for line in steps.lines)

    first, _ = made()
    assert kept.damage(place) is None
    assert made() == (first, False)  # the same bytes

    def cut(path: Path) -> None:
        with path.open("r+b") as out:
            out.truncate(path.stat().st_size // 2)

    damages: list[tuple[str, Callable[[Path], None]]] = [(META, cut), (LISTING, cut)]
    for name, damage in damages:
        damage(place / name)
        assert kept.damage(place)
        again, unpacked = made()  # with other dates: mke2fs -d takes over when the files were unpacked
        assert unpacked
    assert made() == (again, False)
    with (place / IMAGE).open("r+b") as out:  # where nothing reads it: a qcow2 takes the compressed blocks
        out.seek(600 << 20)
        out.write(b"another content")
    assert made() == (again, False)
    assert kept.damage(place) == "root.img differs from its record"
    raw = image_files(tmp_path / "raw", formats=("raw",))
    with pytest.raises(HostError, match="differs from its record"):
        assemble(rootfs, layout, _TREE, (), raw, tmp_path / "work", Recorder(), cache=shared_cache)
    assert not place.exists()
    assert not raw.path("raw").exists()
    made()
    assert kept.removed(place)


@pytest.mark.slow
def test_what_needs_the_whole_root_gets_it(rootfs: Rootfs, tmp_path: Path, shared_cache: Path) -> None:
    layout = disk_layout(rootfs.key, "efi", _SIZE_MIB, DEBIAN)
    tree = NodeTree(files=(NodeFile('/etc/a "quoted" name', b"x"),))
    steps = Recorder()
    files = image_files(tmp_path / "out", formats=("raw",))
    assemble(rootfs, layout, tree, (), files, tmp_path / "work", steps, cache=shared_cache)
    assert any("the whole root file system is unpacked: a path has a quotation mark" in line for line in steps.lines)
    found = files_of(files.path("raw"), layout.root_offset, tmp_path)
    assert found['/etc/a "quoted" name'][3] == 1
