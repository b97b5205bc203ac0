"""Metal3: a BareMetalHost for each node, and the Secret with its user-data, network data and meta-data.

The Secrets' keys are those that the operator looks for (baremetal-operator 02aa5059, 2026-08-20:
internal/controller/metal3.io/host_config_data.go), and they are in the host's namespace, as its webhook requires.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

from imgbuild.export.given import PRIVATE, Given, Unit, text
from imgbuild.export.hosts import bmc, bmc_login, boot_mac, hinted, root_disk
from imgbuild.export.image import OF_IRONIC, Source, fetched
from imgbuild.export.networkdata import network_data
from imgbuild.export.objects import metadata, private, public, secret
from imgbuild.export.yamldoc import Value, document
from imgbuild.outputs.tree import OutFile


def files(given: Given) -> Mapping[str, OutFile]:
    """hosts/NAME.yaml, and private/NAME.yaml with the Secret that it refers to."""
    image = fetched(given, "metal3", OF_IRONIC)
    out: dict[str, OutFile] = {}
    for unit in given.units(groups=False):
        out[f"hosts/{unit.name}.yaml"] = public([_host(given, unit, image)])
        out[f"{PRIVATE}/{unit.name}.yaml"] = private([_secret(given, unit)])
    out["README.txt"] = text(_README.format(namespace=given.options.namespace, private=PRIVATE))
    return out


def _host(given: Given, unit: Unit, image: Source | None) -> dict[str, Value]:
    _not_a_uuid(given, unit)
    spec: dict[str, Value] = {
        "online": True,
        "architecture": "x86_64",
        "bootMode": "UEFI" if given.efi else "legacy",
        "automatedCleaningMode": "metadata",
    }
    found = bmc(given, unit, "the host stays unmanaged until spec.bmc has it")
    if found is not None:
        unverified: dict[str, Value] = {} if unit.node.machine.bmc_verify else {"disableCertificateVerification": True}
        spec["bmc"] = {"address": found.address, "credentialsName": bmc_login(unit), **unverified}
    mac = boot_mac(given, unit)
    if mac is not None:
        spec["bootMACAddress"] = mac
    hints = _hints(given, unit)
    if hints:
        spec["rootDeviceHints"] = hints
    if image is not None and image.form is not None:
        spec["image"] = {
            "url": image.url,
            "checksum": image.sha256,
            "checksumType": "sha256",
            "format": image.form.partition("-")[0],
        }
    name = _secret_name(unit)
    reference: dict[str, Value] = {"name": name, "namespace": given.options.namespace}
    spec["userData"] = reference
    spec["metaData"] = reference
    if unit.node.network is not None:
        spec["networkData"] = reference
    return {
        "apiVersion": "metal3.io/v1alpha1",
        "kind": "BareMetalHost",
        "metadata": metadata(given, unit.name, unit),
        "spec": spec,
    }


def _secret_name(unit: Unit) -> str:
    return f"{unit.name}-seed"


def _secret(given: Given, unit: Unit) -> dict[str, Value]:
    # "hostname" is what cloud-init looks for; the others are what the operator would set without this Secret.
    names = ("hostname", "local-hostname", "local_hostname", "name")
    data = {
        "userData": unit.seed["user-data"],
        "metaData": f"{json.dumps(dict.fromkeys(names, unit.node.name))}\n".encode(),
    }
    network = network_data(given, unit)
    if network is not None:
        data["networkData"] = document(network).encode()
    return secret(given, unit, _secret_name(unit), data)


def _hints(given: Given, unit: Unit) -> dict[str, Value]:
    disk = root_disk(given, unit, "Metal3 takes /dev/sda, whatever that is on the machine")
    if disk is None:
        return {}
    found = hinted(given, unit, disk, "Metal3")
    hints = {"deviceName": found.path, "serialNumber": found.serial, "wwn": found.wwn}
    return {key: value for key, value in hints.items() if value}


def _not_a_uuid(given: Given, unit: Unit) -> None:
    try:
        uuid.UUID(unit.name)
    except ValueError:
        return
    given.tell("IB885", unit.node, ("name",), "the name of a BareMetalHost cannot be a UUID", "give it another name")


_README = """\
Metal3: one BareMetalHost for each node in hosts/, and its Secret in {private}/.

1. Make the Secret with the login of each BMC, which spec.bmc.credentialsName names:
   kubectl -n {namespace} create secret generic NODE-bmc --from-literal=username=… --from-file=password=FILE
2. kubectl apply -f {private}/
3. kubectl apply -f hosts/
4. kubectl -n {namespace} get baremetalhosts

The image must be at the address in spec.image before step 3. {private}/ has the keys of the cluster: keep it out of
version control, and let only those read these Secrets who may be administrators of the cluster.
"""
