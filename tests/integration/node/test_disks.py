"""Further disks of a node, with real file systems on loop devices: blank, in use, with data, missing, late."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.node.disknode import MIB, DiskNode

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(), reason="namespaces and loop devices need root"
)
RUN = "/usr/libexec/imgbuild/disks"


@pytest.fixture
def node(tmp_path: Path) -> DiskNode:
    return DiskNode(tmp_path)


def label(image: Path, tag: str = "LABEL") -> str:
    """A value of the file system on a disk, read from the disk itself."""
    done = subprocess.run(["blkid", "-p", "-s", tag, "-o", "value", image], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def test_blank_disks_are_formatted_once(node: DiskNode) -> None:
    data, images = node.disk("vdb", 40), node.disk("vdc", 320)
    node.profile(
        "{mount: /data, id: virtio-vdb, folders: [/var/lib/kubelet]}",
        "{mount: /var/lib/containerd, id: virtio-vdc, filesystem: xfs, options: [noatime]}",
    )
    node.write("var/lib/kubelet/config.yaml", "kept", 0o600)
    (node.upper / "var/lib/kubelet").chmod(0o750)
    first = node.boot(program=f"{RUN} && echo 1 > /data/a && grep ' /var/lib/containerd ' /proc/mounts")
    assert first.code == 0, first.output
    assert first.mounts["/var/lib/kubelet"] == (first.mounts["/data"][0], "/var/lib/kubelet")
    assert "xfs rw,noatime" in first.output or "xfs rw,seclabel,noatime" in first.output
    assert (label(data), label(images)) == ("data", "containerd")
    again = node.boot(
        program=f"{RUN} && {RUN} && cat /data/a /var/lib/kubelet/config.yaml && stat -c %a /var/lib/kubelet"
    )
    assert again.code == 0, again.output
    assert "gets the file system" not in again.output
    assert again.output.endswith("1\nkept750\n")
    assert set(again.mounts) == set(first.mounts)


def test_etcds_folder_is_empty_and_private(node: DiskNode) -> None:
    """kubeadm refuses a folder with lost+found (DirAvailable), etcd warns about one that others may read."""
    node.disk("vdb", 40)
    node.profile("{mount: /var/lib/etcd, size: 16MiB}")
    done = node.boot(program=f"{RUN} && ls -A /var/lib/etcd && stat -c %a /var/lib/etcd")
    assert done.code == 0, done.output
    assert done.output.splitlines()[-1] == "700"
    assert "lost+found" not in done.output


def test_what_was_in_the_folder_is_copied(node: DiskNode) -> None:
    node.disk("vdb", 40)
    node.profile("{mount: /var/lib/etcd, size: 16MiB}")
    node.write("var/lib/etcd/member/wal", "precious", 0o600)
    done = node.boot(program=f"{RUN} && cat /var/lib/etcd/member/wal")
    assert done.code == 0, done.output
    assert done.output.endswith("precious")


@pytest.mark.parametrize("where", ["file system", "partition table", "first", "last"])
def test_a_disk_with_data_is_left_alone(node: DiskNode, where: str) -> None:
    disk = node.disk("vdb", 40, label="old" if where == "file system" else None)
    if where == "partition table":
        subprocess.run(["sfdisk", "-q", disk], input="label: gpt\n", text=True, check=True)
    elif where != "file system":
        with disk.open("r+b") as file:
            file.seek(4096 if where == "first" else 40 * MIB - 4096)
            file.write(b"x")
    before = disk.read_bytes()
    node.profile("{mount: /data, id: virtio-vdb}", "{mount: /more, size: 16MiB, wait: 0}")
    done = node.boot()
    assert done.code == 1
    assert "/data: /dev/vdb is not blank" in done.output
    assert "wipe: true" in done.output
    assert "/more: there is no blank disk of at least 0.0 GiB" in done.output
    assert done.mounts == {}
    assert disk.read_bytes() == before


def test_wipe_erases_what_is_foreign_and_only_that(node: DiskNode) -> None:
    disk = node.disk("vdb", 40, label="old")
    node.profile("{mount: /data, id: virtio-vdb, wipe: true}")
    first = node.boot(program=f"{RUN} && echo 1 > /data/a")
    assert first.code == 0, first.output
    assert "erased" in first.output
    again = node.boot(program=f"{RUN} && cat /data/a")
    assert again.code == 0, again.output
    assert again.output.endswith("1\n")
    # A machine that is imaged again keeps its data too; another label begins anew.
    fresh = DiskNode(node.work / "fresh")
    disk.rename(fresh.work / "disks/vdb")
    fresh.profile("{mount: /data, id: virtio-vdb, wipe: true}")
    assert fresh.boot(program=f"{RUN} && cat /data/a").output.endswith("1\n")
    fresh.profile("{mount: /data, id: virtio-vdb, wipe: true, label: second}")
    anew = fresh.boot(program=f"{RUN} && ls -A /data")
    assert anew.code == 0, anew.output
    assert "erased" in anew.output
    assert "a\n" not in anew.output.replace("/data\n", "")


def test_another_nodes_disk_is_not_taken(node: DiskNode) -> None:
    node.disk("vdb", 40)
    node.profile("{mount: /data, size: 16MiB, wait: 0}", node="w1")
    assert node.boot().code == 0
    node.profile("{mount: /data, size: 16MiB, wait: 0}", node="w2")
    done = node.boot()
    assert done.code == 75
    assert "vdb (0.0 GiB): ext4 labelled data" in done.output


def test_a_labelled_disk_is_used_as_it_is(node: DiskNode) -> None:
    disk = node.disk("vdb", 40, label="archive")
    uuid = label(disk, "UUID")
    node.profile("{mount: /data, id: virtio-vdb, label: archive}")
    done = node.boot(program=f"{RUN} && echo 1 > /data/a")
    assert done.code == 0, done.output
    assert "gets the file system" not in done.output
    assert label(disk, "UUID") == uuid
    # A label alone is not enough where any disk may be chosen.
    node.profile("{mount: /data, size: 16MiB, label: archive, wait: 0}")
    assert node.boot().code == 75


KILL = 'kill -9 $(ps -o ppid= "$PPID") "$PPID"\n'
CUT = f"""#!/bin/bash
printf '%8192s' torn | dd of="${{!#}}" conv=notrunc status=none
{KILL}"""


def test_power_cut_while_a_disk_is_formatted(node: DiskNode) -> None:
    disk = node.disk("vdb", 40)
    node.profile("{mount: /data, size: 16MiB, wait: 0}")
    node.write("usr/local/sbin/mkfs.ext4", CUT, 0o755)
    assert node.boot().code not in (0, 1)
    assert label(disk, "TYPE") == ""
    assert disk.read_bytes()[:8192] != bytes(8192)
    (node.upper / "usr/local/sbin/mkfs.ext4").unlink()
    done = node.boot()
    assert done.code == 0, done.output
    assert "/data" in done.mounts
    # The mark is gone: from now on the same garbage is data.
    assert list((node.upper / "var/lib/imgbuild/disks").iterdir()) == []
    with disk.open("r+b") as file:
        file.write(os.urandom(8192))
    assert node.boot().code == 75


def test_the_mark_is_for_one_disk_only(node: DiskNode) -> None:
    disk = node.disk("vdb", 40)
    node.profile("{mount: /data, id: virtio-vdb, wait: 0}")
    node.write("usr/local/sbin/mkfs.ext4", CUT, 0o755)
    node.boot()
    (node.upper / "usr/local/sbin/mkfs.ext4").unlink()
    with disk.open("r+b") as file:  # another disk in the same place
        file.truncate(48 * MIB)
    done = node.boot()
    assert done.code == 1
    assert "not blank (data that no tool knows)" in done.output


def test_power_cut_while_the_content_is_copied(node: DiskNode) -> None:
    node.disk("vdb", 40)
    node.profile("{mount: /var/lib/etcd, size: 16MiB, wait: 0}")
    for name in ("a", "b"):
        node.write(f"var/lib/etcd/{name}", name)
    node.write("usr/local/sbin/cp", '#!/bin/bash\necho torn > "${!#}/a"\n' + KILL, 0o755)
    assert node.boot().code not in (0, 1)
    (node.upper / "usr/local/sbin/cp").unlink()
    done = node.boot(program=f"{RUN} && cat /var/lib/etcd/*")
    assert done.code == 0, done.output
    assert done.output.endswith("ab")


def test_a_disk_that_is_missing_or_late(node: DiskNode) -> None:
    node.disk("vdb", 40)
    node.disk("vdc", 40)
    node.profile("{mount: /late, id: virtio-vdb, wait: 20}", "{mount: /other, id: virtio-vdc}")
    late = "mv /dev/disk/by-id/virtio-vdb /dev/x; (sleep 2; mv /dev/x /dev/disk/by-id/virtio-vdb) > /dev/null 2>&1 &"
    done = node.boot(before=late)
    assert done.code == 0, done.output
    assert set(done.mounts) == {"/late", "/other"}
    node.profile(
        "{mount: /late, id: virtio-vdx, wait: 1}",
        "{mount: /other, id: virtio-vdc}",
        "{mount: /no, path: /dev/null, wait: 0}",
    )
    done = node.boot()
    assert done.code == 75
    assert "/no: /dev/null is not a disk" in done.output
    assert "/late: there is no /dev/disk/by-id/virtio-vdx after 1 s" in done.output
    assert set(done.mounts) == {"/other"}


def test_a_disk_in_use_is_not_touched(node: DiskNode) -> None:
    node.disk("vdb", 40, label="mine")
    node.disk("vdc", 40)
    node.profile("{mount: /data, id: virtio-vdb, wipe: true}", "{mount: /more, path: /dev/vdc, wait: 0}")
    done = node.boot(before="mkdir -p /mine /sys/class/block/vdc/holders/dm-0; mount /dev/vdb /mine")
    assert done.code == 1
    assert "/data: /dev/vdb is in use: /dev/vdb is mounted at /mine" in done.output
    assert "/more: /dev/vdc is in use: /dev/vdc belongs to /dev/dm-0" in done.output
    node.profile("{mount: /mine, path: /dev/vdc, wait: 0}")
    done = node.boot(before="mkdir -p /mine; mount /dev/vdb /mine")
    assert "/mine: another file system is mounted there already" in done.output


def test_size_takes_the_smallest_that_is_large_enough(node: DiskNode) -> None:
    small, middle, twin, large = (node.disk(f"vd{x}", size) for x, size in zip("bcde", (20, 60, 60, 90), strict=True))
    usb = node.disk("vdf", 60)
    node.profile(
        "{mount: /a, size: 50MiB, wait: 0}", "{mount: /b, size: 80MiB, wait: 0}", "{mount: /c, size: 50MiB, wait: 0}"
    )
    done = node.boot(before="echo 1 > /sys/class/block/vdf/removable")
    assert done.code == 0, done.output
    assert [label(disk) for disk in (small, middle, twin, large, usb)] == ["", "a", "c", "b", ""]


def may_resize_ext4() -> bool:
    """Growing a mounted ext4 requires CAP_SYS_RESOURCE (24), which containers may lack."""
    status = Path("/proc/self/status").read_text()
    (effective,) = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")]
    return bool(int(effective, 16) >> 24 & 1)


@pytest.mark.parametrize(("kind", "size", "larger"), [("ext4", 40, 80), ("xfs", 320, 400)])
def test_a_file_system_grows_with_its_disk(node: DiskNode, kind: str, size: int, larger: int) -> None:
    if kind == "ext4" and not may_resize_ext4():
        pytest.skip("needs CAP_SYS_RESOURCE")
    disk = node.disk("vdb", size)
    node.profile(f"{{mount: /a, id: virtio-vdb, filesystem: {kind}}}")
    sizes = []
    for mib in (size, larger):
        with disk.open("r+b") as file:
            file.truncate(mib * MIB)
        done = node.boot(program=f"{RUN} && df -m --output=size /a")
        assert done.code == 0, done.output
        sizes.append(int(done.output.splitlines()[-1]))
    assert sizes[1] > sizes[0] + (larger - size) / 2


def test_a_seed_that_is_incomplete_formats_nothing(node: DiskNode) -> None:
    node.disk("vdb", 40)
    node.write("etc/imgbuild/disks.conf", "disks=(\n    /data id")
    done = node.boot()
    assert done.code == 1
    assert "truncated" in done.output
