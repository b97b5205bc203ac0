"""The seed's file of further disks."""

from __future__ import annotations

import subprocess

from imgbuild.config.cluster import Cluster, Node
from imgbuild.render.disks import conf
from imgbuild.render.install import install_tree
from imgbuild.render.node import node_tree
from tests.support.profiles import resolved


def rows(*disks: str, node: str = "n1", cluster: str = "lab") -> tuple[list[list[str]], list[str], list[str]]:
    """The disks, folders and sizes, as bash reads them."""
    machine = Node(name=node, role="worker")
    profile = resolved("debian12-efi", sets=[f"disks=[{', '.join(disks)}]"]).profile
    text = conf(profile, Cluster(name=cluster, nodes=[machine]), machine).content.decode()
    script = (
        text
        + "\nfor name in disks folders sizes; do array=\"$name[@]\"; printf '%s\\0' \"${!array}\"; printf '\\1'; done"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    words, folders, sizes = (part.split("\0")[:-1] for part in done.stdout.split("\1")[:-1])
    return [words[i : i + 10] for i in range(0, len(words), 10)], folders, [word for word in sizes if word]


def test_parents_are_mounted_first_and_the_largest_size_chooses_first() -> None:
    found, folders, sizes = rows(
        "{mount: /data/images, size: 10GB}",
        "{mount: /var/lib/kubelet/pods, size: 1TB}",
        "{mount: /srv/data, id: x, folders: [/var/lib/kubelet/a, /var/lib/kubelet]}",
        "{mount: /data, size: 500MB}",
    )
    assert [row[0] for row in found] == ["/srv/data", "/var/lib/kubelet/pods", "/data", "/data/images"]
    assert folders == ["/srv/data", "/var/lib/kubelet", "/srv/data", "/var/lib/kubelet/a"]
    assert sizes == ["1", "3", "2"]


def test_the_values_of_a_disk() -> None:
    ((mount, how, what, kind, _, label, own, options, wait, wipe),) = rows(
        "{mount: /var/lib/containerd, size: 2GiB, filesystem: xfs, options: [noatime, nodev], wait: 5}"
    )[0]
    assert (mount, how, what, kind) == ("/var/lib/containerd", "size", str(2 << 30), "xfs")
    assert (label, own, options, wait, wipe) == ("containerd", "no", "noatime,nodev", "5", "no")


def test_another_node_mount_or_label_is_another_file_system() -> None:
    def uuid(disk: str, **more: str) -> str:
        return rows(disk, **more)[0][0][4]

    disk = "{mount: /a, size: 1GB}"
    assert uuid(disk) == uuid("{mount: /a, id: x, wipe: true}")
    others = [uuid(disk, node="n2"), uuid(disk, cluster="b"), uuid("{mount: /b, size: 1GB}")]
    others.append(uuid("{mount: /a, size: 1GB, label: x}"))
    assert len({uuid(disk), *others}) == 5


def test_only_a_stock_node_with_disks_gets_what_mounts_them() -> None:
    def paths(*sets: str) -> set[str]:
        return {file.path for file in node_tree(resolved("centos7-efi", sets=sets)).files}

    script = "/usr/libexec/imgbuild/disks"
    assert script in paths()
    assert script not in paths("mode=stock")
    assert script in paths("mode=stock", "disks=[{mount: /data, size: 1GB}]")


def test_the_tools_of_xfs_are_installed() -> None:
    def packages(disk: str) -> bool:
        tree = install_tree(resolved("debian12-efi", sets=[f"disks=[{disk}]"]))
        return b"xfsprogs" in tree.by_path()["/etc/imgbuild/install.conf"].content

    assert packages("{mount: /a, size: 1GB, filesystem: xfs}")
    assert not packages("{mount: /a, size: 1GB}")
