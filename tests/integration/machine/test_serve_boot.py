"""Machines that boot from `imgbuild serve`, each way, up to their kernel: what they were told, and what serve knows.

Real: serve with its dnsmasq, QEMU's iPXE and OVMF's own network stack, GRUB. The kernel is Debian's, with a small
initramfs. test_serve_debian12.py boots the whole.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from imgbuild.cli.main import main
from imgbuild.outputs.pxe import INITRD, KERNEL
from imgbuild.serve.scripts import first_grub
from imgbuild.serve.state import Record, ServeState
from tests.support.machine import netboot
from tests.support.machine.netboot import FOREIGN, SERVER, NetMachine, Network, boot
from tests.support.machine.served import DHCP, URL, Served, serve
from tests.support.machine.tinyguest import TinyGuest

pytestmark = list(netboot.MARKS)
MAC, UNKNOWN = "52:54:00:00:00:01", "52:54:00:00:00:99"
WAYS = netboot.ways(MAC)
CLUSTER = f"name: lab\nnodes:\n  - {{name: node1, role: worker, mac: '{MAC}'}}\n"
PROFILE = ["pxe.live=true", "kubernetes.enabled=false", "cilium.enabled=false", "helm.enabled=false"]
SAID = "Kernel command line:"


@dataclass
class Rack:
    """A network, and an output folder to serve in it."""

    net: Network
    tree: Path
    folder: Path

    def words(self, machine: NetMachine, told: Path) -> list[str]:
        """The command line that the machine's kernel was started with."""
        said = boot(self.net, machine, self.folder / "machine", [SAID], 240)
        assert SAID in said, said[-3000:] + told.read_text()[-3000:]
        return said.partition(SAID)[2].partition("\n")[0].split()


@pytest.fixture
def rack(tiny_files: TinyGuest, tmp_path: Path) -> Iterator[Rack]:
    (tmp_path / "lab.yaml").write_text(CLUSTER)
    words = ["--profile", "debian12-efi", "--cluster", str(tmp_path / "lab.yaml"), "--no-image"]
    words += [word for setting in PROFILE for word in ("--set", setting)]
    done = CliRunner().invoke(main, [*words, "--output", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    tree = tmp_path / "out/debian12-efi"
    shutil.copy(tiny_files.kernel, tree / "pxe" / KERNEL)
    shutil.copy(tiny_files.initrd, tree / "pxe" / INITRD)
    (tree / "pxe/root.squashfs").touch()
    with netboot.network(tmp_path) as net:
        yield Rack(net, tree, tmp_path)


def looked_at(words: Sequence[str], server: Served) -> None:
    """What the kernel was told is for this node, with a token that nobody has used yet."""
    assert {"boot=live", f"fetch={URL}root.squashfs", "ip=dhcp", f"BOOTIF=01-{MAC.replace(':', '-')}"} <= set(words)
    (seed,) = [word for word in words if word.startswith("ds=")]
    assert re.fullmatch(rf"ds=nocloud-net;s={URL}t/[\w-]{{32}}/mac-52-54-00-00-00-01/", seed)
    (report,) = [word for word in words if word.startswith("imgbuild.report=")]
    assert re.fullmatch(rf"imgbuild.report={URL}r/[\w-]{{32}}", report)
    node = server.node("node1")
    assert node["first"] <= node["script"] <= node["kernel"] and node["state"] == "live"
    assert (node["seed_open"], node["seed"], node["takers"], node["error"]) == (True, None, [], "")
    assert seed.split("/")[4] not in server.log.read_text() + server.get("state.json")


@pytest.mark.parametrize("machine", WAYS.values(), ids=WAYS)
def test_each_way_leads_to_the_nodes_kernel(machine: NetMachine, rack: Rack) -> None:
    server = serve(rack.net, rack.tree, *DHCP)
    looked_at(rack.words(machine, server.log), server)


@pytest.mark.parametrize("way", ["bios-rom", "efi-tftp-snponly"])
def test_beside_a_dhcp_server_of_somebody_else(way: str, rack: Rack) -> None:
    other = rack.net.other_host("10.77.0.4")
    other.dnsmasq("foreign", "port=0\ndhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,1h")
    server = serve(rack.net, rack.tree, "--interface", "br0", "--proxy-dhcp")
    looked_at(rack.words(WAYS[way], server.log), server)
    assert server.node("node1")["address"].startswith("10.77.0.5"), "the other server's address"


def test_a_dhcp_server_that_names_the_boot_script(rack: Rack) -> None:
    """serve has no dnsmasq: HTTP only. The address is a fixed one, as that server has it for this card."""
    other = rack.net.dnsmasq(
        "foreign",
        f"port=0\ndhcp-range=10.77.0.50,static,255.255.255.0\ndhcp-host={MAC},10.77.0.51\n"
        f"dhcp-boot={URL}boot.ipxe\nlisten-address={FOREIGN}",
    )
    server = serve(rack.net, rack.tree, "--listen", SERVER)
    looked_at(rack.words(NetMachine("bios", [MAC]), other), server)
    assert server.node("node1")["address"] == "10.77.0.51" and "HTTP only" in server.log.read_text()


@pytest.mark.skipif(not Path("/usr/lib/grub/x86_64-efi/tftp.mod").exists(), reason="needs grub-efi-amd64-bin")
def test_grub_by_tftp_takes_the_rest_from_serve(rack: Rack) -> None:
    tftp = rack.folder / "tftp"
    (tftp / "grub").mkdir(parents=True)
    (tftp / "grub/grub.cfg").write_text(first_grub(f"{SERVER}:8080"))
    modules = ["efinet", "tftp", "http", "normal", "configfile", "linux", "echo", "sleep", "test"]
    argv = ["grub-mkimage", "-O", "x86_64-efi", "-p", "(tftp)/grub", "-o", str(tftp / "grubx64.efi"), *modules]
    subprocess.run(argv, check=True)
    other = rack.net.dnsmasq(
        "foreign",
        f"port=0\ndhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,1h\nlisten-address={FOREIGN}\n"
        f"enable-tftp\ntftp-root={tftp}\ndhcp-boot=grubx64.efi,,{FOREIGN}",
    )
    server = serve(rack.net, rack.tree, "--listen", SERVER)
    words = rack.words(NetMachine("efi", [MAC], "firmware"), other)
    looked_at([word.strip("\"'") for word in words], server)


def test_an_unknown_machine_is_told_so_and_gets_no_keys(rack: Rack) -> None:
    server = serve(rack.net, rack.tree, *DHCP)
    wanted = [f"No node of debian12-efi has the MAC {UNKNOWN}", "gives this machine no keys"]
    said = boot(rack.net, NetMachine("bios", [UNKNOWN]), rack.folder / "machine", wanted, 240)
    assert all(text in said for text in wanted), said[-3000:] + server.log.read_text()
    assert SAID not in said
    state = server.state()
    assert [(one["mac"], one["times"]) for one in state["strangers"]] == [(UNKNOWN, 1)]
    assert server.node("node1")["first"] is None and "gets no keys" in server.log.read_text()


def test_a_machine_waits_for_the_operator_and_then_boots(rack: Rack) -> None:
    server = serve(rack.net, rack.tree, *DHCP, "--confirm")
    waiting: list[str] = []

    def press() -> bool:
        """The operator, once the machine has asked."""
        if not waiting and (address := server.node("node1")["waiting"]):
            waiting.append(address)
            words = ["curl", "-sSf", "-H", f"Authorization: Bearer {server.key}", "-H", "X-Imgbuild: 1"]
            words += ["-H", "Content-Type: application/json", "-d", f'{{"mac": "{MAC}"}}', f"{URL}do/confirm"]
            subprocess.run(rack.net.inside(words), check=True)
        return bool(waiting)

    said = boot(rack.net, NetMachine("bios", [MAC]), rack.folder / "machine", [SAID], 240, press)
    assert SAID in said and "waits for confirmation" in said, said[-3000:] + server.log.read_text()
    looked_at(said.partition(SAID)[2].partition("\n")[0].split(), server)


# Prints what follows it, by the BIOS, and halts.
PRINTING = bytes.fromhex("31c0 8ed8 be157c ac 08c0 7406 b40e cd10 ebf5 f4 ebfd")
FROM_DISK = "this is the disk"


def installed(rack: Rack) -> None:
    """serve knows that this node is installed."""
    (rack.folder / "state").mkdir()
    state = ServeState(rack.folder / "state")
    state.nodes[MAC] = Record(mac=MAC, name="node1", state="installed")
    state.save()


def test_an_installed_machine_starts_its_disk_by_bios(rack: Rack) -> None:
    installed(rack)
    disk = rack.folder / "disk"
    code = PRINTING + FROM_DISK.encode() + b"\0"
    disk.write_bytes(code.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    more = ["-drive", f"if=none,id=d,format=raw,file={disk}", "-device", "virtio-blk-pci,drive=d"]
    server = serve(rack.net, rack.tree, *DHCP)
    said = boot(rack.net, NetMachine("bios", [MAC], more=more), rack.folder / "machine", [FROM_DISK], 240)
    assert FROM_DISK in said and "node1 is installed" in said, said[-3000:] + server.log.read_text()
    node = server.node("node1")
    assert node["disk"] and not node["seed_open"] and node["kernel"] is None


def test_an_installed_machine_chains_to_its_disk_by_efi(rack: Rack) -> None:
    """disk.efi is a GRUB as in a build, which says that it has come so far."""
    installed(rack)
    config = rack.folder / "early.cfg"
    config.write_text(f"echo {FROM_DISK}\nsleep 60\n")
    argv = ["grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-c", str(config), "-o", str(rack.tree / "pxe/disk.efi")]
    subprocess.run([*argv, "echo", "sleep"], check=True)
    server = serve(rack.net, rack.tree, *DHCP)
    said = boot(rack.net, NetMachine("efi", [MAC]), rack.folder / "machine", [FROM_DISK], 240)
    assert FROM_DISK in said and "node1 is installed" in said, said[-3000:] + server.log.read_text()
    assert server.node("node1")["disk"] and not server.node("node1")["seed_open"]
