"""Tinkerbell: Hardware, Template and Workflow for each node.

The workflow writes the image, then the seed into the root file system, where every cloud-init looks for it. A Template
is a Go template of at most 256 KiB (tinkerbell 9111b51c, 2026-08-18: tink/controller/internal/workflow/
template_funcs.go), and has the node's keys. After the last action the BMC restarts the machine from its disk.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from imgbuild.config.node_network import Interface, NodeNetwork
from imgbuild.config.profile.extras import Format
from imgbuild.export.given import PRIVATE, Given, Unit, text
from imgbuild.export.hosts import Bmc, bmc, bmc_login, boot_mac, root_disk
from imgbuild.export.image import Source, fetched
from imgbuild.export.objects import metadata, private, public, too_large
from imgbuild.export.yamldoc import Value, document
from imgbuild.outputs.tree import OutFile

FORMS: tuple[Format, ...] = ("raw.zst", "raw.xz", "raw")
"""image2disk's README: raw, and raw in one of several compressions."""
ACTIONS = "quay.io/tinkerbell/actions"
REVISION = "ae3e51dfb3c1dd54c143e6d2fe48c248ae86e78d"
"""The actions' release of 2026-07-29: each is tagged with the revision of github.com/tinkerbell/actions (README)."""
SEED = "/var/lib/cloud/seed/nocloud"
ROOT_PARTITION = 2
"""The image's root file system: imgbuild.image.disk.layout makes one partition before it."""
MAX_TEMPLATE = 256 << 10
MAX_CONTENTS = 131_072 - len("CONTENTS=") - 1
"""Bytes of a variable of the environment, which is how a file reaches the action (execve(2), MAX_ARG_STRLEN)."""


def files(given: Given) -> Mapping[str, OutFile]:
    """hardware/NAME.yaml, workflows/NAME.yaml, and private/NAME.yaml with the Template."""
    if given.resolved.profile.mode == "stock":
        given.tell(
            "IB885", None, (), "in which partition a distribution's cloud image has its root file system, where the "
            "seed goes, is not known", "build an image: mode: baked",
        )  # fmt: skip
    _labels(given)
    image = fetched(given, "tinkerbell", FORMS, checked=False)
    out: dict[str, OutFile] = {}
    for unit in given.units(groups=False):
        mac = boot_mac(given, unit) or ""
        found = bmc(given, unit, "start the machine over the network yourself, and again when the workflow has ended")
        disk = _disk(given, unit)
        out[f"hardware/{unit.name}.yaml"] = public(_hardware(given, unit, mac, disk, found))
        out[f"workflows/{unit.name}.yaml"] = public([_workflow(given, unit, mac, found)])
        out[f"{PRIVATE}/{unit.name}.yaml"] = private([_template(given, unit, disk, image)])
    out["README.txt"] = text(_README.format(namespace=given.options.namespace, private=PRIVATE))
    return out


def _labels(given: Given) -> None:
    profile = given.resolved.profile
    if given.resolved.target.family == "el" and profile.selinux.mode == "enforcing":
        given.tell(
            "IB885", None, (), "the files of the seed get no SELinux label, and an enforcing system may not read them",
            "set selinux.mode: permissive, or check a first node before the others", lesser=True,
        )  # fmt: skip


def _disk(given: Given, unit: Unit) -> str:
    disk = root_disk(given, unit, "Tinkerbell writes to the path that the export names")
    if disk is None or not disk.path:
        given.tell(
            "IB889", unit.node, ("install_disk",), "Tinkerbell writes to a path, and none is known",
            "set install_disk of the node to a path, such as /dev/nvme0n1 or one in /dev/disk/by-path",
        )  # fmt: skip
        return ""
    return disk.path


def partition(disk: str, number: int) -> str:
    """The path of a partition: as the kernel and udev name it."""
    if disk.startswith("/dev/disk/"):
        return f"{disk}-part{number}"
    return f"{disk}{'p' if disk[-1:].isdigit() else ''}{number}"


def _hardware(given: Given, unit: Unit, mac: str, disk: str, found: Bmc | None) -> list[Mapping[str, Value]]:
    dhcp: dict[str, Value] = {"mac": mac, "hostname": unit.name, "arch": "x86_64", "uefi": given.efi}
    dhcp |= {"lease_time": 86400, **_address(given, unit, mac)}
    spec: dict[str, Value] = {
        "agentID": mac,
        "disks": [{"device": disk}],
        "interfaces": [{"dhcp": dhcp, "netboot": {"allowPXE": True, "allowWorkflow": True}}],
        "metadata": {"instance": {"id": mac, "hostname": unit.name}},
    }
    objects: list[Mapping[str, Value]] = []
    if found is not None:
        spec["bmcRef"] = {"apiGroup": "bmc.tinkerbell.org", "kind": "Machine", "name": unit.name}
        login: dict[str, Value] = {"name": bmc_login(unit), "namespace": given.options.namespace}
        connection: dict[str, Value] = {
            "host": found.host,
            "authSecretRef": login,
            "insecureTLS": not unit.node.machine.bmc_verify,
        }
        if found.port is not None:
            connection["port"] = found.port
        objects.append(_object(given, unit, "bmc.tinkerbell.org", "Machine", {"connection": connection}))
    return [*objects, _object(given, unit, "tinkerbell.org", "Hardware", spec)]


def _object(given: Given, unit: Unit, group: str, kind: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    named = metadata(given, unit.name, unit)
    return {"apiVersion": f"{group}/v1alpha1", "kind": kind, "metadata": named, "spec": spec}


def _address(given: Given, unit: Unit, mac: str) -> dict[str, Value]:
    """The address that Tinkerbell's DHCP gives to the card while the image is written: the node's own on that card."""
    network = unit.node.network
    device = None if network is None else _on_card(network, unit, mac)
    addresses = map(ipaddress.ip_interface, device.addresses if device is not None else ())
    address = next((one for one in addresses if one.version == 4), None)
    if network is None or device is None or address is None:
        given.tell(
            "IB885", unit.node, ("network",),
            "Tinkerbell's DHCP gives each machine the address that its Hardware has, and the card that it boots from "
            "has none here", "add spec.interfaces[0].dhcp.ip, or let another DHCP server give the address",
            lesser=True,
        )  # fmt: skip
        return {}
    ip: dict[str, Value] = {"address": str(address.ip), "netmask": str(address.netmask), "family": 4}
    if device.gateway is not None and ":" not in device.gateway:
        ip["gateway"] = device.gateway
    servers = [server for server in network.dns if ":" not in server]
    return {"ip": ip, **({"name_servers": servers} if servers else {})}


def _on_card(network: NodeNetwork, unit: Unit, mac: str) -> Interface | None:
    return next((one for one in network.interfaces if unit.node.mac_of(one) == mac), None)


def _workflow(given: Given, unit: Unit, mac: str, found: Bmc | None) -> dict[str, Value]:
    boot: dict[str, Value] = {"toggleAllowNetboot": True}
    if found is not None:
        boot |= {
            "bootMode": "customboot",
            "custombootConfig": {
                "preparingActions": _start(given, "pxe", persistent=False),
                "postActions": _start(given, "disk", persistent=True),
            },
        }
    spec: dict[str, Value] = {
        "templateRef": unit.name,
        "hardwareRef": unit.name,
        "hardwareMap": {"device_1": mac},
        "bootOptions": boot,
    }
    return _object(given, unit, "tinkerbell.org", "Workflow", spec)


def _start(given: Given, device: str, *, persistent: bool) -> list[Value]:
    """Start the machine from a device, by its BMC."""
    chosen: dict[str, Value] = {"device": device, "efiBoot": given.efi, "persistent": persistent}
    return [{"powerAction": "off"}, {"bootDevice": chosen}, {"powerAction": "on"}]


def _template(given: Given, unit: Unit, disk: str, image: Source | None) -> dict[str, Value]:
    actions: list[Value] = list(_actions(given, unit, disk, image))
    workflow: dict[str, Value] = {
        "version": "0.1",
        "name": unit.name,
        "global_timeout": 6000,
        "tasks": [{"name": "install", "worker": "{{.device_1}}", "volumes": ["/dev:/dev"], "actions": actions}],
    }
    data = document(workflow)
    if len(data.encode()) > MAX_TEMPLATE:
        too_large(given, unit.node, "a Template", len(data.encode()), MAX_TEMPLATE)
    return _object(given, unit, "tinkerbell.org", "Template", {"data": data})


def _actions(given: Given, unit: Unit, disk: str, image: Source | None) -> Iterator[dict[str, Value]]:
    url = image.url if image is not None else ""
    form = image.form if image is not None else None
    yield _action(
        "image", "image2disk", 3600, {"IMG_URL": url, "DEST_DISK": disk, "COMPRESSED": str(form != "raw").lower()}
    )
    for name, content in unit.seed.items():
        if len(content) > MAX_CONTENTS:
            too_large(given, unit.node, f"the action that writes {name}", len(content), MAX_CONTENTS)
        yield _action(
            name, "writefile", 90,
            {
                "DEST_DISK": partition(disk, ROOT_PARTITION),
                "FS_TYPE": "ext4",
                "DEST_PATH": f"{SEED}/{name}",
                "CONTENTS": _literal(content.decode()),
                "UID": "0",
                "GID": "0",
                "MODE": "0600",
                "DIRMODE": "0755",
            },
        )  # fmt: skip


def _action(name: str, image: str, timeout: int, environment: Mapping[str, Value]) -> dict[str, Value]:
    return {"name": name, "image": f"{ACTIONS}/{image}:{REVISION}", "timeout": timeout, "environment": environment}


def _literal(content: str) -> str:
    """Text that Go's template leaves as it is. In backquotes: quotes would be escaped in a quoted scalar of YAML."""
    return content.replace("{{", "{{`{{`}}")


_README = """\
Tinkerbell: for each node Hardware (and the Machine of its BMC), a Template in {private}/, and a Workflow.

1. Make the Secret with the login of each BMC, which spec.connection.authSecretRef names:
   kubectl -n {namespace} create secret generic NODE-bmc --from-literal=username=… --from-file=password=FILE
2. kubectl apply -f hardware/ -f {private}/
3. kubectl apply -f workflows/
4. kubectl -n {namespace} get workflows

A Template has the node's seed, with keys of the cluster, and Kubernetes does not keep it like a Secret: delete it when
the workflow has ended. image2disk compares no checksum: serve the image over https.
"""
