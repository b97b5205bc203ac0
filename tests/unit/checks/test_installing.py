"""The disk that a node is installed on: what is refused, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Findings
from imgbuild.pipeline import Request, prepare


def told(tmp_path: Path, node: str, *sets: str) -> list[str]:
    file = tmp_path / "lab.yaml"
    file.write_text(f"name: lab\nnodes:\n  - {{name: cp1, role: control-plane, {node}}}\n")
    findings = Findings()
    try:
        prepare(Request("debian12-efi", sets=sets, cluster=file), findings)
    except InvalidInput as error:
        findings = error.findings
    return [f"{found.code} {found.key}" for found in findings.items if found.code in {"IB860", "IB861", "IB111"}]


@pytest.mark.parametrize("disk", ["auto", "/dev/sda", "/dev/disk/by-id/nvme-eui.00", "serial:S1"])
def test_disks_by_any_name(tmp_path: Path, disk: str) -> None:
    assert told(tmp_path, f"install_disk: '{disk}'") == []


def test_wipe_needs_a_named_disk(tmp_path: Path) -> None:
    assert told(tmp_path, "install_wipe: true") == ["IB860 nodes[0].install_wipe"]
    assert told(tmp_path, "install_wipe: true, install_disk: /dev/sda") == []


def test_a_further_disk_is_another_one(tmp_path: Path) -> None:
    disk = "disks=[{mount: /data, id: nvme-1}]"
    assert told(tmp_path, "install_disk: /dev/disk/by-id/nvme-1", disk) == ["IB861 nodes[0].install_disk"]
    assert told(tmp_path, "install_disk: /dev/disk/by-id/nvme-2", disk) == []
    own = "settings: {disks: [{mount: /data, path: /dev/sdb}]}, install_disk: /dev/sdb"
    assert told(tmp_path, own) == ["IB861 nodes[0].install_disk"]
