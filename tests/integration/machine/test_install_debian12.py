"""Debian 12 from an empty disk to a node that runs from it, without a hand: over the network, and from the ISO.

Real: QEMU, its iPXE, OVMF, `imgbuild serve` with its dnsmasq, the live root, the installer, the installed disk.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbuild.config.fields import Firmware
from imgbuild.outputs.manifest import read_manifest
from tests.support.deadline import HUNG
from tests.support.machine import live, netboot
from tests.support.machine.live import MAC, checks_of, probes
from tests.support.machine.netboot import Disk, NetMachine, boot
from tests.support.machine.served import DHCP, serve

pytestmark = [*netboot.MARKS, pytest.mark.image]
LiveDebian12 = Callable[[Firmware], Path]
MIB, GIB = 1 << 20, 1 << 30
SECONDS = 2400.0  # the live root, the installation, and the start from the disk
RUNS = ["PROBE seconds", '"checks"']
PROBE = """
{
  echo "PROBE root $(findmnt -no SOURCE,FSTYPE /)"
  echo "PROBE serial $(cat /sys/class/block/$(lsblk -no PKNAME "$(findmnt -no SOURCE /)")/serial)"
  echo "PROBE mode $(stat -c %a /var/lib/cloud/seed/nocloud/user-data)"
  echo "PROBE entries $(efibootmgr 2> /dev/null | tr '\\n\\t' '; ')"
  echo "PROBE seconds $(cut -d ' ' -f 1 /proc/uptime)"
} > /dev/ttyS0
"""
INSTALL = "{live: true, boot: install}"
STATIC = f"""
name: lab
nodes:
  - name: node1
    role: worker
    network:
      interfaces: [{{name: eth0, mac: '{MAC}', addresses: [{netboot.CLIENT}/24], gateway: {netboot.SERVER}}}]
      dns: [{netboot.SERVER}]
"""


def cluster(**keys: str) -> str:
    """The cluster file, with these keys for its node."""
    return live.CLUSTER.replace("}\n", "".join(f", {key}: {value}" for key, value in keys.items()) + "}\n")


def disk(path: Path, size: int, label: str | None = None) -> Path:
    """An empty disk, or one with data."""
    with path.open("wb") as out:
        out.truncate(size)
    if label is not None:
        subprocess.run(["mkfs.ext4", "-q", "-L", label, path], check=True)
    return path


@pytest.fixture
def net(tmp_path: Path) -> Iterator[netboot.Network]:
    with netboot.network(tmp_path) as made:
        yield made


def is_the_node(said: str, made: Path, serial: str) -> None:
    """The guest runs from the disk with this serial number, and all of the image's checks pass."""
    assert all(text in said for text in RUNS), said[-4000:]
    found, checks = probes(said), checks_of(said)
    print(found)
    assert found["root"].startswith("/dev/vd") and found["root"].endswith("2 ext4"), found
    assert found["serial"] == serial and found["mode"] == "600"
    listed = set(read_manifest(made)["groups"]["nodes"]["checks"])
    assert {name: check for name, check in checks.items() if check["ok"] is False} == {}
    assert listed <= {name for name, check in checks.items() if check["ok"]}


def no_table(image: Path) -> None:
    with image.open("rb") as file:
        assert file.read(512) == bytes(512)
    assert subprocess.run(["sfdisk", "-d", image], capture_output=True, check=False).returncode != 0


def data_bytes(made: Path) -> int:
    """Bytes that the installer writes before the partition table."""
    rows = [line.split() for line in (made / "pxe/disk.extents").read_text().splitlines()]
    return sum(int(row[2]) for row in rows if row[0] == "extent")


def test_bios_by_network_with_a_power_cut(live_debian12: LiveDebian12, net: netboot.Network, tmp_path: Path) -> None:
    """auto among three disks. The power fails while it is written, at an offset that is printed."""
    folder = live.copied(live_debian12("bios"), tmp_path / "build")
    made = live.build(folder, "bios", INSTALL, PROBE, "--no-image", cluster=cluster())
    log = serve(net, made, *DHCP).log
    target, small = disk(tmp_path / "target.raw", 8 * GIB), disk(tmp_path / "small.raw", GIB)
    other = disk(tmp_path / "other.raw", 5 * GIB, "kept")
    before = subprocess.run(["sha256sum", other], capture_output=True, check=True).stdout
    machine = NetMachine("bios", [MAC], disks=[Disk(target, "TARGET"), Disk(other, "OTHER"), Disk(small, "SMALL")],
                         restarts=True)  # fmt: skip
    seed = int(os.environ.get("IMGBUILD_TEST_SEED") or random.randrange(1 << 32))  # noqa: S311
    offset = random.Random(seed).randrange(MIB, data_bytes(made))  # noqa: S311
    print(f"the power fails after {offset} bytes: IMGBUILD_TEST_SEED={seed}")
    said = boot(net, machine, tmp_path / "cut", ["is installed on"], SECONDS, cut=offset)
    assert "imgbuild: install: write " in said and "read it back" not in said, said[-4000:]
    no_table(target)
    said = boot(net, machine, tmp_path / "machine", RUNS, SECONDS)
    assert "node1 is installed on /dev/vda" in said, said[-4000:] + log.read_text()
    assert "node1 is installed: booting its disk" in said
    is_the_node(said, made, "TARGET")
    assert "node1: installed" in log.read_text()
    assert subprocess.run(["sha256sum", other], capture_output=True, check=True).stdout == before
    assert small.stat().st_blocks == 0


def test_efi_by_network_refused_and_then_erased(
    live_debian12: LiveDebian12, net: netboot.Network, tmp_path: Path
) -> None:
    """A disk named by its serial number, with data: refused, until the cluster file says that it may be erased."""
    folder = live.copied(live_debian12("efi"), tmp_path / "build")
    named = cluster(install_disk="serial:TARGET")
    made = live.build(folder, "efi", INSTALL, PROBE, "--no-image", cluster=named)
    log = serve(net, made, *DHCP).log
    target = disk(tmp_path / "target.raw", 8 * GIB, "old")
    before = subprocess.run(["sha256sum", target], capture_output=True, check=True).stdout
    machine = NetMachine("efi", [MAC], disks=[Disk(target, "TARGET")], restarts=True)
    refused = "/dev/vda is not blank (ext4 labelled old): add imgbuild.wipe to the kernel arguments"
    told = f"node1: failed: {refused.partition(':')[0]}"
    said = boot(net, machine, tmp_path / "refused", [refused], SECONDS, lambda: told in log.read_text())
    assert f"imgbuild: install: error: {refused}" in said, said[-4000:] + log.read_text()
    assert told in log.read_text()
    assert subprocess.run(["sha256sum", target], capture_output=True, check=True).stdout == before
    live.build(folder, "efi", INSTALL, PROBE, "--no-image", cluster=cluster(install_disk="serial:TARGET",
                                                                           install_wipe="true"))  # fmt: skip
    said = boot(net, machine, tmp_path / "machine", RUNS, SECONDS)
    assert "imgbuild: install: /dev/vda is erased (ext4 labelled old)" in said, said[-4000:] + log.read_text()
    assert "node1 is installed: booting its disk" in said
    is_the_node(said, made, "TARGET")
    assert "* imgbuild" in probes(said)["entries"]
    assert "node1: installed" in log.read_text()
    addresses = re.findall(r"seed fetched by (\S+)", log.read_text())
    assert len(addresses) == 2 and len({*addresses}) == 1, "another lease at each attempt"


@pytest.mark.parametrize("firmware", ["efi", "bios"])
def test_from_the_iso_without_a_network(
    firmware: Firmware, live_debian12: LiveDebian12, net: netboot.Network, tmp_path: Path
) -> None:
    """The disk is before the CD: the empty one is passed over, the installed one starts, by firmware alone.

    Nothing answers on the card; the node has a static address.
    """
    folder = live.copied(live_debian12(firmware), tmp_path / "build")
    made = live.build(folder, firmware, INSTALL, PROBE, "--no-image", cluster=STATIC)
    iso, target = tmp_path / "node1.iso", disk(tmp_path / "target.raw", 8 * GIB)
    argv: list[str | Path] = [
        Path(sys.executable).with_name("imgbuild"),
        "iso",
        made,
        "--node",
        "node1",
        "--output",
        iso,
    ]
    subprocess.run(argv, check=True, capture_output=True, timeout=HUNG)
    machine = NetMachine(firmware, [MAC], "firmware", card=None, disks=[Disk(target, "TARGET"), Disk(iso)],
                         restarts=True)  # fmt: skip
    said = boot(net, machine, tmp_path / "machine", RUNS, SECONDS)
    assert "imgbuild: install: node1 is installed on /dev/vda" in said, said[-4000:]
    is_the_node(said, made, "TARGET")
    assert ("* imgbuild" in probes(said)["entries"]) == (firmware == "efi")
