"""Network boots as machines do them: each way to the kernel, with the rendered examples of dnsmasq.

Real: QEMU's iPXE and OVMF's own network stack, iPXE's snponly.efi, GRUB, dnsmasq, a bridge with taps. The kernel is
Debian's, with a small initramfs: what it was told is what counts here. test_diskless_debian12.py boots the whole.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgbuild.config.cluster import Node
from imgbuild.outputs.pxe import INITRD, KERNEL
from tests.support.machine import dhcpd, netboot
from tests.support.machine.netboot import FOREIGN, SERVER, NetMachine, Network, boot
from tests.support.machine.packages import cache_dir, download, unpack
from tests.support.machine.tinyguest import TinyGuest
from tests.support.nodes import cluster_of, resolved
from tests.unit.outputs.test_pxe import files_of

pytestmark = list(netboot.MARKS)
MAC = "52:54:00:00:00:01"
WAYS = netboot.ways(MAC)
NODE = Node.model_validate({"name": "node1", "role": "worker", "mac": MAC})
SAID = "Kernel command line:"
PLAIN = f"""
port=0
dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,1h
listen-address={FOREIGN}
"""
"""Somebody else's DHCP server: addresses, and nothing of a boot."""


@dataclass
class Rack:
    """A network with a web server that has pxe/."""

    net: Network
    web: Path
    tftp: Path
    folder: Path

    def example(self, name: str) -> str:
        """One of pxe/dhcp, with this test's TFTP folder."""
        text = (self.web / "dhcp" / name).read_text()
        assert "tftp-root=/srv/tftp" in text
        return text.replace("/srv/tftp", str(self.tftp))

    def kernel_line(self, machine: NetMachine) -> str:
        said = boot(self.net, machine, self.folder / "machine", [SAID], 240)
        assert SAID in said, said[-3000:] + (self.folder / "dnsmasq.log").read_text()[-3000:]
        return said.partition(SAID)[2].partition("\n")[0]


@pytest.fixture
def rack(tiny_files: TinyGuest, tmp_path: Path) -> Iterator[Rack]:
    web, tftp = tmp_path / "web", tmp_path / "tftp"
    tftp.mkdir()
    given = resolved("debian12-efi", "baked", ["pxe.live=true", f"pxe.url=http://{SERVER}/"])
    for name, content in files_of(given, cluster_of(NODE)).items():
        place = web / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    shutil.copy(tiny_files.kernel, web / KERNEL)
    shutil.copy(tiny_files.initrd, web / INITRD)
    for name in ("snponly.efi", "undionly.kpxe"):
        shutil.copy(f"/usr/lib/ipxe/{name}", tftp)
        shutil.copy(f"/usr/lib/ipxe/{name}", web)
    with netboot.network(tmp_path) as net:
        net.serve(web)
        yield Rack(net, web, tftp, tmp_path)


def looked_at(line: str) -> None:
    words = line.split()
    assert "boot=live" in words and f"fetch=http://{SERVER}/root.squashfs" in words
    assert "ip=dhcp" in words and "BOOTIF=01-52-54-00-00-00-01" in words
    assert f"ds=nocloud-net;s=http://{SERVER}/pxe-private/mac-52-54-00-00-00-01/" in words


@pytest.mark.parametrize("machine", WAYS.values(), ids=WAYS)
def test_each_way_leads_to_the_nodes_kernel(machine: NetMachine, rack: Rack) -> None:
    rack.net.dnsmasq("dnsmasq", rack.example("dnsmasq.conf"))
    looked_at(rack.kernel_line(machine))
    log = (rack.folder / "dnsmasq.log").read_text() + (rack.folder / "http.log").read_text()
    assert ("snponly.efi" in log) == (machine.way != "rom"), log


@pytest.mark.parametrize("way", ["bios-rom", "efi-tftp-snponly"])
def test_beside_a_dhcp_server_of_somebody_else(way: str, rack: Rack) -> None:
    other = rack.net.dnsmasq("foreign", PLAIN)
    rack.net.dnsmasq("dnsmasq", f"{rack.example('dnsmasq-proxy.conf')}\nlisten-address={SERVER}\n")
    looked_at(rack.kernel_line(WAYS[way]))
    assert "DHCPACK" in other.read_text()
    assert "DHCPACK" not in (rack.folder / "dnsmasq.log").read_text().replace("DHCPACK(br0) 10.77.0.1", "")


@pytest.mark.parametrize("machine", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("example", ["kea-dhcp4.json", "isc-dhcpd.conf"])
def test_kea_and_isc_lead_there_too(example: str, machine: NetMachine, rack: Rack) -> None:
    text = (rack.web / "dhcp" / example).read_text().replace('"persist": true', '"persist": false')
    # The bridge has no link before the machine is on.
    patient = '["br0"], "service-sockets-max-retries": 600, "service-sockets-retry-wait-time": 500'
    log = dhcpd.start(rack.net, example, text.replace('["*"]', patient))
    rack.net.dnsmasq("dnsmasq", f"port=0\nenable-tftp\ntftp-root={rack.tftp}\n")
    looked_at(rack.kernel_line(machine))
    leased = rf"{MAC}.*: lease 10\.77\.0\.\d+ has been allocated|DHCPACK on 10\.77\.0\.\d+ to {MAC}"
    assert re.search(leased, log.read_text())


@pytest.mark.skipif(not Path("/usr/lib/grub/x86_64-efi/tftp.mod").exists(), reason="needs grub-efi-amd64-bin")
def test_grub_by_tftp_reads_the_file_of_its_card(rack: Rack) -> None:
    modules = ["efinet", "tftp", "http", "normal", "configfile", "linux", "echo", "sleep", "test"]
    argv = ["grub-mkimage", "-O", "x86_64-efi", "-p", "(tftp)/grub", "-o", str(rack.tftp / "grubx64.efi"), *modules]
    subprocess.run(argv, check=True)
    for name in ("grub", KERNEL, INITRD):
        (rack.tftp / name).symlink_to(rack.web / name)
    config = rack.example("dnsmasq.conf").replace("tag:!ipxe,snponly.efi", "tag:!ipxe,grubx64.efi")
    rack.net.dnsmasq("dnsmasq", config)
    looked_at(rack.kernel_line(NetMachine("efi", [MAC], "firmware")))


SECURE = Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")


@pytest.mark.skipif(not SECURE[0].exists(), reason="needs ovmf")
def test_secure_boot_by_debians_shim_and_its_grub_for_networks(rack: Rack) -> None:
    """With Microsoft's keys in the firmware, and Debian's signed kernel."""
    for package, path in (
        ("shim-signed", "usr/lib/shim/shimx64.efi.signed"),
        ("grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"),
    ):
        deb = download(package)
        name = path.rpartition("/")[2].removesuffix(".signed").replace("grubnetx64", "grubx64")
        shutil.copy(unpack(deb, cache_dir() / deb.stem) / path, rack.tftp / name)
    for name in ("grub", KERNEL, INITRD):
        (rack.tftp / name).symlink_to(rack.web / name)
    rack.net.dnsmasq("dnsmasq", rack.example("dnsmasq.conf").replace("tag:!ipxe,snponly.efi", "tag:!ipxe,shimx64.efi"))
    machine = NetMachine("efi", [MAC], "firmware", code=SECURE[0], variables=SECURE[1])
    said = boot(rack.net, machine, rack.folder / "machine", [SAID], 240)
    assert SAID in said, said[-3000:] + (rack.folder / "dnsmasq.log").read_text()[-3000:]
    looked_at(said.partition(SAID)[2].partition("\n")[0])
    assert "secureboot: Secure boot enabled" in said or "Secure boot enabled" in said


def test_the_card_that_it_booted_from_is_the_one_it_uses(rack: Rack) -> None:
    """The other card is the first one, and is in the network too."""
    rack.net.dnsmasq("dnsmasq", rack.example("dnsmasq.conf"))
    looked_at(rack.kernel_line(NetMachine("bios", ["52:54:00:00:00:09", MAC], card=1)))


def test_router_advertisements_spare_ipxe_its_wait(rack: Rack) -> None:
    """dnsmasq says them by itself; without, iPXE tries IPv6 for 13 seconds."""
    log = rack.net.dnsmasq("dnsmasq", rack.example("dnsmasq.conf"))
    rack.kernel_line(NetMachine("bios", [MAC]))
    assert "RTR-ADVERT(br0) fd00::" in log.read_text()
