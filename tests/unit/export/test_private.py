"""What has keys is in private/ alone, and text of users goes through every system unharmed."""

from __future__ import annotations

import base64
import gzip
import re
from pathlib import Path

import pytest
import yaml

from imgbuild.export.given import PRIVATE, Options
from imgbuild.export.systems import SYSTEMS
from imgbuild.export.tinkerbell import partition
from tests.support.exporting import FETCHED, METAL, exported

HOSTILE = "printf '%s' '{{ .device_1 }} {{` }} `id`' \"$(id) ${x}\" # {{ é 😀"


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_public_file_has_a_key_of_the_cluster(system: str, tmp_path: Path) -> None:
    options = Options() if system in ("maas", "libvirt", "proxmox") else FETCHED
    nodes = [{**METAL, "network": {"interfaces": [{"name": "eth0", "mac": "52:54:00:00:00:01", "dhcp": True}]}}]
    made = exported(system, tmp_path, nodes, options, layers=["maas"] if system == "maas" else [], keys=True)
    if system == "kubevirt":  # whose pod network is for machines with DHCP alone
        made = exported(system, tmp_path, [{"name": "m1", "role": "control-plane"}], options, keys=True)
    assert made.files is not None, made.said()
    for path, file in made.files.items():
        if not path.startswith(f"{PRIVATE}/"):
            assert b"PRIVATE KEY" not in file.content and b"cloud-config" not in file.content
            assert b"bootstrap" not in file.content.lower()
    private = [file for path, file in made.files.items() if path.startswith(f"{PRIVATE}/")]
    assert private and all(file.mode == 0o600 for file in private)


def user_data(system: str, content: bytes) -> bytes:
    """The user-data in a private file."""
    if system == "ironic":
        image = gzip.decompress(base64.b64decode(content))
        return image[image.index(b"#cloud-config") :]
    if system == "libvirt":
        return content[content.index(b"#cloud-config") :]
    if system == "maas":
        return base64.b64decode(content)
    if system == "proxmox":
        return content
    document = yaml.safe_load(content)
    if system == "tinkerbell":
        actions = yaml.safe_load(document["spec"]["data"])["tasks"][0]["actions"]
        (text,) = [one["environment"]["CONTENTS"] for one in actions if one["name"] == "user-data"]
        assert not re.search("{{(?!`)", text)  # Go would evaluate it
        return str(text).replace("{{`{{`}}", "{{").encode()
    return base64.b64decode(document["data"]["userData" if system == "metal3" else "userdata"])


@pytest.mark.parametrize("system", SYSTEMS)
def test_commands_of_the_user_arrive_as_they_are(system: str, tmp_path: Path) -> None:
    options = Options() if system in ("maas", "libvirt", "proxmox") else FETCHED
    sets = [f"run=[{yaml.safe_dump(HOSTILE, default_style=chr(34), width=1 << 20, allow_unicode=True).strip()}]"]
    layers = ["maas"] if system == "maas" else []
    made = exported(system, tmp_path, options=options, sets=sets, layers=layers)
    assert made.files is not None, made.findings
    (path,) = [p for p in made.files if p.startswith(f"{PRIVATE}/") and not p.endswith(("meta", "vendor", "network"))]
    text = user_data(system, made[path]).partition(b"\0")[0].decode()
    assert HOSTILE in [words[-1] for words in yaml.safe_load(text)["runcmd"]]


def test_partitions_are_named_as_the_kernel_and_udev_do() -> None:
    disks = ("/dev/sda", "/dev/nvme0n1", "/dev/mmcblk0", "/dev/disk/by-path/pci-1")
    assert [partition(disk, 2) for disk in disks] == [
        "/dev/sda2", "/dev/nvme0n1p2", "/dev/mmcblk0p2", "/dev/disk/by-path/pci-1-part2",
    ]  # fmt: skip
