"""libvirt: a domain for each node, its seed as a CD, and a script that makes disks and machines on the host.

The firmware is chosen by libvirt from what the host has, with Secure Boot off (libvirt 8.6 and later; the sections
"BIOS bootloader" and "firmware" of its formatdomain page), because boot loaders of the image are not all signed.
"""

from __future__ import annotations

import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from imgbuild.config.profile.extras import Format
from imgbuild.export.given import PRIVATE, Given, Unit, script, text
from imgbuild.export.image import Source, form_of, on_host
from imgbuild.export.scripts import the_image, which
from imgbuild.export.virtual import DataDisk, data_disks, lacp, named, network_of, size
from imgbuild.facts.formats import FORMATS
from imgbuild.outputs.tree import OutFile

FORMS: tuple[Format, ...] = ("qcow2", "qcow2-zstd", "raw")
FOLDER = "/var/lib/libvirt/images"
NETWORK = "default"


@dataclass(frozen=True)
class _Made:
    unit: Unit
    memory_mib: int
    cpus: int
    disk_gib: int
    data: Sequence[DataDisk]


def files(given: Given) -> Mapping[str, OutFile]:
    """domains/NAME.xml, create.sh, and private/NAME.iso."""
    image, source = on_host(given, "libvirt", FORMS)
    named(given, "libvirt", r"(bridge:)?[A-Za-z0-9._-]+", "a network of libvirt, or bridge: and a bridge of the host")
    every = [_Made(unit, *size(given, unit), data_disks(given, unit, "libvirt")) for unit in given.units(groups=True)]
    out: dict[str, OutFile] = {}
    for made in every:
        lacp(given, made.unit)
        out[f"domains/{made.unit.name}.xml"] = text(_domain(given, made))
        out[f"{PRIVATE}/{made.unit.name}.iso"] = given.iso(made.unit)
    out["create.sh"] = script(_create(given, every, image, source))
    out["README.txt"] = text(_README.format(folder=_folder(given), image=image, private=PRIVATE))
    return out


def _folder(given: Given) -> str:
    return given.options.storage or FOLDER


def _domain(given: Given, made: _Made) -> str:
    unit = made.unit
    root = ET.Element("domain", type="kvm")
    _put(root, "name", unit.name)
    _put(root, "uuid", given.uuid(f"libvirt {unit.name}"))
    _put(root, "memory", str(made.memory_mib), unit="MiB")
    _put(root, "vcpu", str(made.cpus))
    _firmware(root, efi=given.efi)
    features = _put(root, "features")
    _put(features, "acpi")
    _put(features, "apic")
    _put(root, "cpu", mode="host-passthrough")
    _put(root, "clock", offset="utc")
    _put(root, "on_crash", "restart")
    devices = _put(root, "devices")
    folder = _folder(given)
    _disk(devices, f"{folder}/{unit.name}.qcow2", "vda")
    for number, disk in enumerate(made.data):
        _disk(devices, f"{folder}/{unit.name}-{disk.name}.qcow2", f"vd{chr(ord('b') + number)}", disk.serial)
    seed = _put(devices, "disk", type="file", device="cdrom")
    _put(seed, "driver", name="qemu", type="raw")
    _put(seed, "source", file=f"{folder}/{unit.name}-seed.iso")
    _put(seed, "target", dev="sda", bus="sata")
    _put(seed, "readonly")
    for number, _ in enumerate(unit.cards):
        _card(devices, network_of(given, unit, number) or NETWORK, given.mac(unit, number))
    _put(_put(devices, "serial", type="pty"), "target", port="0")
    _put(_put(devices, "console", type="pty"), "target", type="serial", port="0")
    _put(_put(devices, "channel", type="unix"), "target", type="virtio", name="org.qemu.guest_agent.0")
    _put(_put(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _put(parent: ET.Element, tag: str, content: str | None = None, **attributes: str) -> ET.Element:
    made = ET.SubElement(parent, tag, attributes)
    made.text = content
    return made


def _firmware(root: ET.Element, *, efi: bool) -> None:
    system = _put(root, "os")
    if efi:
        system.set("firmware", "efi")
    _put(system, "type", "hvm", arch="x86_64", machine="q35")
    if efi:
        firmware = _put(system, "firmware")
        _put(firmware, "feature", enabled="no", name="enrolled-keys")
        _put(firmware, "feature", enabled="no", name="secure-boot")
    _put(system, "boot", dev="hd")


def _disk(devices: ET.Element, path: str, name: str, serial: str = "") -> None:
    disk = _put(devices, "disk", type="file", device="disk")
    _put(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    _put(disk, "source", file=path)
    _put(disk, "target", dev=name, bus="virtio")
    if serial:
        _put(disk, "serial", serial)


def _card(devices: ET.Element, network: str, mac: str) -> None:
    kind, _, name = network.rpartition(":")
    card = _put(devices, "interface", type=kind or "network")
    _put(card, "mac", address=mac)
    _put(card, "source", **{kind or "network": name})
    _put(card, "model", type="virtio")


def _create(given: Given, every: Sequence[_Made], image: str, source: Source | None) -> Iterator[str]:
    form = form_of(image)
    driver = FORMATS[form].driver if form is not None else "qcow2"
    yield "# Make and start the machines that are named, else all of them. A machine that exists is left alone."
    yield "set -euo pipefail"
    yield 'cd "$(dirname "$0")"'
    yield f"folder={shlex.quote(_folder(given))}"
    yield f"image=$folder/{shlex.quote(image)}"
    yield from which([made.unit for made in every])
    yield from the_image(source)
    yield "# disk FILE SIZE: an empty disk; backed by the image if a third argument is given"
    yield "disk() {"
    yield '  if [ -e "$1" ]; then'
    yield '    echo "$1 is there already, with the data of another machine: remove it first" >&2'
    yield "    exit 1"
    yield "  fi"
    yield '  if [ "$#" -gt 2 ]; then'
    yield f'    qemu-img create -q -f qcow2 -F {driver} -b "$3" "$1" "$2"'
    yield "  else"
    yield '    qemu-img create -q -f qcow2 "$1" "$2"'
    yield "  fi"
    yield "}"
    yield 'for node in "$@"; do'
    yield '  if virsh domuuid "$node" >/dev/null 2>&1; then'
    yield '    echo "$node exists already"'
    yield "    continue"
    yield "  fi"
    yield '  case "$node" in'
    for made in every:
        yield f"  {made.unit.name})"
        yield f'    disk "$folder/$node.qcow2" {made.disk_gib}G "$image"'
        for disk in made.data:
            yield f'    disk "$folder/$node-{disk.name}.qcow2" {disk.gib}G'
        yield "    ;;"
    yield "  *)"
    yield '    echo "there is no node $node" >&2'
    yield "    exit 1"
    yield "    ;;"
    yield "  esac"
    yield f'  install -m 0600 "{PRIVATE}/$node.iso" "$folder/$node-seed.iso"'
    yield '  virsh define --validate "domains/$node.xml"'
    yield '  virsh autostart "$node"'
    yield '  virsh start "$node"'
    yield "done"


_README = """\
libvirt: a domain for each node in domains/, its seed in {private}/, and create.sh, which makes them.

1. Copy this folder to the host, and the disk image to {folder}/{image}
   (create.sh fetches it if the export was made with --image-url).
2. On the host, as root: ./create.sh [NODE…]
3. virsh console NODE

{private}/ has the keys of the cluster. After the first boot the CD is not needed any more:
virsh change-media NODE sda --eject --config
"""
