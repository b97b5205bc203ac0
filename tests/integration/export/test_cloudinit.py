"""What the systems hand to a node, through the real cloud-init: the network of a config drive, and every user-data."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgbuild.export.given import Options
from tests.support.exporting import FETCHED, METAL, exported
from tests.unit.export.test_golden import NODES

CARDS = {"52:54:00:00:00:01": "eth0", "52:54:00:00:00:02": "eth0", "52:54:00:00:00:03": "eth1",
         "52:54:00:00:00:04": "eth2"}  # fmt: skip


def converted(text: bytes, kind: str, distro: str, renderer: str, folder: Path) -> dict[str, str]:
    """What cloud-init writes on a node for a network, by path."""
    (folder / "in").write_bytes(text)
    out = folder / f"out-{kind}"
    known = [word for mac, name in CARDS.items() for word in ("-m", f"{mac},{name}")]
    words = ["cloud-init", "devel", "net-convert", "-p", str(folder / "in"), "-k", kind, "-d", str(out), "-D", distro]
    done = subprocess.run([*words, "-O", renderer, *known], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}


def netplan(files: dict[str, str]) -> dict[str, Any]:
    """The network of netplan's only file, without what has no meaning."""
    (text,) = files.values()
    network: dict[str, Any] = yaml.safe_load(text)["network"]
    for kind in ("ethernets", "bonds", "vlans"):
        for device in network.get(kind, {}).values():
            # cloud-init's own: it takes router advertisements off a card with a static IPv6 address of a config drive.
            device.pop("accept-ra", None)
            device.pop("macaddress", None)  # a VLAN's is that of the device below it anyway
            if not device.get("nameservers", {"search": True}).get("search"):
                device["nameservers"].pop("search", None)
    for bond in network.get("bonds", {}).values():
        bond["parameters"] = {key: str(value) for key, value in bond["parameters"].items()}
    return network


@pytest.mark.parametrize("node", [node["name"] for node in NODES])
@pytest.mark.parametrize(("profile", "distro", "renderer"), [
    ("debian12-efi", "debian", "netplan"), ("centos8-efi", "rhel", "sysconfig"),
])  # fmt: skip
def test_a_config_drive_gives_the_network_of_the_seed(
    node: str, profile: str, distro: str, renderer: str, tmp_path: Path
) -> None:
    secret = yaml.safe_load(exported("metal3", tmp_path, NODES, profile=profile)[f"private/{node}.yaml"])
    network = yaml.safe_load(base64.b64decode(secret["data"]["networkData"]))
    seed = exported("proxmox", tmp_path, NODES, Options(), profile=profile)[f"private/{node}/network"]
    both = [
        converted(json.dumps(network).encode(), "network_data.json", distro, renderer, tmp_path),
        converted(seed, "yaml", distro, renderer, tmp_path),
    ]
    if renderer == "netplan":
        assert netplan(both[0]) == netplan(both[1])
    else:
        assert both[0] == both[1]


def test_the_hostname_of_a_config_drive_is_the_nodes(tmp_path: Path) -> None:
    """As Ironic builds it from what Metal3 passes on."""
    made = exported("metal3", tmp_path, [{**METAL, "name": "cp1.example.com"}])
    data = yaml.safe_load(made["private/cp1.example.com.yaml"])["data"]
    latest = tmp_path / "drive/openstack/latest"
    latest.mkdir(parents=True)
    (latest / "user_data").write_bytes(base64.b64decode(data["userData"]))
    meta = {"uuid": "aa883995-19b3-5e27-98a4-7b30440f9a83", **yaml.safe_load(base64.b64decode(data["metaData"]))}
    (latest / "meta_data.json").write_text(json.dumps(meta))
    code = (
        "import json, sys; from cloudinit.sources import DataSourceConfigDrive as drive;"
        "found = drive.read_config_drive(sys.argv[1]);"
        "print(json.dumps([found['metadata'], found['userdata'].decode()]))"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-c", code, tmp_path / "drive"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    metadata, user_data = json.loads(done.stdout.splitlines()[-1])
    assert metadata["local-hostname"] == "cp1.example.com" and metadata["instance-id"] == meta["uuid"]
    assert user_data.startswith("#cloud-config\n")


def test_ironics_config_drive_is_the_seed_with_its_label(tmp_path: Path) -> None:
    made = exported("ironic", tmp_path, NODES)
    image = tmp_path / "drive.iso"
    image.write_bytes(gzip.decompress(base64.b64decode(made["private/w1.configdrive"])))
    assert image.read_bytes() == exported("libvirt", tmp_path, NODES, Options())["private/w1.iso"]
    label = subprocess.run(["blkid", "-p", "-o", "value", "-s", "LABEL", image], capture_output=True, text=True)
    assert label.stdout == "cidata\n"
    words = ["xorriso", "-osirrox", "on", "-indev", str(image), "-extract", "/", str(tmp_path / "seed")]
    subprocess.run(words, check=True, capture_output=True)
    seed = {path.name: path.read_bytes() for path in (tmp_path / "seed").iterdir()}
    parts = {"user": "user-data", "meta": "meta-data", "network": "network-config", "vendor": "vendor-data"}
    snippets = exported("proxmox", tmp_path, NODES, Options())
    assert seed == {name: snippets[f"private/w1/{part}"] for part, name in parts.items()}


@pytest.mark.parametrize("system", ["metal3", "tinkerbell", "maas", "kubevirt", "proxmox"])
def test_cloud_init_takes_the_user_data_of_every_system(system: str, tmp_path: Path) -> None:
    options = Options() if system in ("maas", "proxmox") else FETCHED
    made = exported(system, tmp_path, [METAL], options, layers=["maas"] if system == "maas" else [])
    private = {
        "maas": lambda: base64.b64decode(made["private/m1.user-data"]),
        "proxmox": lambda: made["private/m1/user"],
        "metal3": lambda: base64.b64decode(yaml.safe_load(made["private/m1.yaml"])["data"]["userData"]),
        "kubevirt": lambda: base64.b64decode(yaml.safe_load(made["private/m1.yaml"])["data"]["userdata"]),
        "tinkerbell": lambda: _contents(made["private/m1.yaml"]),
    }
    (tmp_path / "user-data").write_bytes(private[system]())
    words = ["cloud-init", "schema", "--config-file", str(tmp_path / "user-data")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _contents(template: bytes) -> bytes:
    actions = yaml.safe_load(yaml.safe_load(template)["spec"]["data"])["tasks"][0]["actions"]
    return str(actions[1]["environment"]["CONTENTS"]).encode()
