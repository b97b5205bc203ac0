"""Files of a disk most of which is still in the kept file system, against the files that it was made of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgbuild.image.blocks import BLOCK, DamagedError, FileBlocks
from imgbuild.image.system.edit import debugfs, extents_of
from imgbuild.image.system.working import Working

pytestmark = pytest.mark.image

OFFSET = 1 << 20
SIZE = 64 << 20
FILES = {
    "/whole": os.urandom(5_000_000),
    "/short": b"one line\n",
    "/empty": b"",
    "/with/a hole": os.urandom(100_000) + bytes(300_000) + os.urandom(12_345),
    "/begins with one": bytes(200_000) + b"end",
    "/ends with one": b"start" + bytes(200_000),
}


@dataclass(frozen=True)
class Made:
    """A file system, and the disk that a build works on, without any of its content."""

    base: Path
    working: Working
    work: Path

    def read(self, path: str) -> bytes | None:
        file = extents_of(self.working.device, path, self.work)
        return None if file is None else self.working.content(file)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    root = tmp_path / "root"
    for name, content in FILES.items():
        place = root / name[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    (root / "link").symlink_to("whole")
    base, meta, disk = tmp_path / "root.img", tmp_path / "meta.img", tmp_path / "disk.raw"
    for path in (base, meta, disk):
        with path.open("wb") as out:
            out.truncate(SIZE + (2 * OFFSET if path == disk else 0))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", root, base], check=True)
    subprocess.run(["e2image", "-r", base, meta], check=True, capture_output=True)
    working = Working(disk, OFFSET, base, meta, FileBlocks(base).digests)
    yield Made(base, working, tmp_path)
    working.close()


@pytest.mark.parametrize("path", FILES)
def test_a_file_has_its_content(path: str, made: Made) -> None:
    assert made.read(path) == FILES[path]


@pytest.mark.parametrize("path", ["/nosuch", "/with", "/link", "/nosuch/file"])
def test_what_is_no_file_has_none(path: str, made: Made) -> None:
    assert made.read(path) is None


def test_what_was_reserved_and_never_written_is_zeros(made: Made) -> None:
    commands = ['fallocate "/empty" 0 3', 'set_inode_field "/empty" size 16000']
    done = debugfs(made.working.device, commands, made.work, write=True)
    assert not [line for line in done.errors if line]
    assert made.read("/empty") == bytes(16_000)


def test_the_builds_own_file_is_read_from_the_disk(made: Made) -> None:
    own = made.work / "own"
    own.write_bytes(content := os.urandom(70_001))
    commands = [f'write "{own}" "own"', 'rm "/short"', f'write "{own}" "short"']
    debugfs(made.working.device, commands, made.work, write=True)
    assert made.read("/own") == made.read("/short") == content
    assert made.read("/whole") == FILES["/whole"]


def test_a_filled_disk_has_everything_in_its_file(made: Made) -> None:
    before = made.working.blocks().digests
    made.working.fill()
    assert made.working.blocks().digests == before == FileBlocks(made.working.path).digests
    for path, content in FILES.items():
        subprocess.run(["debugfs", "-R", f'dump "{path}" "{made.work}/dumped"', made.working.device], check=True)
        assert (made.work / "dumped").read_bytes() == content == made.read(path)


def test_damage_is_found_where_it_is_read(made: Made) -> None:
    file = extents_of(made.working.device, "/whole", made.work)
    assert file is not None
    with made.base.open("r+b") as out:
        out.seek(file.runs[0][1] * 4096 + 5 * BLOCK)
        out.write(b"another content")
    assert made.read("/with/a hole") == FILES["/with/a hole"]
    with pytest.raises(DamagedError, match="differs from its record"):
        made.read("/whole")
