"""Command lines of network boots, and what pxe/ has with a live root."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgbuild.config.cluster import Node
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.bootline import BootLine, boot_line, filled
from imgbuild.outputs.pxenet import network_arguments
from imgbuild.render.network import network_config
from tests.support.nodes import BARE, BOND, DHCP, STATIC, cluster_of, resolved
from tests.unit.outputs.test_pxe import files_of

LIVE = ["pxe.live=true", "pxe.url=http://192.0.2.1/p"]


def line_of(given: Resolved, node: Node) -> BootLine:
    network = network_arguments(given.target, node, network_config(given, node))
    return boot_line(given, cluster_of(node), node, network)


ROOTS = {
    "debian12-efi": ["boot=live", "fetch={base}root.squashfs"],
    "centos8-efi": ["root=live:{base}root.squashfs", "rd.live.image", "rd.live.overlay.overlayfs=1", "rd.neednet=1"],
    "centos7-bios": ["root=live:{base}root.squashfs", "rd.live.image", "rd.neednet=1"],
}


@pytest.mark.parametrize("profile", ROOTS)
def test_each_target_mounts_its_live_root(profile: str) -> None:
    words = line_of(resolved(profile, "baked", LIVE), DHCP).diskless
    wanted = ROOTS[profile]
    assert [word for word in words if word in wanted] == wanted
    assert "ip=dhcp" in words and "BOOTIF={bootif}" in words and "panic=60" in words
    assert "ds=nocloud-net;s={seeds}mac-52-54-00-12-34-56/" in words
    assert ("rd.live.overlay.overlayfs=1" in words) == (profile == "centos8-efi")
    assert any(word.startswith("systemd.machine_id=") for word in words) == (profile != "centos7-bios")


def test_the_machine_id_is_the_nodes_own() -> None:
    given = resolved("debian12-efi", "baked", LIVE)
    ids = [line_of(given, node).machine_id for node in (DHCP, DHCP, STATIC)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] is not None and len(ids[0]) == 32 and int(ids[0], 16)


def test_a_static_address_takes_the_place_of_dhcp() -> None:
    for profile in ROOTS:
        words = line_of(resolved(profile, "baked", LIVE), STATIC).diskless
        assert "ip=dhcp" not in words and not [word for word in words if word.startswith("BOOTIF")]
        assert sum(word.startswith("ip=192.0.2.10:") for word in words) == 1
        assert sum(word.startswith("network-config=") for word in words) == 1


def test_networkd_asks_by_the_mac_as_the_firmware_did() -> None:
    def given(profile: str, node: Node) -> dict[str, Any] | None:
        words = line_of(resolved(profile, "baked", LIVE), node).diskless
        text = next((word.partition("=")[2] for word in words if word.startswith("network-config=")), None)
        return None if text is None else yaml.safe_load(gzip.decompress(base64.b64decode(text)))

    card = {"match": {"macaddress": "52:54:00:12:34:56"}, "dhcp4": True, "dhcp-identifier": "mac"}
    assert given("debian12-efi", DHCP) == {"version": 2, "ethernets": {"boot": card}}
    assert given("debian12-efi", BARE) is None
    assert given("centos8-efi", DHCP) is None  # NetworkManager asks by the MAC


def test_an_initramfs_without_bonds_uses_the_card_that_it_booted_from() -> None:
    words = line_of(resolved("debian12-efi", "baked", LIVE), BOND).diskless
    assert "ip=dhcp" in words and "BOOTIF={bootif}" in words
    assert any(word.startswith("network-config=") for word in words)
    words = line_of(resolved("centos8-efi", "baked", LIVE), BOND).diskless
    assert "ip=dhcp" not in words and any(word.startswith("bond=bond0:") for word in words)


def test_an_install_runs_no_cloud_init_in_the_live_system() -> None:
    given = resolved("debian12-efi", "baked", [*LIVE, "pxe.boot=install"])
    line = line_of(given, STATIC)
    assert line.boot == "install" and line.chosen == line.install
    assert {"systemd.unit=imgbuild-install.target", "cloud-init=disabled", "imgbuild.base={base}"} <= {*line.install}
    assert "imgbuild.seed={seeds}mac-52-54-00-12-34-56/" in line.install
    assert f"systemd.machine_id={line.machine_id}" in line.install  # one address from DHCP for all attempts
    assert not [word for word in line.install if word.startswith(("ds=", "network-config="))]


def test_placeholders_are_replaced() -> None:
    words = filled(["a={base}x", "s={seeds}y", "BOOTIF={bootif}"], "http://b/", "http://s/", None)
    assert words == ["a=http://b/x", "s=http://s/y"]
    assert filled(["BOOTIF={bootif}"], "", "", "01-aa") == ["BOOTIF=01-aa"]


@pytest.mark.parametrize("url", [None, "http://192.0.2.1/p"])
def test_ipxe_and_grub_get_the_same_line(url: str | None) -> None:
    given = resolved("debian12-efi", "baked", ["pxe.live=true", *([f"pxe.url={url}"] if url else [])])
    files = files_of(given, cluster_of(DHCP))
    script = files["boot.ipxe"].decode()
    assert "fetch=${web}root.squashfs" in script and "BOOTIF=01-${mac:hexhyp}" in script
    menu = files["grub/grub.cfg-01-52-54-00-12-34-56"].decode()
    base = "${web}" if url is None else f"{url}/"
    assert f"fetch={base}root.squashfs" in menu and "BOOTIF=01-52-54-00-12-34-56" in menu
    for mark in ("{base}", "{seeds}", "{bootif}"):
        assert mark not in menu and mark not in script.replace(f"${mark}", "")
    about = json.loads(files["pxe-private/boot.json"])
    (node,) = about["nodes"]
    assert about["live"] is True and node["boot"] == "diskless" and node["folder"] == "mac-52-54-00-12-34-56"
    assert "fetch={base}root.squashfs" in node["diskless"]


def test_pxe_has_no_secret_and_says_what_it_lacks() -> None:
    files = files_of(resolved("debian12-efi", "baked"), cluster_of(DHCP), keys=True)
    public = {name: content for name, content in files.items() if not name.startswith("pxe-private/")}
    assert not [name for name in public if name.endswith(("user-data", "meta-data"))]
    assert b"WHAT IS MISSING: a root file system" in public["README.txt"]
    assert b"THESE FILES HAVE SECRETS" in files["pxe-private/README.txt"]
    live = files_of(resolved("debian12-efi", "baked", LIVE), cluster_of(DHCP))
    assert b"WHAT IS MISSING" not in live["README.txt"] and b"root.squashfs" in live["README.txt"]


@pytest.mark.parametrize("name", ["dnsmasq.conf", "dnsmasq-proxy.conf"])
@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="needs dnsmasq")
def test_dnsmasq_reads_its_examples(name: str, tmp_path: Path) -> None:
    files = files_of(resolved("debian12-efi", "baked", LIVE), cluster_of(DHCP, STATIC.model_copy(update={"name": "x"})))
    (tmp_path / name).write_bytes(files[f"dhcp/{name}"])
    done = subprocess.run(["dnsmasq", "--test", f"--conf-file={tmp_path / name}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert b"192.0.2.1/p/boot.ipxe" in files[f"dhcp/{name}"]


def test_the_examples_name_the_server_and_the_nodes() -> None:
    files = files_of(resolved("debian12-efi", "baked", LIVE), cluster_of(DHCP, BARE))
    kea = json.loads(files["dhcp/kea-dhcp4.json"])["Dhcp4"]
    assert kea["client-classes"][0]["boot-file-name"] == "http://192.0.2.1/p/boot.ipxe"
    assert kea["subnet4"][0]["reservations"] == [{"hw-address": "52:54:00:12:34:56", "hostname": DHCP.name}]
    isc = files["dhcp/isc-dhcpd.conf"].decode()
    assert "subnet 192.0.2.0 netmask" in isc and "next-server 192.0.2.1;" in isc
    assert "enable-ra" in files["dhcp/dnsmasq.conf"].decode()
    other = files_of(resolved("debian12-efi", "baked", [*LIVE, "pxe.server=10.1.2.3"]), cluster_of(DHCP))
    assert "dhcp-range=10.1.2.0,proxy" in other["dhcp/dnsmasq-proxy.conf"].decode()
    none = files_of(resolved("debian12-efi", "baked"), cluster_of(DHCP))
    assert "set pxe.server" in none["dhcp/dnsmasq.conf"].decode()
