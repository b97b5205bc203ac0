"""A diskless node of Debian 12 on a bond with a VLAN: its live root comes by one card, and then both are up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbuild.config.fields import Firmware
from tests.support.machine import live, netboot
from tests.support.machine.live import MAC, checks_of, probes
from tests.support.machine.netboot import CLIENT, SERVER, NetMachine, boot

pytestmark = [*netboot.MARKS, pytest.mark.image]
OTHER = "52:54:00:00:00:02"
VLAN_SERVER = "10.78.0.1"
"""Nobody's: not every host's kernel has VLANs. That somebody asks for it in the VLAN is enough."""
LISTEN = """
import socket, struct
ears = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
ears.bind(("br0", 0))
ears.setsockopt(263, 8, 1)  # PACKET_AUXDATA: the kernel takes the tag off the frame
while True:
    frame, told, _, _ = ears.recvmsg(2048, 64)
    tags = [struct.unpack("IIIHHHH", data[:20])[5] & 0xFFF for _, _, data in told]
    if frame[12:14] == bytes.fromhex("8100"):
        tags, frame = [struct.unpack("!H", frame[14:16])[0] & 0xFFF], frame[:12] + frame[16:]
    if frame[12:14] == bytes.fromhex("0806"):
        print("VLAN", *tags, "asks for", socket.inet_ntoa(frame[38:42]), flush=True)
"""
CLUSTER = f"""
name: lab
nodes:
  - name: node1
    role: worker
    network:
      interfaces: [{{name: eth0, mac: "{MAC}"}}, {{name: eth1, mac: "{OTHER}"}}]
      bonds:
        - {{name: bond0, interfaces: [eth0, eth1], mode: active-backup, addresses: [{CLIENT}/24], gateway: {SERVER}}}
      vlans: [{{name: bond0.20, id: 20, link: bond0, addresses: [10.78.0.20/24]}}]
      dns: [{SERVER}]
"""
PROBE = f"""
answer() {{ curl -fsS -o /dev/null --max-time 20 "http://$1/" && echo yes || echo no; }}
{{
  echo "PROBE mode $(cat /sys/class/net/bond0/bonding/mode)"
  echo "PROBE cards $(cat /sys/class/net/bond0/bonding/slaves)"
  echo "PROBE addresses $(ip -4 -o addr show scope global | awk '{{ print $2, $4 }}' | tr '\\n' ' ')"
  echo "PROBE vlan $(awk '$2 == "VID:" {{ print $3 }}' /proc/net/vlan/bond0.20)"
  answer {VLAN_SERVER} > /dev/null
  ip link set eth0 down
  echo "PROBE other-card $(answer {SERVER})"
  ip link set eth0 up
  echo "PROBE end -"
}} > /dev/ttyS0
"""


def test_a_bond_and_a_vlan_are_up(live_debian12: Callable[[Firmware], Path], tmp_path: Path) -> None:
    folder = live.copied(live_debian12("efi"), tmp_path / "build")
    pxe = f'{{live: true, url: "http://{SERVER}/"}}'
    tree = live.build(folder, "efi", pxe, PROBE, "--no-image", cluster=CLUSTER)
    web = live.served(tree, tmp_path / "web")
    with netboot.network(tmp_path) as net:
        net.serve(web)
        heard = net.start("heard", [sys.executable, "-c", LISTEN])
        net.dnsmasq("dnsmasq", (web / "dhcp/dnsmasq.conf").read_text().replace("enable-tftp", ""))
        said = boot(net, NetMachine("bios", [MAC, OTHER]), tmp_path / "machine", ["PROBE end", '"checks"'], 1500)
    assert "PROBE end" in said and '"checks"' in said, said[-4000:]
    found = probes(said)
    assert (found["mode"], sorted(found["cards"].split())) == ("active-backup 1", ["eth0", "eth1"])
    assert sorted(found["addresses"].split()) == sorted(["bond0", f"{CLIENT}/24", "bond0.20", "10.78.0.20/24"])
    assert found["vlan"] == "20"
    assert f"VLAN 20 asks for {VLAN_SERVER}\n" in heard.read_text()
    assert found["other-card"] == "yes"
    assert {name: check["found"] for name, check in checks_of(said).items() if check["ok"] is False} == {}
