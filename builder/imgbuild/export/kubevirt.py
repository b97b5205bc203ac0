"""KubeVirt: a VirtualMachine for each node, with its seed in a Secret and its disks as volumes of CDI.

The seed is in a Secret because KubeVirt refuses user-data of more than 2048 bytes in the machine itself
(kubevirt d923fdb8, 2026-08-22: vmi-create-admitter.go, cloudInitUserMaxLen), and because it has keys.
"""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.config.profile.extras import Format
from imgbuild.export.given import PRIVATE, Given, Unit, text
from imgbuild.export.image import fetched
from imgbuild.export.objects import metadata, private, public, secret
from imgbuild.export.virtual import DataDisk, data_disks, lacp, named, network_of, size
from imgbuild.export.yamldoc import Value
from imgbuild.outputs.tree import OutFile

FORMS: tuple[Format, ...] = ("qcow2", "raw", "raw.xz")
REGISTRIES = ("docker://", "oci-archive://")


def files(given: Given) -> Mapping[str, OutFile]:
    """machines/NAME.yaml, and private/NAME.yaml with the Secret that it refers to."""
    source = _source(given)
    named(given, "kubevirt", r"([a-z0-9-]+/)?[a-z0-9.-]+", "NAMESPACE/NAME of a NetworkAttachmentDefinition")
    out: dict[str, OutFile] = {}
    units = given.units(groups=True)
    for unit in units:
        lacp(given, unit)
        out[f"machines/{unit.name}.yaml"] = public([_machine(given, unit, source, alone=len(units) == 1)])
        out[f"{PRIVATE}/{unit.name}.yaml"] = private([_secret(given, unit)])
    out["README.txt"] = text(_README.format(namespace=given.options.namespace, private=PRIVATE))
    return out


def _source(given: Given) -> dict[str, Value]:
    """Where CDI gets the image from."""
    url = given.options.image_url or ""
    if url.startswith(REGISTRIES):
        return {"registry": {"url": url}}
    found = fetched(given, "kubevirt", FORMS, checked=False)
    return {} if found is None else {"http": {"url": found.url}}


def _secret(given: Given, unit: Unit) -> dict[str, Value]:
    data = {"userdata": unit.seed["user-data"]}
    if "network-config" in unit.seed:
        data["networkdata"] = unit.seed["network-config"]
    return secret(given, unit, f"{unit.name}-seed", data)


def _machine(given: Given, unit: Unit, source: Mapping[str, Value], *, alone: bool) -> dict[str, Value]:
    memory, cpus, disk = size(given, unit)
    disks = data_disks(given, unit, "kubevirt")
    reference: dict[str, Value] = {"name": f"{unit.name}-seed"}
    seed: dict[str, Value] = {"secretRef": reference}
    if "network-config" in unit.seed:
        seed["networkDataSecretRef"] = reference
    volumes: list[Value] = [{"name": "root", "dataVolume": {"name": unit.name}}]
    volumes += [{"name": one.name, "dataVolume": {"name": f"{unit.name}-{one.name}"}} for one in disks]
    templates: list[Value] = [_volume(given, unit.name, source, disk)]
    templates += [_volume(given, f"{unit.name}-{one.name}", {"blank": {}}, one.gib) for one in disks]
    interfaces, networks = _network(given, unit, alone=alone)
    firmware: dict[str, Value] = {"efi": {"secureBoot": False}} if given.efi else {"bios": {}}
    domain: dict[str, Value] = {
        "cpu": {"cores": cpus},
        "memory": {"guest": f"{memory}Mi"},
        "firmware": {"uuid": given.uuid(f"kubevirt {unit.name}"), "bootloader": firmware},
        "devices": {"disks": [*_disks(disks)], "interfaces": interfaces, "rng": {}},
    }
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": metadata(given, unit.name, unit),
        "spec": {
            "runStrategy": "Always",
            "dataVolumeTemplates": templates,
            "template": {
                "metadata": {"labels": {"kubevirt.io/vm": unit.name}},
                "spec": {
                    "domain": domain,
                    "networks": networks,
                    "volumes": [*volumes, {"name": "seed", "cloudInitNoCloud": seed}],
                },
            },
        },
    }


def _disks(disks: list[DataDisk]) -> list[Value]:
    out: list[Value] = [{"name": "root", "bootOrder": 1, "disk": {"bus": "virtio"}}]
    for one in disks:
        serial: dict[str, Value] = {"serial": one.serial} if one.serial else {}
        out.append({"name": one.name, "disk": {"bus": "virtio"}, **serial})
    return [*out, {"name": "seed", "cdrom": {"bus": "sata"}}]


def _volume(given: Given, name: str, source: Mapping[str, Value], gib: int) -> dict[str, Value]:
    storage: dict[str, Value] = {"resources": {"requests": {"storage": f"{gib}Gi"}}}
    if given.options.storage is not None:
        storage["storageClassName"] = given.options.storage
    return {"metadata": {"name": name}, "spec": {"source": source, "storage": storage}}


def _network(given: Given, unit: Unit, *, alone: bool) -> tuple[list[Value], list[Value]]:
    """The cards, and the networks that they are on: those of --network, else the pod's for the only card there is."""
    interfaces: list[Value] = []
    networks: list[Value] = []
    if not given.options.networks and (not alone or len(unit.cards) > 1 or unit.node.network is not None):
        given.tell(
            "IB885", unit.node, (),
            "in the pods' network a machine has no address of its own that other nodes reach, and one card",
            "pass --network NAMESPACE/NAME of a NetworkAttachmentDefinition, such as a bridge, once for all cards or "
            "once for each",
        )  # fmt: skip
    for number, _ in enumerate(unit.cards):
        name = f"net{number}"
        attached = network_of(given, unit, number)
        way: dict[str, Value] = {"masquerade": {}} if attached is None else {"bridge": {}}
        on: dict[str, Value] = {"pod": {}} if attached is None else {"multus": {"networkName": attached}}
        interfaces.append({"name": name, "model": "virtio", "macAddress": given.mac(unit, number), **way})
        networks.append({"name": name, **on})
    return interfaces, networks


_README = """\
KubeVirt with CDI: one VirtualMachine for each node in machines/, and its Secret in {private}/.

1. kubectl apply -f {private}/
2. kubectl apply -f machines/
3. kubectl -n {namespace} get datavolumes,virtualmachines

{private}/ has the keys of the cluster: keep it out of version control. Whoever may read Secrets in the namespace
{namespace} can become the administrator of the new cluster. A changed seed reaches a machine only when it is made
again: KubeVirt derives the instance-id from its name.
"""
