"""Every form of a disk image, read back by real programs: each has exactly the bytes of the raw disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
import threading
import xml.etree.ElementTree as ET
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from imgbuild.config.profile.extras import Format
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.formats import FORMATS
from imgbuild.image.blocks import FileBlocks
from imgbuild.image.formats.qcow2 import write_qcow2
from imgbuild.image.formats.write import write_files
from tests.support.deadline import HUNG
from tests.support.image.plan import image_files
from tests.support.image.recorder import Recorder

MIB = 1 << 20
ALL = tuple(FORMATS)
_OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sparse disk of a size that old geometries would round: random data, repetitions and holes."""
    disk = tmp_path_factory.mktemp("raw") / "disk.raw"
    with disk.open("wb") as out:
        out.truncate(67 * MIB)
        for place, data in (
            (0, os.urandom(3 * MIB)), (20 * MIB + 512, b"text " * MIB), (66 * MIB, os.urandom(MIB)),
        ):  # fmt: skip
            out.seek(place)
            out.write(data)
    return disk


@pytest.fixture(scope="module")
def made(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all forms, made in one go."""
    folder = tmp_path_factory.mktemp("made")
    files = image_files(folder, "node", ALL)
    written = write_files(raw, files, tmp_path_factory.mktemp("work"), 1_700_000_000, recorder := Recorder())
    assert (written.disk.blocks_sha256, written.disk.size) == (blocks_sha256(raw), 67 * MIB)
    assert written.sums == {path.name: sha256(path) for path in folder.iterdir()}
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"node{FORMATS[form].suffix}" for form in ALL)
    assert {line.partition(":")[0] for line in recorder.lines} == {path.name for path in folder.iterdir()}
    return folder


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def blocks_sha256(path: Path) -> str:
    """As docs/reference/output.md describes it."""
    data = path.read_bytes()
    blocks = (data[at : at + 65536] for at in range(0, len(data), 65536))
    return hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).hexdigest()


def called(*argv: str | Path) -> bytes:
    return subprocess.run(argv, check=True, capture_output=True, timeout=HUNG).stdout


def info(path: Path) -> dict[str, object]:
    return dict(json.loads(called("qemu-img", "info", "--output=json", path)))


def unpacked(archive: Path, member: str, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extract(member, folder, filter="data")
    return folder / member


@pytest.mark.parametrize("form", [form for form in ALL if FORMATS[form].driver])
def test_a_disk_converted_back_is_the_raw_disk(form: Format, raw: Path, made: Path, tmp_path: Path) -> None:
    path = image_files(made, "node").path(form)
    driver = FORMATS[form].driver or ""
    called("qemu-img", "convert", "-f", driver, "-O", "raw", path, tmp_path / "back")
    assert sha256(tmp_path / "back") == sha256(raw)
    assert (tmp_path / "back").stat().st_size == raw.stat().st_size
    # QEMU knows a fixed VHD only by its end.
    assert form == "vhd" or info(path)["format"] == driver


def test_no_form_takes_the_space_of_the_holes(made: Path) -> None:
    for path in made.iterdir():
        assert path.stat().st_blocks * 512 < 20 * MIB, path


@pytest.mark.parametrize(("form", "kind"), [("qcow2", "zlib"), ("qcow2-zstd", "zstd")])
def test_qcow2_is_compressed_the_way_it_says(form: Format, kind: str, made: Path) -> None:
    path = image_files(made, "node").path(form)
    specific = info(path)["format-specific"]
    assert isinstance(specific, dict) and specific["data"]["compression-type"] == kind
    head = path.read_bytes()[:80]
    # The incompatible features in the header (docs/interop/qcow2.txt): with bit 3 QEMU before 5.1 refuses the file.
    assert int.from_bytes(head[72:80], "big") == (8 if kind == "zstd" else 0)
    assert path.stat().st_size < 6 * MIB


@pytest.mark.parametrize(("form", "tool"), [("raw.xz", "xz"), ("raw.zst", "zstd")])
def test_a_packed_raw_disk(form: Format, tool: str, raw: Path, made: Path) -> None:
    path = image_files(made, "node").path(form)
    assert hashlib.sha256(called(tool, "--decompress", "--stdout", path)).hexdigest() == sha256(raw)


def test_a_vhd_is_what_azure_takes(raw: Path, made: Path) -> None:
    """Fixed, whole MiB, and a footer of 512 bytes (learn.microsoft.com: create-upload-generic)."""
    data = image_files(made, "node").path("vhd").read_bytes()
    assert len(data) == raw.stat().st_size + 512
    assert hashlib.sha256(data[:-512]).hexdigest() == sha256(raw)
    footer = data[-512:]
    assert footer[:8] == b"conectix"
    assert int.from_bytes(footer[48:56], "big") == raw.stat().st_size  # Current Size
    assert int.from_bytes(footer[48:56], "big") % MIB == 0
    assert int.from_bytes(footer[60:64], "big") == 2  # Disk Type: fixed


def test_a_vmdk_is_stream_optimised(made: Path) -> None:
    path = image_files(made, "node").path("vmdk")
    text = path.read_bytes()[512:4096].decode("ascii", "replace")
    assert 'createType="streamOptimized"' in text
    assert 'ddb.adapterType = "lsilogic"' in text


def test_an_ova_by_its_own_manifest(raw: Path, made: Path, tmp_path: Path) -> None:
    path = image_files(made, "node").path("ova")
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        assert [m.name for m in members] == ["node.ovf", "node.mf", "node-disk1.vmdk"]
        assert all(m.isreg() and not m.pax_headers for m in members)
        content = {m.name: stream.read() for m in members if (stream := tar.extractfile(m))}
    lines = content["node.mf"].decode().splitlines()
    found = [re.fullmatch(r"SHA256\((.+)\)= ([0-9a-f]{64})", line) for line in lines]
    sums = {line[1]: line[2] for line in found if line}
    assert sums == {name: hashlib.sha256(content[name]).hexdigest() for name in ("node.ovf", "node-disk1.vmdk")}
    root = ET.fromstring(content["node.ovf"])  # noqa: S314 - imgbuild wrote it
    file, disk = root.find(f".//{_OVF}File"), root.find(f".//{_OVF}Disk")
    assert file is not None and disk is not None
    assert file.get(f"{_OVF}href") == "node-disk1.vmdk"
    assert file.get(f"{_OVF}size") == str(len(content["node-disk1.vmdk"]))
    assert disk.get(f"{_OVF}capacity") == str(raw.stat().st_size)
    vmdk = unpacked(path, "node-disk1.vmdk", tmp_path)
    called("qemu-img", "convert", "-f", "vmdk", "-O", "raw", vmdk, tmp_path / "back")
    assert sha256(tmp_path / "back") == sha256(raw)


def test_a_containerdisk_is_an_image_for_kubevirt(raw: Path, made: Path, tmp_path: Path) -> None:
    archive = f"oci-archive:{image_files(made, 'node').path('containerdisk')}"
    seen = json.loads(called("skopeo", "inspect", archive))
    assert (seen["Architecture"], seen["Os"], len(seen["Layers"])) == ("amd64", "linux", 1)
    assert seen["Created"] == "2023-11-14T22:13:20Z"
    # skopeo verifies each digest on the way, and the layer's against the configuration when it is packed anew.
    called("skopeo", "copy", "--insecure-policy", archive, f"dir:{tmp_path}/copy")
    layer = tmp_path / "copy" / seen["Layers"][0].removeprefix("sha256:")
    with tarfile.open(layer) as tar:
        members = [(m.name, m.type, m.mode, m.uid, m.gid) for m in tar.getmembers()]
    assert members == [
        ("disk", tarfile.DIRTYPE, 0o555, 107, 107),
        ("disk/disk.img", tarfile.REGTYPE, 0o444, 107, 107),
    ]
    disk = unpacked(layer, "disk/disk.img", tmp_path)
    called("qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, tmp_path / "back")
    assert sha256(tmp_path / "back") == sha256(raw)


def test_an_archive_alone_leaves_no_disk_beside_it(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    files = image_files(tmp_path / "out", "node", ("ova", "containerdisk"))
    write_files(raw, files, tmp_path / "work", 0, Recorder())
    assert sorted(path.name for path in files.folder.iterdir()) == ["node.containerdisk.tar", "node.ova"]
    assert not list((tmp_path / "work").iterdir())


def test_a_tool_that_fails_leaves_no_half_file(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    (tmp_path / "work").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/xz").write_text("#!/bin/sh\nprintf half\necho 'xz: no' >&2\nexit 1\n")
    (tmp_path / "bin/xz").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    files = image_files(tmp_path / "out", "node", ("raw.xz", "qcow2-zstd"))
    with pytest.raises(HostError, match=r"cannot write the disk image as raw\.xz: xz exited with status 1: xz: no"):
        write_files(raw, files, tmp_path / "work", 0, Recorder())
    assert not [path for path in files.folder.iterdir() if path.name != "node.zstd.qcow2"]


@pytest.mark.parametrize("formats", [("qcow2-zstd",), ("qcow2", "containerdisk"), ("raw.xz", "qcow2-zstd")])
def test_a_disk_that_would_not_boot_leaves_no_file(raw: Path, tmp_path: Path, formats: tuple[Format, ...]) -> None:
    (tmp_path / "work").mkdir()
    files = image_files(tmp_path / "out", "node", formats)
    proof: Future[object] = Future()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_files, raw, files, tmp_path / "work", 0, Recorder(), proof=proof)
        with pytest.raises(TimeoutError):
            writing.result(1)
        there = {path.name for path in files.folder.iterdir()}
        assert there <= {".node.qcow2.part", ".node.zstd.qcow2.part"}  # nothing, before a long conversion
        proof.set_exception(HostError("it would not boot"))
        with pytest.raises(HostError, match="it would not boot"):
            writing.result()
    assert not list(files.folder.iterdir())
    assert not list((tmp_path / "work").iterdir())


def test_a_proof_that_fails_ends_a_long_conversion(raw: Path, tmp_path: Path) -> None:
    told: list[int] = []

    def look() -> None:
        told.append(1)
        if len(told) == 3:
            raise HostError("it would not boot")

    blocks, threads = FileBlocks(raw), threading.active_count()
    with pytest.raises(HostError):
        write_qcow2(blocks, tmp_path / "disk.qcow2", "zlib", lambda _digest: None, look)
    blocks.close()
    assert len(told) == 3
    assert threading.active_count() == threads
