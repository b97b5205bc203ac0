"""The descriptor of an OVA: what an importer reads in it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from imgbuild.config.fields import Firmware
from imgbuild.config.target import load_target, target_names
from imgbuild.facts.drivers import boot_drivers
from imgbuild.image.formats.ova import Appliance, descriptor

OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
VMW = "{http://www.vmware.com/schema/ovf}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
VSSD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData}"
# Guest ids of the vSphere API 6.5 (VirtualMachineGuestOsIdentifier): later ones are unknown to ESXi 6.5.
KNOWN_TO_6_5 = {"centos7_64Guest", "debian10_64Guest", "other3xLinux64Guest"}


def made(target: str, firmware: Firmware, name: str = "node") -> ET.Element:
    about = load_target(target)
    text = descriptor(name, Appliance(firmware, about.name, about.vmware), f"{name}-disk1.vmdk", 3, 4 << 30, 5)
    return ET.fromstring(text)  # noqa: S314 - imgbuild wrote it


def items(root: ET.Element) -> list[dict[str, str]]:
    return [{e.tag.removeprefix(RASD): e.text or "" for e in item} for item in root.iter(f"{OVF}Item")]


@pytest.mark.parametrize("target", target_names())
@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_firmware_guest_and_hardware(target: str, firmware: Firmware) -> None:
    root = made(target, firmware)
    settings = {c.get(f"{VMW}key"): c.get(f"{VMW}value") for c in root.iter(f"{VMW}Config")}
    assert settings["firmware"] == firmware
    assert settings.get("bootOptions.efiSecureBootEnabled") == ("false" if firmware == "efi" else None)
    system = root.find(f".//{OVF}OperatingSystemSection")
    assert system is not None and system.get(f"{VMW}osType") in KNOWN_TO_6_5
    assert [e.text for e in root.iter(f"{VSSD}VirtualSystemType")] == ["vmx-13"]
    kinds = {(item["ResourceType"], item.get("ResourceSubType")) for item in items(root)}
    assert {("6", "VirtualSCSI"), ("10", "VmxNet3"), ("17", None), ("20", "vmware.sata.ahci")} <= kinds
    drivers = boot_drivers()
    assert {"vmw_pvscsi", "vmxnet3", "ahci"} <= {*drivers.always, *drivers.where_built}


def test_devices_are_attached_to_controllers_that_exist() -> None:
    every = items(made("debian12", "efi"))
    ids = [item["InstanceID"] for item in every]
    assert len(set(ids)) == len(ids)
    types = {item["InstanceID"]: item["ResourceType"] for item in every}
    parents = {item["ResourceType"]: types[item["Parent"]] for item in every if "Parent" in item}
    assert parents == {"17": "6", "15": "20"}  # the disk on SCSI, the drive on SATA


def test_elements_are_in_the_order_of_the_schema() -> None:
    """CIM_ResourceAllocationSettingData is a sequence in alphabetical order."""
    for item in made("debian12", "efi").iter(f"{OVF}Item"):
        names = [element.tag.removeprefix(RASD) for element in item]
        assert names == sorted(names)


def test_a_name_is_escaped() -> None:
    root = made("debian12", "bios", "a&b<c>\"d'")
    file = root.find(f".//{OVF}File")
    assert file is not None and file.get(f"{OVF}href") == "a&b<c>\"d'-disk1.vmdk"
    assert [e.text for e in root.iter(f"{OVF}Name")] == ["a&b<c>\"d'"]
