"""Who has an address: dnsmasq's leases and the kernel's neighbour table, as they are written."""

from __future__ import annotations

from pathlib import Path

from imgbuild.serve.who import Neighbours, read_mac

LEASES = """\
1795980392 52:54:00:00:00:01 10.0.0.101 cp1 01:52:54:00:00:00:01
1795980393 52:54:00:00:00:02 10.0.0.102 * ff:00:00:00:01
duid 00:01:00:01:2f:aa
broken line
"""
ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
10.0.0.101       0x1         0x2         52:54:00:00:00:01     *        br0
10.0.0.102       0x1         0x2         52:54:00:00:00:66     *        br0
10.0.0.103       0x1         0x2         52:54:00:00:00:03     *        br0
10.0.0.104       0x1         0x0         00:00:00:00:00:00     *        br0
"""


def test_a_lease_and_the_neighbour_table_must_agree(tmp_path: Path) -> None:
    (tmp_path / "leases").write_text(LEASES)
    (tmp_path / "arp").write_text(ARP)
    who = Neighbours(tmp_path / "leases", tmp_path / "arp")
    assert who.holder("10.0.0.101").mac == "52:54:00:00:00:01"
    assert who.holder("10.0.0.102").mac is None and "leased to 52:54:00:00:00:02" in who.holder("10.0.0.102").problem
    assert who.holder("10.0.0.103").mac == "52:54:00:00:00:03"  # a static address
    assert who.holder("10.0.0.104").mac is None  # not complete
    assert who.holder("10.0.0.1").mac is None


def test_a_new_lease_is_seen(tmp_path: Path) -> None:
    who = Neighbours(tmp_path / "leases", tmp_path / "none")
    assert who.holder("10.0.0.101").mac is None
    (tmp_path / "leases").write_text(LEASES)
    assert who.holder("10.0.0.101").mac == "52:54:00:00:00:01"
    (tmp_path / "leases").write_text(LEASES.replace("10.0.0.101", "10.0.0.77"))
    assert who.holder("10.0.0.101").mac is None and who.holder("10.0.0.77").mac == "52:54:00:00:00:01"


def test_macs() -> None:
    assert read_mac("52-54-00-AA-00-01") == "52:54:00:aa:00:01"
    for text in ("", "52:54:00:00:00", "52:54:00:00:00:0g", "52:54:00:00:00:01:02", "../etc/passwd", "525400000001"):
        assert read_mac(text) is None
