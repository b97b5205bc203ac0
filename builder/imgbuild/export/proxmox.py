"""Proxmox VE: a script of qm commands, and each node's seed as snippets, from which Proxmox makes the CD itself.

Without a network snippet Proxmox writes a network-config from ipconfigN; without those a card gets no address
(qemu-server: PVE/QemuServer/Cloudinit.pm, nocloud_network). ``import-from`` is in Proxmox VE 7.2 and later; unlike
``qm importdisk`` it does not leave a disk whose name has to be found out.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from imgbuild.config.profile.extras import Format
from imgbuild.export.given import PRIVATE, Given, Unit, script, text
from imgbuild.export.image import Source, on_host
from imgbuild.export.objects import too_large
from imgbuild.export.scripts import the_image, which
from imgbuild.export.virtual import data_disks, lacp, named, network_of, size
from imgbuild.outputs.tree import OutFile

FORMS: tuple[Format, ...] = ("qcow2", "qcow2-zstd", "raw", "vmdk")
STORAGE = "local-lvm"
BRIDGE = "vmbr0"
PARTS = {"user": "user-data", "meta": "meta-data", "network": "network-config", "vendor": "vendor-data"}
"""The parts of ``cicustom``, and the files of a seed."""
MAX_SNIPPETS = 3 << 20
"""Bytes of a machine's snippets together (Cloudinit.pm: "sum of snippets too big")."""


def files(given: Given) -> Mapping[str, OutFile]:
    """create.sh, and private/NAME/ with the snippets."""
    image, source = on_host(given, "proxmox", FORMS)
    named(given, "proxmox", r"[A-Za-z0-9._-]+", "a bridge of Proxmox, such as vmbr0")
    units = given.units(groups=True)
    out: dict[str, OutFile] = {
        f"{PRIVATE}/{unit.name}/{part}": OutFile(unit.seed[name], 0o600)
        for unit in units
        for part, name in PARTS.items()
        if name in unit.seed
    }
    for unit in units:
        total = sum(len(unit.seed[name]) for name in PARTS.values() if name in unit.seed)
        if total > MAX_SNIPPETS:
            too_large(given, unit.node, "Proxmox's snippets", total, MAX_SNIPPETS)
    out["create.sh"] = script(_create(given, units, image, source))
    out["README.txt"] = text(_README.format(private=PRIVATE, image=image))
    return out


def _create(given: Given, units: Sequence[Unit], image: str, source: Source | None) -> Iterator[str]:
    yield "# ./create.sh FIRST-ID [NODE...]: make the machines that are named, else all of them. The first node of"
    yield "# the cluster file gets FIRST-ID, the next one more. A machine whose number is taken is left alone."
    yield "set -euo pipefail"
    yield 'cd "$(dirname "$0")"'
    yield "first=${1:?the number of the first machine, such as 101}"
    yield "shift"
    yield f"storage=${{STORAGE:-{shlex.quote(given.options.storage or STORAGE)}}}  # for disks"
    yield "snippets=${SNIPPETS:-local}  # a storage with snippets in its content"
    yield "image=${IMAGE:-$PWD/" + shlex.quote(image) + "}"
    yield from which(units)
    yield from the_image(source)
    yield "# snippet NODE PART: put it into the storage and print its volume"
    yield "snippet() {"
    yield "  local volume path"
    yield f"  volume=$snippets:snippets/{given.cluster.name}-$1-$2.yaml"
    yield '  path=$(pvesm path "$volume")'
    yield f'  install -D -m 0600 "{PRIVATE}/$1/$2" "$path"'
    yield '  echo "$volume"'
    yield "}"
    yield 'for node in "$@"; do'
    yield '  case "$node" in'
    for number, unit in enumerate(units):
        yield f"  {unit.name}) id=$((first + {number})) ;;"
    yield "  *)"
    yield '    echo "there is no node $node" >&2'
    yield "    exit 1"
    yield "    ;;"
    yield "  esac"
    yield '  if qm status "$id" >/dev/null 2>&1; then'
    yield '    echo "$node: the number $id is taken"'
    yield "    continue"
    yield "  fi"
    yield '  case "$node" in'
    for unit in units:
        yield from _machine(given, unit)
    yield "  esac"
    yield '  qm start "$id"'
    yield "done"


def _machine(given: Given, unit: Unit) -> Iterator[str]:
    memory, cpus, disk = size(given, unit)
    lacp(given, unit)
    words = [f"--name {unit.name}", f"--memory {memory}", f"--cores {cpus}", "--cpu host", "--machine q35"]
    words += ["--ostype l26", "--scsihw virtio-scsi-pci", "--serial0 socket", "--rng0 source=/dev/urandom"]
    if given.efi:
        words += ["--bios ovmf", '--efidisk0 "$storage:0,efitype=4m,pre-enrolled-keys=0"']
    else:
        words.append("--bios seabios")
    if "qemu" in unit.profile.guest_agents:
        words.append("--agent enabled=1")
    for number, _ in enumerate(unit.cards):
        bridge = network_of(given, unit, number) or BRIDGE
        words.append(f"--net{number} {shlex.quote(f'virtio={given.mac(unit, number)},bridge={bridge}')}")
    if "network-config" not in unit.seed:
        words.append("--ipconfig0 ip=dhcp")
    yield f"  {unit.name})"
    yield from _command('qm create "$id"', words)
    yield '    qm set "$id" --virtio0 "$storage:0,import-from=$image,discard=on" --boot order=virtio0'
    yield f'    qm disk resize "$id" virtio0 {disk}G'
    for number, one in enumerate(data_disks(given, unit, "proxmox"), 1):
        serial = f",serial={one.serial}" if one.serial else ""
        yield f'    qm set "$id" --virtio{number} "$storage:{one.gib}{serial},discard=on"'
    parts = [part for part, name in PARTS.items() if name in unit.seed]
    for part in parts:
        yield f'    {part}=$(snippet "$node" {part})'
    custom = ",".join(f"{part}=${part}" for part in parts)
    yield f'    qm set "$id" --ide2 "$storage:cloudinit" --citype nocloud --cicustom "{custom}"'
    yield "    ;;"


def _command(start: str, words: Sequence[str]) -> Iterator[str]:
    """One command over several lines, three words a line."""
    rows = [words[at : at + 3] for at in range(0, len(words), 3)]
    yield f"    {start} \\"
    for row in rows[:-1]:
        yield f"      {' '.join(row)} \\"
    yield f"      {' '.join(rows[-1])}"


_README = """\
Proxmox VE 7.2 and later: create.sh makes a machine for each node, with its seed from snippets.

1. Copy this folder and the disk image {image} to a node of the Proxmox cluster (create.sh fetches the image if the
   export was made with --image-url).
2. pvesm set local --content iso,vztmpl,backup,snippets     (a storage that accepts snippets; SNIPPETS names another)
3. As root: ./create.sh 101 [NODE…]

The snippets have the keys of the cluster. They are files of mode 0600, but whoever may use the storage may attach
them to a machine of their own: delete them when the nodes have joined.
"""
