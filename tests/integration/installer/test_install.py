"""The installer with real disks (files behind loop devices), a real web server, and the power cut at any moment."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.node.disknode import MIB
from tests.support.node.installnode import MAC, SIZE_MIB, Image, InstallNode, Server, served

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path("/dev/loop-control").exists(), reason="namespaces and loop devices need root"
    ),
    pytest.mark.xdist_group("installer"),  # one image for all
]
BEFORE = (SIZE_MIB + 1) * MIB
"""Bytes that are written before the partition table: holes and data, and the zeros at the end of the disk."""
OLD = b"what was here before "  # on a disk that counts as blank


@dataclass(frozen=True)
class Ground:
    """One image, and the server that has it."""

    image: Image
    server: Server


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """In memory: the disks are written through, which takes long on a busy machine."""
    with TemporaryDirectory(dir="/dev/shm") as name, served(Path(name)) as server:
        yield Ground(Image(Path(name) / "pxe"), server)


@pytest.fixture
def node(ground: Ground, tmp_path: Path) -> Iterator[InstallNode]:
    ground.server.reports.clear()
    ground.server.answers.clear()
    with TemporaryDirectory(dir="/dev/shm") as name:
        made = InstallNode(tmp_path / "node", f"{ground.server.url}pxe/")
        (made.work / "disks").rmdir()
        (made.work / "disks").symlink_to(name)
        yield made


def used(node: InstallNode, name: str, size_mib: int) -> Path:
    """A disk that counts as blank, with old data between its first and its last MiB."""
    disk = node.disk(name, size_mib)
    with disk.open("r+b") as out:
        out.seek(MIB)
        out.write((OLD * (MIB // len(OLD) + 1))[:MIB] * (size_mib - 2))
    return disk


def debugfs(disk: Path, image: Image, command: str) -> str:
    argv = ["debugfs", "-R", command, f"{disk}?offset={image.layout.root_offset}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def whole(disk: Path, image: Image) -> None:
    """The disk has the image, a partition table for its own size, and nothing of what was there before."""
    data, size = disk.read_bytes(), SIZE_MIB * MIB
    assert OLD not in data[:size]
    assert OLD not in data[-MIB:]
    wanted = image.disk.read_bytes()
    assert data[MIB : 2 * MIB] == wanted[MIB : 2 * MIB]
    assert data[:440] == wanted[:440]
    told = subprocess.run(["sgdisk", "-v", disk], capture_output=True, text=True, check=True).stdout
    assert "No problems found" in told, told
    shown = subprocess.run(["sfdisk", "-d", disk], capture_output=True, text=True, check=True).stdout.upper()
    for identifier in (image.layout.disk_uuid, image.layout.root_uuid, image.layout.bios_uuid):
        assert identifier.upper() in shown
    root = disk.with_name("root")
    root.write_bytes(data[image.layout.root_offset : size - MIB])
    subprocess.run(["e2fsck", "-f", "-n", root], check=True, capture_output=True)
    root.unlink()


def told(ground: Ground, event: str) -> dict[str, str]:
    """The newest report of this kind. They are sent beside one another, so another one can arrive after it."""
    found = [report for report in ground.server.reports if report["event"] == event]
    assert found, ground.server.reports
    return max(found, key=_time)


def no_table(disk: Path) -> None:
    """No firmware sees a partition table or a boot loader: both begin with the first sector (UEFI 2.10, 5.2.3)."""
    assert disk.read_bytes()[:512] == bytes(512)
    assert subprocess.run(["sfdisk", "-d", disk], capture_output=True, check=False).returncode != 0


def test_the_smallest_blank_disk_that_holds_it(node: InstallNode, ground: Ground) -> None:
    small, filled = node.disk("vda", 10), node.disk("vdb", 30, label="old")
    disk, large = used(node, "vdc", 40), node.disk("vdd", 50)
    done = node.install("imgbuild.install=auto", f"imgbuild.report={ground.server.url}report")
    assert done.code == 0, done.output
    whole(disk, ground.image)
    assert "systemctl reboot" in done.output
    for other in (small, large):
        assert not any(other.read_bytes())
    assert subprocess.run(["blkid", "-p", "-s", "LABEL", "-o", "value", filled], capture_output=True, text=True,
                          check=True).stdout == "old\n"  # fmt: skip
    assert debugfs(disk, ground.image, "cat /var/lib/cloud/seed/nocloud/user-data") == "#cloud-config\n"
    assert "Mode:  0600" in debugfs(disk, ground.image, "stat /var/lib/cloud/seed/nocloud/user-data")
    assert "Mode:  0700" in debugfs(disk, ground.image, "stat /var/lib/cloud/seed/nocloud")
    events = [(report["event"], report.get("stage")) for report in sorted(ground.server.reports, key=_time)]
    assert events[0] == ("install", "check")
    assert events[-1] == ("installed", None)
    assert {stage for event, stage in events if event == "install"} == {
        "check", "zero", "write", "verify", "seed", "table",
    }  # fmt: skip
    assert told(ground, "installed").items() >= {"node": "w1", "mac": MAC}.items()
    assert "#cloud-config" not in str(ground.server.reports)


def _time(report: dict[str, str]) -> float:
    return float(report["at"])


def test_power_cut_at_any_moment(node: InstallNode, ground: Ground) -> None:
    """Twenty cuts in a row, each in the next attempt; six of them while the partition table is written."""
    seed = int(os.environ.get("IMGBUILD_TEST_SEED") or random.randrange(1 << 32))  # noqa: S311
    print(f"seed of the offsets: IMGBUILD_TEST_SEED={seed}")  # pytest shows it where the test fails
    chance = random.Random(seed)  # noqa: S311
    disk = used(node, "vda", 30)
    before, after = BEFORE, BEFORE + 2 * MIB
    offsets = [chance.randrange(before) for _ in range(14)] + [chance.randrange(before, after - 512) for _ in range(6)]
    chance.shuffle(offsets)
    for offset in offsets:
        done = node.install("imgbuild.install=auto", cut=offset)
        assert done.code == 137, (offset, done.output)
        no_table(disk)
        # wipefs finds the second GPT, which no firmware uses alone: of this attempt, or of the one that it undoes
        if 2 * MIB <= offset < before:
            assert subprocess.run(["wipefs", "-n", disk], capture_output=True, check=True).stdout == b""
    done = node.install("imgbuild.install=auto")
    assert done.code == 0, done.output
    whole(disk, ground.image)


@pytest.mark.parametrize("cut", [0, 4096, MIB - 512, MIB, MIB + 4096, 2 * MIB - 1536, 2 * MIB - 1024, 2 * MIB - 512])
def test_power_cut_while_an_attempt_is_undone(node: InstallNode, ground: Ground, cut: int) -> None:
    """The disk stays the installer's own until nothing of the earlier attempt is left on it."""
    disk = node.disk("vda", 30)
    assert node.install("imgbuild.install=auto", cut=BEFORE + 2 * MIB - 512).code == 137
    done = node.install("imgbuild.install=auto", cut=cut)
    assert done.code == 137, done.output
    no_table(disk)
    done = node.install("imgbuild.install=auto")
    assert done.code == 0, done.output
    whole(disk, ground.image)


def test_the_last_sector_makes_it_a_disk(node: InstallNode, ground: Ground) -> None:
    """The cut before the very last write: only the first sector is missing, and the next attempt starts over."""
    disk = node.disk("vda", 30)
    assert node.install("imgbuild.install=auto", cut=BEFORE + 2 * MIB - 512).code == 137
    no_table(disk)
    assert disk.read_bytes()[512:520] == b"EFI PART"
    done = node.install("imgbuild.install=/dev/vda")
    assert done.code == 0, done.output
    assert "interrupted" in done.output
    whole(disk, ground.image)


def test_a_disk_with_data_is_refused(node: InstallNode, ground: Ground) -> None:
    disk = node.disk("vda", 30, label="old")
    before = disk.read_bytes()
    done = node.install("imgbuild.install=/dev/vda", f"imgbuild.report={ground.server.url}report")
    assert done.code == 1
    assert "/dev/vda is not blank (ext4 labelled old): add imgbuild.wipe" in done.output
    assert "is not blank" in told(ground, "failed")["message"]
    for word in ("", "imgbuild.wipe"):
        done = node.install("imgbuild.install=auto", word)
        assert done.code == 1
        assert "no blank disk holds the image (0.0 GiB): /dev/vda (0.0 GiB): it has data" in done.output
    assert disk.read_bytes() == before
    done = node.install("imgbuild.install=/dev/disk/by-id/virtio-vda", "imgbuild.wipe")
    assert done.code == 0, done.output
    whole(disk, ground.image)


def test_an_installed_disk_is_data(node: InstallNode, ground: Ground) -> None:
    """From its first start on; until then the same attempt is only finished, and reported once more."""
    disk = node.disk("vda", 30)
    ground.server.answers["/report"] = 500
    report = f"imgbuild.report={ground.server.url}report"
    done = node.install("imgbuild.install=auto", report)
    assert "the server was not told" in done.output
    ground.server.answers.clear()
    ground.server.reports.clear()
    made = disk.read_bytes()
    done = node.install("imgbuild.install=auto", report)
    assert done.code == 0, done.output
    assert told(ground, "installed")
    assert "systemctl reboot" in done.output
    done = node.install("imgbuild.install=auto")
    assert "systemctl reboot" not in done.output  # nobody would send it elsewhere
    node.seed({}, "node=w2\n")
    assert "is not blank" in node.install("imgbuild.install=/dev/vda").output
    assert disk.read_bytes() == made
    node.seed({})
    started = debugfs_write(disk, ground.image, "symlink /var/lib/cloud/instance instances/i1")
    assert "is not blank" in node.install("imgbuild.install=/dev/vda").output
    assert disk.read_bytes() == started


def debugfs_write(disk: Path, image: Image, command: str) -> bytes:
    argv = ["debugfs", "-w", "-R", command, f"{disk}?offset={image.layout.root_offset}"]
    subprocess.run(argv, capture_output=True, check=True)
    return disk.read_bytes()


def test_another_machines_seed_is_refused(node: InstallNode, ground: Ground) -> None:
    disk = node.disk("vda", 30)
    node.macs = ["52:54:00:00:00:99"]
    done = node.install("imgbuild.install=auto")
    assert done.code == 1
    assert f"the seed is of w1, whose card {MAC} this machine does not have (it has: 52:54:00:00:00:99)" in done.output
    assert not any(disk.read_bytes())
    node.seed({}, "node=any\n")  # one for any machine
    assert node.install("imgbuild.install=auto").code == 0


@pytest.mark.parametrize(
    ("where", "before", "said"),
    [
        ("/dev/vdx", "", "there is no /dev/vdx: these disks are here: /dev/vda (0.0 GiB), /dev/vdb (0.0 GiB)"),
        ("/dev/vdb", "", "/dev/vdb (0.0 GiB) is smaller than the image (0.0 GiB)"),
        ("serial:X", "", "no disk has the serial number X"),
        ("sda", "", "imgbuild.install=sda is not a disk: write auto"),
        ("/dev/vda", "echo 1 > /sys/class/block/vda/removable", "/dev/vda is a removable medium"),
        ("/dev/vda", "mkdir -p /sys/class/block/vda/holders/dm-0", "/dev/vda is in use: /dev/vda belongs to /dev/dm-0"),
        ("/dev/vda", "echo 4096 > /sys/class/block/vda/queue/logical_block_size", "has sectors of 4096 bytes"),
        ("auto", "echo 4096 > /sys/class/block/vda/queue/logical_block_size", "it has sectors of 4096 bytes"),
        ("auto", "mkdir -p /sys/firmware/efi", "started by EFI, and the image is for BIOS"),
    ],
)  # fmt: skip
def test_what_is_refused_names_the_fix(node: InstallNode, where: str, before: str, said: str) -> None:
    disk = node.disk("vda", 30)
    node.disk("vdb", 10)
    done = node.install(f"imgbuild.install={where}", "imgbuild.wipe", before=before)
    assert done.code == 1
    assert said in done.output
    assert not any(disk.read_bytes())


def test_a_further_disk_of_the_node_is_not_chosen(node: InstallNode, ground: Ground) -> None:
    data, disk = node.disk("vda", 30), node.disk("vdb", 40)
    node.seed({}, f"node=w1\nmac={MAC}\nkeep=/dev/disk/by-id/virtio-vda\n")
    done = node.install("imgbuild.install=auto")
    assert done.code == 0, done.output
    assert not any(data.read_bytes())
    whole(disk, ground.image)


@pytest.mark.parametrize(
    "told",
    [
        "echo 'S1  ' > /sys/class/block/vdb/serial",
        "printf S1 | tee /sys/class/block/vdb/serial > /sys/class/block/vdb/device/serial",  # no end, as virtio's
    ],
)
def test_a_disk_by_its_serial_number(node: InstallNode, ground: Ground, told: str) -> None:
    node.disk("vda", 30)
    disk = node.disk("vdb", 30)
    done = node.install("imgbuild.install=serial:S1", before=told)
    assert done.code == 0, done.output
    whole(disk, ground.image)


@pytest.mark.parametrize("damage", ["sha256", "extent", "short", "long", "key", "number", "version"])
def test_a_damaged_transfer_leaves_no_disk(node: InstallNode, ground: Ground, tmp_path: Path, damage: str) -> None:
    disk = node.disk("vda", 30)
    folder = tmp_path / "pxe"
    folder.mkdir()
    lines = (ground.image.folder / "disk.extents").read_text().splitlines()
    data = (ground.image.folder / "disk.data.zst").read_bytes()
    if damage == "sha256":
        lines = [f"sha256 {'0' * 64}" if line.startswith("sha256") else line for line in lines]
    elif damage == "extent":
        first = next(number for number, line in enumerate(lines) if line.startswith("extent"))
        lines[first] = f"{lines[first].rsplit(' ', 1)[0]} {'0' * 64}"
    elif damage == "short":
        data = data[: len(data) // 2]
    elif damage == "long":
        lines.remove([line for line in lines if line.startswith("extent")][-1])
    elif damage == "key":
        lines.insert(3, "reboot $(reboot)")
    elif damage == "number":
        lines = [line.replace("root ", "root x", 1) for line in lines]
    else:
        lines[0] = "imgbuild-extents 2"
    (folder / "disk.extents").write_text("\n".join(lines) + "\n")
    (folder / "disk.data.zst").write_bytes(data)
    with served(folder) as server:
        node.arguments = [f"imgbuild.base={server.url}"]
        done = node.install("imgbuild.install=auto", f"imgbuild.report={ground.server.url}report")
    said = {
        "sha256": "disk.extents says 000000", "extent": "does not return what was written at byte",
        "short": "was not written whole", "long": "has more than disk.extents lists",
        "key": "has a line 'reboot'", "number": "where a number is needed",
        "version": "has the format '2', this installer reads 1",
    }  # fmt: skip
    assert done.code == 1
    assert said[damage] in done.output
    assert said[damage] in told(ground, "failed")["message"]
    no_table(disk)
    node.arguments = [f"imgbuild.base={ground.server.url}pxe/"]
    assert node.install("imgbuild.install=auto").code == 0
    whole(disk, ground.image)


def test_a_server_that_gives_no_seed_any_more(node: InstallNode, ground: Ground) -> None:
    node.disk("vda", 30)
    ground.server.answers["/seed/user-data"] = 403
    done = node.install("imgbuild.install=auto", f"imgbuild.seed={ground.server.url}seed/")
    assert done.code == 1
    assert "systemctl reboot" in done.output
    ground.server.answers["/seed/user-data"] = 404
    done = node.install("imgbuild.install=auto", f"imgbuild.seed={ground.server.url}seed/")
    assert "systemctl reboot" not in done.output
    assert "cannot be fetched" in done.output


def test_what_the_other_compression_sends(tmp_path: Path, node: InstallNode) -> None:
    image = Image(tmp_path / "pxe", compression="gzip")
    disk = node.disk("vda", 30)
    node.arguments = [f"imgbuild.base=file://{image.folder}/"]  # as on a medium
    done = node.install("imgbuild.install=auto")
    assert done.code == 0, done.output
    whole(disk, image)


def test_a_disk_without_a_seed(node: InstallNode, ground: Ground) -> None:
    """It gets one later, from a seed.iso."""
    disk = node.disk("vda", 30)
    done = node.install("imgbuild.install=auto", "imgbuild.seed=none")
    assert done.code == 0, done.output
    whole(disk, ground.image)
    assert "seed" not in debugfs(disk, ground.image, "ls /var/lib/cloud")
    assert "finished" in node.install("imgbuild.install=auto", "imgbuild.seed=none").output


def test_a_diskless_nodes_seed_is_refused(node: InstallNode) -> None:
    disk = node.disk("vda", 30)
    node.seed({}, f"node=w1\nboot=diskless\nmac={MAC}\n")
    done = node.install("imgbuild.install=auto")
    assert done.code == 1
    assert "set pxe.boot: install for it" in done.output
    assert not any(disk.read_bytes())


def test_the_seed_gets_the_label_of_the_images_policy(node: InstallNode, tmp_path: Path) -> None:
    image = Image(tmp_path / "pxe", selinux=True)
    disk = node.disk("vda", 30)
    node.arguments = [f"imgbuild.base=file://{image.folder}/"]
    done = node.install("imgbuild.install=auto")
    assert done.code == 0, done.output
    for path in ("/var/lib/cloud/seed/nocloud/user-data", "/var/lib/imgbuild/installed"):
        assert "system_u:object_r:var_lib_t:s0" in debugfs(disk, image, f"ea_get {path} security.selinux")
