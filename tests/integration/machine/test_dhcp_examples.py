"""pxe/dhcp, read by the servers that the examples are for. test_netboot.py boots machines with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from imgbuild.config.cluster import Node
from tests.support.machine import dhcpd
from tests.support.nodes import BARE, BOND, DHCP, STATIC, cluster_of, resolved
from tests.unit.outputs.test_pxe import OTHER, files_of

CLUSTERS: dict[str, tuple[Node, ...]] = {
    "static": (STATIC, OTHER),
    "a bond": (BOND,),
    "a group": (BARE, DHCP, BARE),
}
URLS = {
    "none": "null",
    "port": "http://192.0.2.1:8080/pxe/",
    "name": "http://pxe.example.com/",
    "six": "http://[fd00::1]/",
}


def examples(url: str, nodes: tuple[Node, ...]) -> dict[str, str]:
    given = resolved("debian12-efi", "baked", ["pxe.live=true", f"pxe.url={url}"])
    files = files_of(given, cluster_of(*nodes))
    return {name.partition("/")[2]: text.decode() for name, text in files.items() if name.startswith("dhcp/")}


@pytest.mark.parametrize("nodes", CLUSTERS.values(), ids=CLUSTERS)
@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_their_servers_take_them(url: str, nodes: tuple[Node, ...], tmp_path: Path) -> None:
    texts = examples(url, nodes)
    assert set(texts) == {"dnsmasq.conf", "dnsmasq-proxy.conf", "kea-dhcp4.json", "isc-dhcpd.conf"}
    for name in ("dnsmasq.conf", "dnsmasq-proxy.conf"):
        config = tmp_path / name
        config.write_text(texts[name])
        subprocess.run(["dnsmasq", "--test", f"--conf-file={config}"], check=True, capture_output=True)
    for name in ("kea-dhcp4.json", "isc-dhcpd.conf"):
        assert dhcpd.refused(name, texts[name], tmp_path) == ""


@pytest.mark.parametrize(("name", "word"), [("kea-dhcp4.json", "pools"), ("isc-dhcpd.conf", "range")])
def test_a_word_that_they_do_not_know_is_refused(name: str, word: str, tmp_path: Path) -> None:
    text = examples("null", (STATIC,))[name]
    assert word in text
    assert dhcpd.refused(name, text.replace(word, f"no-{word}"), tmp_path) != ""
