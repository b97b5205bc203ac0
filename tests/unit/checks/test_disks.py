"""Further disks: what is refused, with the key and a fix, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.findings import Finding
from imgbuild.diagnostics.severity import Severity
from tests.support.checking import findings

D12 = "debian12-efi"


def told(*disks: str, sets: tuple[str, ...] = (), profile: str = D12) -> list[Finding]:
    return [f for f in findings(profile, [f"disks=[{', '.join(disks)}]", *sets]) if f.code.startswith("IB47")]


@pytest.mark.parametrize(
    "disks",
    [
        ["{mount: /data, size: 500GB}"],
        ["{mount: /var/lib/etcd, id: 'nvme-eui.0025385b71b0a1b2'}", "{mount: /var/lib/containerd, size: 1TiB}"],
        ["{mount: /data, path: /dev/mapper/mpatha, filesystem: xfs, label: twelveletter}"],
        ["{mount: /data, size: 1GB}", "{mount: /data/more, size: 1GB}"],
        ["{mount: /opt/buildkit, size: 1GB, folders: [/var/lib/kubelet, /var/lib/containerd]}"],
        ["{mount: /datastore, size: 1GB}", "{mount: /data, size: 1GB}"],
    ],
)
def test_what_is_possible(disks: list[str]) -> None:
    assert told(*disks) == []


@pytest.mark.parametrize(
    ("disk", "code", "key"),
    [
        ("{mount: /data}", "IB470", "disks[0]"),
        ("{mount: /data, id: a, path: /dev/b}", "IB470", "disks[0]"),
        ("{mount: /data, size: 200MiB, filesystem: xfs}", "IB470", "disks[0].size"),
        ("{mount: /var, size: 1GB}", "IB472", "disks[0].mount"),
        ("{mount: /etc/x, size: 1GB}", "IB472", "disks[0].mount"),
        ("{mount: /home, size: 1GB}", "IB472", "disks[0].mount"),
        ("{mount: /opt/cni/bin, size: 1GB}", "IB472", "disks[0].mount"),
        ("{mount: /data, size: 1GB, folders: [/var/log]}", "IB472", "disks[0].folders[0]"),
        ("{mount: /data, size: 1GB, folders: [/data/x]}", "IB472", "disks[0].folders[0]"),
        ("{mount: /data, size: 1GB, wipe: true}", "IB473", "disks[0].wipe"),
        ("{mount: /data, size: 1GB, filesystem: xfs, label: thirteenlette}", "IB474", "disks[0].label"),
        ("{mount: /data, path: /dev/vda}", "IB475", "disks[0].path"),
        ("{mount: /data, path: /dev/nvme0n1p3}", "IB475", "disks[0].path"),
        ("{mount: /data, path: /dev/sdb, wipe: true}", "IB475", "disks[0].path"),
    ],
)
def test_what_is_refused(disk: str, code: str, key: str) -> None:
    (found,) = told(disk)
    assert (found.code, found.key, found.severity) == (code, key, Severity.ERROR)


def test_a_name_of_the_kernels_is_a_warning_where_nothing_is_erased() -> None:
    (found,) = told("{mount: /data, path: /dev/sdb}")
    assert (found.code, found.severity) == ("IB475", Severity.WARNING)


def test_two_of_a_kind_and_a_circle() -> None:
    both = "{mount: /a, id: x, label: l}", "{mount: /a, path: /dev/disk/by-id/x, label: l}"
    assert [f.key for f in told(*both) if f.code == "IB471"] == ["disks[1].mount", "disks[1].path", "disks[1].label"]
    circle = "{mount: /a, size: 1GB, folders: [/b/x]}", "{mount: /b, size: 1GB, folders: [/a/y]}"
    assert {f.code for f in told(*circle)} == {"IB471"}


UNIT = '{path: /etc/systemd/system/%s.mount, content: "[Mount]\\nWhat=/dev/vdb\\nWhere=%s\\n"}'


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("files=[" + UNIT % ("data", "/data") + "]", "files[0].path"),
        ("run=['mount -t xfs /dev/sdb /data -o noatime']", "run[0]"),
        ("run=['mkdir -p /data && mount LABEL=x /data/']", "run[0]"),
        ("run=['echo \"/dev/sdb /data xfs defaults 0 0\" >> /etc/fstab && mount -a']", "run[0]"),
    ],
)
def test_data_on_something_that_is_mounted_too_late(given: str, key: str) -> None:
    (found,) = told(sets=("containerd.root=/data/containerd", given))
    assert (found.code, found.key) == ("IB476", key)
    assert "disks: [{mount: /data" in found.hint
    assert told(sets=("containerd.root=/datastore/containerd", given)) == []


def test_etcd_and_the_kubelet_too() -> None:
    files = f"files=[{UNIT % ('x', '/var/lib/etcd')}, {UNIT % ('y', '/var/lib/kubelet')}]"
    assert [f.key for f in told(sets=(files,))] == ["files[0].path", "files[1].path"]
    assert told(sets=(files, "kubernetes.enabled=false", "cilium.enabled=false")) == []


def test_a_file_for_fstab_names_the_way() -> None:
    (found,) = findings(D12, ["files=[{path: /etc/fstab, content: x}]"])
    assert (found.code, "disks: [{mount:" in found.hint) == ("IB460", True)


def test_a_file_that_a_disk_hides() -> None:
    disk = "{mount: /data, size: 1GB, folders: [/var/lib/kubelet]}"
    hidden = told(disk, sets=("files=[{path: /data/a, content: x}, {path: /var/lib/kubelet/b, content: x}]",))
    assert [(f.code, f.key) for f in hidden] == [("IB478", "files[0].path"), ("IB478", "files[1].path")]
    assert told(disk, sets=("files=[{path: /database/a, content: x}]",)) == []


def test_xfs_in_the_settings_of_a_node(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "name: c\nnodes:\n  - name: a\n    role: control-plane\n    settings:\n"
        "      disks: [{mount: /data, size: 1GB, filesystem: xfs}]\n"
    )
    (found,) = [f for f in findings(D12, cluster=file) if f.code == "IB477"]
    assert found.mark is not None and (found.mark.line, "xfsprogs" in found.hint) == (6, True)
    for sets, mode in ((["packages.install=[xfsprogs]"], None), ([], "stock")):
        assert [f for f in findings(D12, sets, cluster=file, mode=mode) if f.code == "IB477"] == []
