"""An OVA: the descriptor of a virtual machine, its manifest and its disk in one tar (DSP0243, OVF 1.1).

Hardware version 13 is that of ESXi 6.5, and every later ESXi takes it. The controller is PVSCSI and the card VMXNET3,
whose drivers are in every initramfs (profiles/versions/drivers.yaml). The drive is for the node's seed.iso.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from imgbuild.config.fields import Firmware
from imgbuild.config.target import VmwareGuest
from imgbuild.diagnostics.errors import HostError
from imgbuild.fetch.checksum import sha256_of
from imgbuild.image.formats.member import add

HARDWARE = "vmx-13"
CPUS = 2
MEMORY_MIB = 4096
"""kubeadm requires two processors and 1.7 GB on a control plane; an importer can set other values."""
_LARGEST = 0o77777777777  # bytes: the size field of ustar, the form of tar that DSP0243 requires
_XML = """\
<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
    xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
    xmlns:vmw="http://www.vmware.com/schema/ovf"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <References>
    <File ovf:href={file} ovf:id="file1" ovf:size="{size}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="disk1" ovf:fileRef="file1"
        ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
        ovf:populatedSize="{populated}"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="VM Network">
      <Description>The node's network</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id={id}>
    <Info>A Kubernetes node</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="{cim}" vmw:osType={guest}>
      <Info>Operating system of the guest</Info>
      <Description>{title}</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>{hardware}</vssd:VirtualSystemType>
      </System>
{items}
{settings}
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""
# Elements of each item in alphabetical order, as the schema of CIM_ResourceAllocationSettingData requires.
_ITEMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("", {"AllocationUnits": "hertz * 10^6", "ElementName": f"{CPUS} virtual processors", "InstanceID": "1",
          "ResourceType": "3", "VirtualQuantity": str(CPUS)}),
    ("", {"AllocationUnits": "byte * 2^20", "ElementName": f"{MEMORY_MIB} MiB of memory", "InstanceID": "2",
          "ResourceType": "4", "VirtualQuantity": str(MEMORY_MIB)}),
    ("", {"Address": "0", "ElementName": "SCSI controller 0", "InstanceID": "3", "ResourceSubType": "VirtualSCSI",
          "ResourceType": "6"}),
    (' ovf:required="false"', {"Address": "0", "ElementName": "SATA controller 0", "InstanceID": "4",
                               "ResourceSubType": "vmware.sata.ahci", "ResourceType": "20"}),
    ("", {"AddressOnParent": "0", "ElementName": "Hard disk 1", "HostResource": "ovf:/disk/disk1", "InstanceID": "5",
          "Parent": "3", "ResourceType": "17"}),
    (' ovf:required="false"', {"AddressOnParent": "0", "AutomaticAllocation": "false", "ElementName": "CD/DVD drive 1",
                               "InstanceID": "6", "Parent": "4", "ResourceSubType": "vmware.cdrom.remotepassthrough",
                               "ResourceType": "15"}),
    ("", {"AddressOnParent": "7", "AutomaticAllocation": "true", "Connection": "VM Network",
          "ElementName": "Network adapter 1", "InstanceID": "7", "ResourceSubType": "VmxNet3", "ResourceType": "10"}),
)  # fmt: skip


@dataclass(frozen=True)
class Appliance:
    """What the descriptor tells about the guest. ``title``: the distribution's name."""

    firmware: Firmware
    title: str
    vmware: VmwareGuest


def descriptor(name: str, about: Appliance, disk: str, size: int, capacity: int, populated: int) -> str:
    """The OVF descriptor; ``disk`` is the name of the VMDK in the archive, the rest are bytes.

    ``size``: of that file, ``capacity``: of the disk, ``populated``: of what is used on it.
    """
    items = []
    for attributes, fields in _ITEMS:
        lines = [f"        <rasd:{key}>{value}</rasd:{key}>" for key, value in fields.items()]
        items.append("\n".join((f"      <Item{attributes}>", *lines, "      </Item>")))
    settings: dict[str, str] = {"firmware": about.firmware}
    if about.firmware == "efi":
        # The boot loader is not signed by a key that the firmware has.
        settings["bootOptions.efiSecureBootEnabled"] = "false"
    return _XML.format(
        file=quoteattr(disk),
        size=size,
        capacity=capacity,
        populated=populated,
        id=quoteattr(name),
        name=escape(name),
        cim=about.vmware.cim,
        guest=quoteattr(about.vmware.guest),
        title=escape(about.title),
        hardware=HARDWARE,
        items="\n".join(items),
        settings="\n".join(
            f'      <vmw:Config ovf:required="false" vmw:key="{key}" vmw:value="{value}"/>'
            for key, value in settings.items()
        ),
    )


def write_ova(vmdk: Path, raw: Path, name: str, about: Appliance, output: Path, epoch: int) -> None:
    """Write the archive of ``vmdk``, which was made from ``raw``, to ``output``.

    Raises:
        HostError: the disk is too large for an OVA.
    """
    size, there = vmdk.stat().st_size, raw.stat()
    if size > _LARGEST:
        raise HostError(
            f"the disk takes {size} bytes as a VMDK, more than an OVA can hold ({_LARGEST})",
            "use vmdk instead of ova in image.formats",
        )
    disk = f"{name}-disk1.vmdk"
    text = descriptor(name, about, disk, size, there.st_size, there.st_blocks * 512).encode()
    sums = {f"{name}.ovf": hashlib.sha256(text).hexdigest(), disk: sha256_of(vmdk)}
    manifest = "".join(f"SHA256({file})= {digest}\n" for file, digest in sums.items()).encode()
    with tarfile.open(output, "w", format=tarfile.USTAR_FORMAT) as tar:
        # The descriptor comes first, so that an importer can read it before the disk has arrived.
        for file, content in ((f"{name}.ovf", text), (f"{name}.mf", manifest)):
            add(tar, file, content, len(content), epoch)
        with vmdk.open("rb") as stream:
            add(tar, disk, stream, size, epoch)
