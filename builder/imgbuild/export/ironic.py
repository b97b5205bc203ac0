"""Ironic without Nova: a file that enrolls the nodes, a script that deploys them, and a config drive for each.

The config drive is the node's own seed ISO: Ironic's agent writes what it gets into a partition of the disk as it is
(ironic-python-agent: partition_utils.py, create_config_drive_partition), and cloud-init finds it by its label, as on
a CD. So the network is exactly the seed's, where OpenStack's network_data.json has no names for bonds and VLANs.
"""

from __future__ import annotations

import base64
import gzip
import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from imgbuild.export.given import PRIVATE, Given, Unit, script, text
from imgbuild.export.hosts import Bmc, bmc, boot_mac, hinted, root_disk
from imgbuild.export.image import OF_IRONIC, Source, fetched
from imgbuild.export.objects import too_large
from imgbuild.export.scripts import which
from imgbuild.outputs.jsontext import json_text
from imgbuild.outputs.tree import OutFile

MAX_DRIVE = 64 << 20
"""Bytes of a config drive (ironic-python-agent: MAX_CONFIG_DRIVE_SIZE_MB; ironic: doc/source/install/configdrive)."""


def files(given: Given) -> Mapping[str, OutFile]:
    """nodes.json, deploy.sh, and private/NAME.configdrive."""
    image = fetched(given, "ironic", OF_IRONIC)
    units = given.units(groups=False)
    out: dict[str, OutFile] = {
        "nodes.json": text(f"{json_text({'nodes': [_node(given, unit) for unit in units]})}\n"),
        "README.txt": text(_README),
    }
    if image is not None:
        out["deploy.sh"] = script(_deploy(units, image))
    for unit in units:
        drive = given.iso(unit).content
        if len(drive) > MAX_DRIVE:
            too_large(given, unit.node, "a config drive", len(drive), MAX_DRIVE)
        packed = base64.b64encode(gzip.compress(drive, 9, mtime=0))
        out[f"{PRIVATE}/{unit.name}.configdrive"] = OutFile(packed + b"\n", 0o600)
    return out


def _node(given: Given, unit: Unit) -> dict[str, Any]:
    boot_mode = "uefi" if given.efi else "bios"
    properties: dict[str, Any] = {"cpu_arch": "x86_64", "capabilities": f"boot_mode:{boot_mode}"}
    hints = _hints(given, unit)
    if hints:
        properties["root_device"] = hints
    node: dict[str, Any] = {"name": unit.name, "properties": properties}
    found = bmc(given, unit, "add driver_info to its entry in nodes.json")
    node |= {"driver": "redfish"} if found is None else _driver(unit, found)
    mac = boot_mac(given, unit)
    others = [card.mac for card in unit.cards if card.mac not in (None, mac)]
    ports = [{"address": mac, "pxe_enabled": True}] if mac is not None else []
    node["ports"] = [*ports, *({"address": other, "pxe_enabled": False} for other in others)]
    return node


def _driver(unit: Unit, found: Bmc) -> dict[str, Any]:
    if found.ipmi:
        port = {"ipmi_port": found.port} if found.port is not None else {}
        return {"driver": "ipmi", "driver_info": {"ipmi_address": found.host, **port}}
    info: dict[str, Any] = {"redfish_address": found.url}
    if found.system.strip("/"):
        info["redfish_system_id"] = found.system
    if not unit.node.machine.bmc_verify:
        info["redfish_verify_ca"] = False
    virtual = "virtualmedia" in found.scheme
    return {
        "driver": "redfish",
        "driver_info": info,
        **({"boot_interface": "redfish-virtual-media"} if virtual else {}),
    }


def _hints(given: Given, unit: Unit) -> dict[str, str]:
    disk = root_disk(given, unit, "Ironic takes the smallest of at least 4 GiB")
    if disk is None:
        return {}
    found = hinted(given, unit, disk, "Ironic")
    key = "by_path" if found.path.startswith("/dev/disk/by-path/") else "name"
    hints = {key: found.path, "serial": found.serial, "wwn": found.wwn}
    return {name: value for name, value in hints.items() if value}


def _deploy(units: list[Unit], image: Source) -> Iterator[str]:
    form = (image.form or "raw").partition("-")[0]
    yield "# Deploy the nodes that are named, else all of them. They must be available (see README.txt)."
    yield "set -euo pipefail"
    yield 'cd "$(dirname "$0")"'
    yield from which(units)
    yield 'for node in "$@"; do'
    yield '  openstack baremetal node set "$node" \\'
    yield f"    --instance-info image_source={shlex.quote(image.url)} \\"
    yield "    --instance-info image_type=whole-disk \\"
    yield f"    --instance-info image_disk_format={form} \\"
    yield "    --instance-info image_os_hash_algo=sha256 \\"
    yield f"    --instance-info image_os_hash_value={image.sha256}"
    yield f'  openstack baremetal node deploy "$node" --config-drive "{PRIVATE}/$node.configdrive"'
    yield "done"


_README = f"""\
Ironic without Nova. {json.dumps("nodes.json")} has the nodes and their ports, deploy.sh deploys them.

1. openstack baremetal create nodes.json
2. Give each node the login of its BMC; a file keeps it out of the list of processes:
   openstack baremetal node set NODE --driver-info redfish_username=… --driver-info redfish_password=…
   (ipmi_username and ipmi_password for IPMI)
3. openstack baremetal node manage NODE --wait, then openstack baremetal node provide NODE --wait
4. ./deploy.sh [NODE…]

{PRIVATE}/NODE.configdrive is the node's seed, gzipped and in base64 as Ironic takes it. It has keys of the cluster.
"""
