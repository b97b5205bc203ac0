"""The base of an EL image: disks, archives and folders; wrong, cut short, gone."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgbuild.config.load import load
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.resolved import Resolved, resolve
from imgbuild.image.build import rootfs_plan
from imgbuild.image.rootfs import build as rootfs_build
from imgbuild.image.rootfs.base import Base, base_tar
from imgbuild.image.rootfs.plan import RootfsPlan
from imgbuild.render.nodefile import NodeTree
from tests.support.image.recorder import Recorder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")

MIB = 1 << 20


def given(source: Path | str | None, sha256: str | None = None, profile: str = "centos7-efi") -> Resolved:
    findings = Findings()
    sets = [f"base.source={source}", f"base.sha256={sha256 or 'null'}"] if source else []
    found = load(profile, (), sets, None, findings)
    assert found is not None, findings.items
    return resolve(found)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(source: Path | str, sha256: str | None, cache: Path) -> Base:
    made = base_tar(given(source, sha256), cache, Recorder())
    assert made is not None
    return made


def listed(tar: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(tar) as archive:
        return {info.name.removeprefix("./"): info for info in archive}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree that passes for a root file system, with what is easily lost on the way: owners, modes, attributes."""
    folder = tmp_path / "tree"
    (folder / "etc").mkdir(parents=True)
    (folder / "boot").mkdir()
    (folder / "etc/os-release").write_text("ID=centos\n")
    (folder / "etc/shadow").write_text("root:!:\n")
    (folder / "etc/shadow").chmod(0)
    os.chown(folder / "etc/shadow", 5, 6)
    (folder / "ping").write_text("x")
    os.setxattr(folder / "ping", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    return folder


def disk(root: Path, kind: str, target: Path, fstab: str = "") -> Path:
    """A qcow2 of a GPT disk: something small first, then ``root`` as ``kind``, and a separate /boot."""
    (root / "etc/fstab").write_text(fstab)
    raw = target.with_suffix(".raw")
    with raw.open("wb") as out:
        out.truncate(520 * MIB)
    table = "label: gpt\nstart=2048, size=2048\nstart=8192, size=819200\nstart=900000, size=81920\n"
    subprocess.run(["sfdisk", "--quiet", raw], input=table, text=True, check=True)
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    with part.open("wb") as out:
        out.truncate(400 * MIB)
    if kind == "xfs":
        subprocess.run(["mkfs.xfs", "-q", "-m", "uuid=11111111-2222-3333-4444-555555555555", part], check=True)
        copy = 'mount -o loop,nouuid "$1" "$2" && cp -a "$3"/. "$2"/ && umount "$2"'
        (target.parent / "mnt").mkdir(exist_ok=True)
        argv: list[str | Path] = ["unshare", "--mount", "sh", "-c", copy, "sh", part, target.parent / "mnt", root]
        subprocess.run(argv, check=True)
    else:
        subprocess.run(["mkfs.ext4", "-q", "-d", root, part], check=True)
    boot = target.parent / "boot"
    boot.mkdir(exist_ok=True)
    (boot / "vmlinuz").write_text("kernel")
    below = target.with_suffix(".boot")
    with below.open("wb") as out:
        out.truncate(40 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-L", "boot", "-d", boot, below], check=True)
    for source, at in ((part, 8192), (below, 900000)):
        argv = ["dd", f"if={source}", f"of={raw}", "bs=512", f"seek={at}", "conv=notrunc,sparse", "status=none"]
        subprocess.run(argv, check=True)
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", raw, target], check=True)
    return target


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_cloud_images_own_layout_does_not_matter(kind: str, root: Path, tmp_path: Path) -> None:
    """XFS is what the CentOS cloud images have; /boot may be a partition of its own."""
    fstab = "UUID=gone / xfs defaults 0 0\nLABEL=boot /boot ext4 defaults 0 0\nUUID=other /data xfs defaults 0 0\n"
    image = disk(root, kind, tmp_path / "base.qcow2", fstab)
    made = read(image, digest(image), tmp_path / "cache")
    found = listed(made.tar)
    assert (found["etc/shadow"].uid, found["etc/shadow"].gid, found["etc/shadow"].mode) == (5, 6, 0)
    assert "SCHILY.xattr.security.capability" in found["ping"].pax_headers
    assert "boot/vmlinuz" in found
    assert made.sha256 == digest(image)
    assert "base.qcow2" not in Path("/proc/self/mounts").read_text()
    assert str(tmp_path) not in subprocess.run(["losetup", "--all"], capture_output=True, text=True, check=True).stdout

    again = Recorder()
    base_tar(given(image, digest(image)), tmp_path / "cache", again)
    assert again.lines == ["the base base.qcow2 is in the cache"]


def test_an_archive_is_taken_as_it_is_and_a_folder_by_what_is_in_it(root: Path, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar.xz"
    subprocess.run(["tar", "-C", root, "--xattrs", "-cJf", archive, "."], check=True)
    assert digest(read(archive, digest(archive), tmp_path / "cache").tar) == digest(archive)
    one = read(root, None, tmp_path / "cache")
    assert read(root, None, tmp_path / "cache") == one
    (root / "etc/os-release").write_text("ID=rhel\n")
    assert read(root, None, tmp_path / "cache").sha256 != one.sha256


def test_a_base_that_is_another_or_cut_short_is_refused(root: Path, tmp_path: Path) -> None:
    image = disk(root, "ext4", tmp_path / "base.qcow2")
    right = digest(image)
    with image.open("r+b") as out:
        out.truncate(image.stat().st_size // 2)
    with pytest.raises(HostError, match=f"not {right}") as caught:
        read(image, right, tmp_path / "cache")
    assert "truncated" in caught.value.hint
    assert not list((tmp_path / "cache/base").iterdir())
    # Even where the user names the damaged file's own checksum.
    with pytest.raises(HostError):
        read(image, digest(image), tmp_path / "cache")
    assert not list((tmp_path / "cache/base").iterdir())


@pytest.mark.parametrize("kind", ["archive", "disk"])
def test_a_base_that_was_changed_in_the_cache_is_made_anew(kind: str, root: Path, tmp_path: Path) -> None:
    """root's password taken out of the tar, which keeps its size."""
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    source = tmp_path / "root.tar"
    if kind == "disk":
        source = disk(root, "ext4", tmp_path / "base.qcow2")
    else:
        subprocess.run(["tar", "-C", root, "-cf", source, "."], check=True)
    made = read(source, digest(source), tmp_path / "cache")
    good = made.tar.read_bytes()
    made.tar.write_bytes(good.replace(b"root:x:", b"root::\n"))
    steps = Recorder()
    again = base_tar(given(source, digest(source)), tmp_path / "cache", steps)
    assert again == made
    assert f"the base {source.name} in the cache is not used" in steps.lines[0]
    assert b"root::\n" not in made.tar.read_bytes()
    assert b"root:x:" in made.tar.read_bytes()


def test_the_users_archive_can_change_later(root: Path, tmp_path: Path) -> None:
    """The cache has a copy, under the checksum that the archive had; another writer does not reach it."""
    archive = tmp_path / "root.tar.gz"
    subprocess.run(["tar", "-C", root, "-czf", archive, "."], check=True)
    right = digest(archive)
    made = read(archive, right, tmp_path / "cache")
    assert archive.stat().st_nlink == 1
    with archive.open("r+b") as out:
        out.write(b"something else")
    assert digest(made.tar) == right
    assert read(archive, right, tmp_path / "cache") == made
    with pytest.raises(HostError, match=f"not {right}"):
        base_tar(given(archive, right), tmp_path / "cache", Recorder(), fresh=True)
    assert not made.tar.exists()


@pytest.mark.parametrize("kind", ["qcow2", "data file", "vmdk", "raw"])
def test_a_disk_image_that_reads_other_files_is_refused(kind: str, root: Path, tmp_path: Path) -> None:
    """A checksum covers one file: what that one refers to could be any file of the host, and change."""
    inner = disk(root, "ext4", tmp_path / "inner.qcow2")
    image = tmp_path / "outer"
    size = str(520 * MIB)
    create = ["qemu-img", "create", "-q", "-f"]
    if kind == "qcow2":
        argv = [*create, "qcow2", "-b", str(inner), "-F", "qcow2", str(image)]
    elif kind == "data file":
        argv = [*create, "qcow2", "-o", f"data_file={tmp_path / 'data'},data_file_raw=on", str(image), size]
    elif kind == "vmdk":
        argv = [*create, "vmdk", "-o", "subformat=monolithicFlat", str(image), size]
    else:
        argv = ["qemu-img", "convert", "-O", "raw", str(inner), str(image)]
    subprocess.run(argv, check=True)
    if kind == "vmdk":
        image.write_text(image.read_text().replace('"outer-flat', f'"{tmp_path}/outer-flat'))
    if kind == "raw":
        assert "etc/os-release" in listed(read(image, digest(image), tmp_path / "cache").tar)
        return
    with pytest.raises(HostError, match="refers to another file") as caught:
        read(image, digest(image), tmp_path / "cache")
    assert "qemu-img convert" in caught.value.hint


def test_a_base_that_is_not_a_file(tmp_path: Path) -> None:
    """A FIFO would be waited for; a name that is gone is said to be."""
    os.mkfifo(tmp_path / "fifo")
    for source in (tmp_path / "fifo", tmp_path / "gone"):
        with pytest.raises(HostError, match="does not exist, or is not a file"):
            read(source, "ab" * 32, tmp_path / "cache")


def test_a_disk_without_a_root_file_system(tmp_path: Path) -> None:
    (tmp_path / "tree/etc").mkdir(parents=True)
    image = disk(tmp_path / "tree", "ext4", tmp_path / "base.qcow2")
    with pytest.raises(HostError, match=r"no root file system that can be read \(it has unknown, ext4, ext4\)"):
        read(image, digest(image), tmp_path / "cache")


class _Server(http.server.BaseHTTPRequestHandler):
    content = b""
    asked: list[str | None] = []
    cut = 0

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        # The first answer ends too early, as a connection that breaks does.
        end = self.cut if len(self.asked) == 1 and self.cut else len(self.content)
        self.wfile.write(self.content[start:end])

    def log_message(self, *args: Any) -> None:
        """Nothing: the test says what it saw."""


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    _Server.asked, _Server.cut = [], 0
    made = http.server.HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_download_that_broke_goes_on_where_it_stopped(
    root: Path, tmp_path: Path, server: http.server.HTTPServer
) -> None:
    archive = tmp_path / "root.tar.gz"
    subprocess.run(["tar", "-C", root, "-czf", archive, "."], check=True)
    _Server.content, _Server.cut = archive.read_bytes(), 100
    url = f"http://127.0.0.1:{server.server_port}/root.tar.gz"
    made = read(url, digest(archive), tmp_path / "cache")
    assert _Server.asked == [None, "bytes=100-"]
    assert digest(made.tar) == digest(archive)
    read(url, digest(archive), tmp_path / "cache")
    assert len(_Server.asked) == 2  # from the cache


def test_a_download_with_another_checksum_is_not_kept(
    root: Path, tmp_path: Path, server: http.server.HTTPServer
) -> None:
    _Server.content = b"something else"
    url = f"http://127.0.0.1:{server.server_port}/root.tar.gz"
    for tries in (1, 2):
        with pytest.raises(HostError, match="sha256"):
            read(url, "ab" * 32, tmp_path / "cache")
        assert len(_Server.asked) == tries
    assert not list((tmp_path / "cache/base").iterdir())


def test_a_download_that_was_changed_in_the_cache_is_fetched_again(
    root: Path, tmp_path: Path, server: http.server.HTTPServer
) -> None:
    image = disk(root, "ext4", tmp_path / "base.qcow2")
    _Server.content = image.read_bytes()
    url = f"http://127.0.0.1:{server.server_port}/base.qcow2?x=/../"
    made = read(url, digest(image), tmp_path / "cache")
    download = tmp_path / "cache/store/blobs/sha256" / digest(image)
    steps = Recorder()
    base_tar(given(url, digest(image)), tmp_path / "cache", steps, fresh=True)
    assert len(_Server.asked) == 1  # what has the right checksum is not fetched again
    for tries, kind in enumerate(("content", "link", "folder"), 2):
        if kind == "content":
            content = download.read_bytes()
            download.write_bytes(b"x" + content[1:])
        elif kind == "link":
            download.replace(tmp_path / "elsewhere")
            download.symlink_to(tmp_path / "elsewhere")
        else:
            download.unlink()
            download.mkdir()
        made.tar.write_bytes(b"")
        steps = Recorder()
        assert base_tar(given(url, digest(image)), tmp_path / "cache", steps) == made
        assert any("in the store" in line and "moved to" in line for line in steps.lines)
        assert len(_Server.asked) == tries


def test_a_download_of_an_earlier_version_is_moved_into_the_store(
    root: Path, tmp_path: Path, server: http.server.HTTPServer
) -> None:
    """It was in the cache's folder of bases. One that is damaged is fetched."""
    archive = tmp_path / "root.tar.gz"
    subprocess.run(["tar", "-C", root, "-czf", archive, "."], check=True)
    _Server.content = archive.read_bytes()
    url = f"http://127.0.0.1:{server.server_port}/root.tar.gz"
    for name, content in (("right", archive.read_bytes()), ("wrong", b"wrong")):
        old = tmp_path / name / "base" / f"{digest(archive)}.download"
        old.parent.mkdir(parents=True, mode=0o700)
        (tmp_path / name).chmod(0o700)
        old.write_bytes(content)
        made = read(url, digest(archive), tmp_path / name)
        assert digest(made.tar) == digest(archive)
        assert (tmp_path / name / "store/blobs/sha256" / digest(archive)).exists()
        assert not old.exists()
        assert len(_Server.asked) == (name == "wrong")


def test_debian_has_no_base(tmp_path: Path) -> None:
    assert base_tar(given(None, profile="debian12-efi"), tmp_path, Recorder()) is None


class ReachedError(Exception):
    """The build has begun."""


def test_a_base_is_made_for_a_build_alone(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for a root file system that is in the cache: reading a base takes longer than the image that is made."""
    archive = tmp_path / "root.tar.gz"
    subprocess.run(["tar", "-C", root, "-czf", archive, "."], check=True)
    cache, wanted = tmp_path / "cache", given(archive, digest(archive))
    plan = rootfs_plan(wanted, NodeTree(), cache, Recorder())
    assert plan.base is not None and not plan.base.tar.exists()

    def run_dib(plan: RootfsPlan, *_: object) -> Path:
        assert plan.base is not None and digest(plan.base.tar) == digest(archive)
        raise ReachedError

    monkeypatch.setattr(rootfs_build, "run_dib", run_dib)
    with pytest.raises(ReachedError):
        rootfs_build.build_rootfs(plan, cache, Recorder())
    with plan.base.tar.open("r+b") as data:
        data.write(b"damaged")
    said = Recorder()
    with pytest.raises(ReachedError):
        rootfs_build.build_rootfs(rootfs_plan(wanted, NodeTree(), cache, said), cache, said)
    assert any("the base root.tar.gz" in line and "not used but rebuilt" in line for line in said.lines), said.lines
    with pytest.raises(HostError, match="has the sha256"):
        bad = rootfs_plan(given(archive, "a" * 64), NodeTree(), cache, Recorder())
        rootfs_build.build_rootfs(bad, cache, Recorder())
