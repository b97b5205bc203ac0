"""The files of every system for two nodes, byte for byte; of private files their names alone.

`IMGBUILD_UPDATE_GOLDEN=1 pytest tests/unit/export/test_golden.py` writes them anew; read the diff before you commit it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from imgbuild.export.given import PRIVATE, Options
from imgbuild.export.systems import SYSTEMS
from tests.support.exporting import FETCHED, exported
from tests.support.places import TESTS

GOLDEN = TESTS / "golden" / "exports"
UPDATE = os.environ.get("IMGBUILD_UPDATE_GOLDEN") == "1"
NODES = [
    {
        "name": "cp1.example.com",
        "role": "control-plane",
        "install_disk": "/dev/disk/by-id/wwn-0x5002538f42a1b3c4",
        "machine": {
            "bmc": "redfish-virtualmedia://10.0.1.11:8443/redfish/v1/Systems/1",
            "bmc_verify": False,
        },
        "network": {
            "interfaces": [
                {
                    "name": "eth0",
                    "mac": "52:54:00:00:00:01",
                    "addresses": ["10.0.0.11/24", "2001:db8::11/64"],
                    "gateway": "10.0.0.1",
                    "routes": [{"to": "10.9.0.0/16", "via": "10.0.0.254", "metric": 5}],
                    "mtu": 1400,
                }
            ],
            "dns": ["10.0.0.1"],
            "search": ["example.com"],
        },
    },
    {
        "name": "w1",
        "role": "worker",
        "install_disk": "/dev/disk/by-path/pci-1",
        "machine": {
            "bmc": "ipmi://10.0.1.12",
            "bmc_login": "rack1",
            "memory_mib": 8192,
            "cpus": 4,
            "disk_gib": 100,
        },
        "network": {
            "interfaces": [
                {"name": "eth0", "mac": "52:54:00:00:00:02"},
                {"name": "eth1", "mac": "52:54:00:00:00:03"},
                {"name": "eth2", "mac": "52:54:00:00:00:04", "dhcp": True},
            ],
            "bonds": [{"name": "bond0", "interfaces": ["eth0", "eth1"], "primary": "eth0"}],
            "vlans": [
                {"name": "bond0.20", "id": 20, "link": "bond0", "addresses": ["10.0.0.12/24"], "gateway": "10.0.0.1"}
            ],
            "dns": ["10.0.0.1"],
        },
    },
]
DISKS = (
    "disks=[{mount: /srv/a, size: 500GB}, {mount: /srv/b, id: virtio-data}]",
    "guest_agents=[qemu]",
)
OPTIONS = {
    "kubevirt": replace(FETCHED, networks=("nodes/br0",), storage="fast", namespace="machines"),
    "maas": Options(),
    "libvirt": replace(FETCHED, networks=("bridge:br0",)),
    "proxmox": Options(networks=("vmbr0", "vmbr1", "vmbr2")),
}


def public(system: str, folder: Path) -> dict[str, bytes]:
    layers = ["maas"] if system == "maas" else []
    made = exported(system, folder, NODES, OPTIONS.get(system, FETCHED), sets=DISKS, layers=layers)
    assert made.files is not None, made.said()
    for path, file in made.files.items():
        assert file.mode == (0o600 if path.startswith(f"{PRIVATE}/") else 0o755 if path.endswith(".sh") else 0o644)
    private = sorted(path for path in made.files if path.startswith(f"{PRIVATE}/"))
    shown = {path: file.content for path, file in made.files.items() if path not in private}
    return {**shown, "PRIVATE": "".join(f"{path}\n" for path in private).encode()}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_files_of_a_system(system: str, tmp_path: Path) -> None:
    made, place = public(system, tmp_path), GOLDEN / system
    if UPDATE:
        shutil.rmtree(place, ignore_errors=True)
        for path, content in made.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
    there = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    assert made == there


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_same_input_gives_the_same_bytes(system: str, tmp_path: Path) -> None:
    both = []
    for _ in range(2):
        layers = ["maas"] if system == "maas" else []
        made = exported(system, tmp_path, NODES, OPTIONS.get(system, FETCHED), sets=DISKS, layers=layers)
        assert made.files is not None
        both.append({path: file.content for path, file in made.files.items()})
    assert both[0] == both[1]


def test_no_system_is_without_a_golden_tree() -> None:
    assert {place.name for place in GOLDEN.iterdir()} == set(SYSTEMS)
