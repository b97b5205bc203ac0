"""network-config through the real converters: `cloud-init devel net-convert` for every renderer of this cloud-init."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from imgbuild.config.cluster import Node
from imgbuild.config.node_network import NodeNetwork
from imgbuild.config.target import load_target
from imgbuild.facts.resolved import Resolved
from imgbuild.render.network import network_config
from tests.support.nodes import BOND, DHCP, STATIC, resolved
from tests.support.profiles import changed

ROUTES = STATIC.model_copy(
    update={
        "network": NodeNetwork.model_validate(
            {
                "interfaces": [
                    {
                        "name": "eth0",
                        "mac": "52:54:00:12:34:56",
                        "addresses": ["192.0.2.10/24", "2001:db8::10/64"],
                        "gateway": "192.0.2.1",
                        "routes": [
                            {"to": "198.51.100.0/24", "via": "192.0.2.7", "metric": 50},
                            {"to": "2001:db8:9::/48", "via": "2001:db8::7"},
                        ],
                    }
                ]
            }
        )
    }
)
OLD, NEW = ("centos7-efi", "baked"), ("debian12-efi", "baked")


def config(which: tuple[str, str], node: Node) -> bytes:
    given = resolved(*which)
    found = network_config(given, node)
    assert found is not None
    return found


def convert(data: bytes, renderer: str, folder: Path) -> dict[str, str]:
    """What that renderer of cloud-init writes, by path."""
    source = folder / "network-config"
    source.write_bytes(data)
    distro = "rhel" if renderer == "sysconfig" else "debian"
    done = subprocess.run(
        ["cloud-init", "devel", "net-convert", "-p", source, "-k", "yaml", "-d", folder / "o", "-D", distro,
         "-O", renderer], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return {str(p.relative_to(folder / "o")): p.read_text() for p in (folder / "o").rglob("*") if p.is_file()}


def test_dhcp_has_none() -> None:
    given = resolved(*NEW)
    assert network_config(given, DHCP) is None


@pytest.mark.parametrize(
    ("which", "wanted"),
    [(("centos7-efi", "stock"), 1), (("centos8-efi", "stock"), 1), (("centos8-bios", "baked"), 1), (NEW, 2)],
)
def test_the_version_is_what_that_cloud_init_knows_best(which: tuple[str, str], wanted: int) -> None:
    assert yaml.safe_load(config(which, STATIC))["version"] == wanted


def _at(given: Resolved, release: str, node: Node) -> dict[str, Any]:
    """network-config for that target with another cloud-init."""
    known = given.target.cloud_init.model_copy(update={"baked": release, "stock": release})
    found = network_config(changed(given, target=given.target.model_copy(update={"cloud_init": known})), node)
    assert found is not None
    made: dict[str, Any] = yaml.safe_load(found)
    return made


def test_enterprise_linux_stays_with_version_1_and_its_routes_with_the_words_of_that_cloud_init() -> None:
    routes = []
    for release in ("19.4", "22.1", "23.4", "26.1"):
        made = _at(resolved("centos8-efi", "baked"), release, ROUTES)
        assert made["version"] == 1
        routes.append(made["config"][0]["subnets"][0]["routes"])
    old = [{"network": "198.51.100.0", "netmask": "255.255.255.0", "gateway": "192.0.2.7", "metric": 50},
           {"network": "2001:db8:9::", "netmask": "48", "gateway": "2001:db8::7"}]  # fmt: skip
    new = [{"destination": "198.51.100.0/24", "gateway": "192.0.2.7", "metric": 50},
           {"destination": "2001:db8:9::/48", "gateway": "2001:db8::7"}]  # fmt: skip
    assert routes == [old, old, new, new]


@pytest.mark.parametrize(("release", "word"), [("22.4.2", "gateway4"), ("25.2", "gateway4"), ("25.3", "routes")])
def test_the_default_route_is_a_route_as_soon_as_it_works(release: str, word: str) -> None:
    eth0 = _at(resolved("debian12-efi", "baked"), release, ROUTES)["ethernets"]["eth0"]
    assert ("gateway4" in eth0) == (word == "gateway4")
    assert ({"to": "default", "via": "192.0.2.1"} in eth0["routes"]) == (word == "routes")
    assert eth0["routes"][-1] == {"to": "2001:db8:9::/48", "via": "2001:db8::7"}


def test_a_bonds_interval_is_text_as_the_schema_of_later_versions_wants_it() -> None:
    assert yaml.safe_load(config(NEW, BOND))["bonds"]["bond0"]["parameters"] == {
        "mode": "802.3ad",
        "mii-monitor-interval": "100",
    }


def test_every_interface_is_found_by_its_mac() -> None:
    old, new = (yaml.safe_load(config(which, BOND)) for which in (OLD, NEW))
    macs = [interface.mac for interface in BOND.network.interfaces] if BOND.network else []
    assert [c["mac_address"] for c in old["config"] if c["type"] == "physical"] == macs
    assert [e["match"]["macaddress"] for e in new["ethernets"].values()] == macs
    assert all(name == e["set-name"] for name, e in new["ethernets"].items())


def _text(data: bytes) -> str:
    return data.decode()


def test_no_words_that_some_version_takes_wrongly() -> None:
    """`to: default` before 25.3, `static6` before 20.1, a top-level network:, YAML anchors."""
    for which in (OLD, NEW):
        for node in (STATIC, BOND):
            text = _text(config(which, node))
            assert "default" not in text
            assert "static6" not in text
            assert not text.startswith("network:")
            assert not any(c in text for c in "&*")


def test_sysconfig_static(tmp_path: Path) -> None:
    made = convert(config(OLD, STATIC), "sysconfig", tmp_path)
    eth0 = dict(
        line.split("=", 1) for line in made["etc/sysconfig/network-scripts/ifcfg-eth0"].splitlines() if "=" in line
    )
    wanted = {"BOOTPROTO": "none", "HWADDR": "52:54:00:12:34:56", "IPADDR": "192.0.2.10", "NETMASK": "255.255.255.0",
              "GATEWAY": "192.0.2.1", "DEFROUTE": "yes", "DNS1": "192.0.2.53", "DNS2": "192.0.2.54",
              "DOMAIN": "lab.example", "IPV6ADDR": "2001:db8::10/64", "MTU": "1400", "ONBOOT": "yes"}  # fmt: skip
    assert {k: eth0.get(k) for k in wanted} == wanted
    route = made["etc/sysconfig/network-scripts/route-eth0"]
    assert "ADDRESS0=198.51.100.0" in route
    assert "NETMASK0=255.255.255.0" in route
    assert "GATEWAY0=192.0.2.7" in route
    assert "METRIC0=50" in route


def test_sysconfig_bond_and_vlan(tmp_path: Path) -> None:
    made = convert(config(OLD, BOND), "sysconfig", tmp_path)
    scripts = {p.rpartition("ifcfg-")[2]: t for p, t in made.items() if "ifcfg-" in p}
    for port in ("eth0", "eth1"):
        assert "MASTER=bond0" in scripts[port]
    assert "BOOTPROTO=dhcp" in scripts["eth2"]
    assert 'BONDING_OPTS="mode=802.3ad miimon=100"' in scripts["bond0"]
    assert "MTU=9000" in scripts["bond0"]
    assert "VLAN=yes" in scripts["bond0.20"]
    assert "PHYSDEV=bond0" in scripts["bond0.20"]
    assert "IPADDR=192.0.2.20" in scripts["bond0.20"]


def test_netplan_keeps_all_of_it(tmp_path: Path) -> None:
    made = yaml.safe_load(convert(config(NEW, STATIC), "netplan", tmp_path)["etc/netplan/50-cloud-init.yaml"])
    assert made["network"] == yaml.safe_load(config(NEW, STATIC))


@pytest.mark.parametrize("renderer", ["eni", "networkd", "network-manager", "sysconfig"])
def test_every_renderer_has_address_gateway_and_names(renderer: str, tmp_path: Path) -> None:
    everything = "\n".join(convert(config(NEW, STATIC), renderer, tmp_path).values())
    for part in ("192.0.2.10", "192.0.2.1\n", "2001:db8::10", "192.0.2.53", "lab.example", "198.51.100.0", "1400"):
        assert part in everything, part
    assert "route add default" not in everything  # net-tools, and a failure that `|| true` hides


@pytest.mark.parametrize("renderer", ["eni", "netplan", "network-manager", "sysconfig"])
def test_bond_and_vlan_in_the_renderers_that_can(renderer: str, tmp_path: Path) -> None:
    everything = "\n".join(convert(config(NEW, BOND), renderer, tmp_path).values())
    assert "802.3ad" in everything
    assert "192.0.2.20" in everything


def test_networkd_alone_makes_no_bond(tmp_path: Path) -> None:
    """cloud-init's own networkd renderer writes no .netdev: such a node needs netplan (or ifupdown)."""
    made = convert(config(NEW, BOND), "networkd", tmp_path)
    assert not [path for path in made if path.endswith(".netdev")]


def test_our_image_and_debians_own_have_netplan() -> None:
    """Without it (or ifupdown) a bond is not made, and nothing says so."""
    assert "netplan.io" in load_target("debian12").packages.image


def test_two_gateways_of_two_families_and_no_gateway() -> None:
    network = {
        "interfaces": [
            {"name": "eth0", "mac": "52:54:00:00:00:01", "addresses": ["2001:db8::1/64"], "gateway": "2001:db8::ff"},
            {"name": "eth1", "mac": "52:54:00:00:00:02", "addresses": ["192.0.2.9/24"]},
        ],
        "dns": ["192.0.2.53"],
    }
    node = Node(name="n", role="worker", network=TypeAdapter(NodeNetwork).validate_python(network))
    new: dict[str, Any] = yaml.safe_load(config(NEW, node))["ethernets"]
    assert new["eth0"]["gateway6"] == "2001:db8::ff"
    assert "nameservers" in new["eth0"]
    assert "gateway4" not in new["eth1"]
    old = {c["name"]: c for c in yaml.safe_load(config(OLD, node))["config"]}
    assert old["eth0"]["subnets"][0]["gateway"] == "2001:db8::ff"
    assert "gateway" not in old["eth1"]["subnets"][0]


DHCP2 = Node.model_validate(
    {
        "name": "two",
        "role": "worker",
        "network": {
            "interfaces": [
                {"name": "eth0", "mac": "52:54:00:00:00:01", "dhcp": True},
                {"name": "eth1", "mac": "52:54:00:00:00:02", "dhcp": True, "default_route": False, "use_dns": False},
            ],
            "dns": ["192.0.2.53"],
        },
    }
)


def test_what_dhcp_sends_is_left_out_where_it_is_not_to_be_used(tmp_path: Path) -> None:
    """Netplan's use-routes and use-dns; without netplan, cloud-init's networkd renderer knows them too."""
    made = yaml.safe_load(config(NEW, DHCP2))["ethernets"]
    assert "dhcp4-overrides" not in made["eth0"]
    assert made["eth1"]["dhcp4-overrides"] == {"use-routes": False, "use-dns": False}
    assert made["eth0"]["nameservers"] == {"addresses": ["192.0.2.53"]}
    everything = convert(config(NEW, DHCP2), "networkd", tmp_path)
    (eth1,) = [text for path, text in everything.items() if "eth1" in path]
    assert "UseRoutes=False" in eth1 and "UseDNS=False" in eth1, eth1


def one(**card: object) -> Node:
    interface = {"name": "eth0", "addresses": ["192.0.2.10/24"], "gateway": "192.0.2.1", **card}
    return Node.model_validate({"name": "n", "role": "worker", "network": {"interfaces": [interface]}})


def test_a_gateway_outside_the_network_is_on_link() -> None:
    node = one(mac="52:54:00:00:00:01", gateway="198.51.100.1", on_link=True)
    eth0 = yaml.safe_load(config(NEW, node))["ethernets"]["eth0"]
    assert eth0["routes"] == [{"to": "0.0.0.0/0", "via": "198.51.100.1", "on-link": True}]
    assert "gateway4" not in eth0
    later = _at(resolved("debian12-efi", "baked"), "25.3", node)["ethernets"]["eth0"]
    assert later["routes"] == [{"to": "default", "via": "198.51.100.1", "on-link": True}]


def test_a_single_card_without_a_mac() -> None:
    node = one()
    assert yaml.safe_load(config(NEW, node))["ethernets"]["eth0"].keys() == {"addresses", "gateway4"}
    # Debian's cloud image has predictable names until it has been restarted with net.ifnames=0.
    stock = yaml.safe_load(config(("debian12-efi", "stock"), node))["ethernets"]["eth0"]
    assert stock["match"] == {"name": "e*"} and "set-name" not in stock
    assert "mac_address" not in yaml.safe_load(config(OLD, node))["config"][0]
    given = node.model_copy(update={"mac": "52:54:00:00:00:09"})
    assert yaml.safe_load(config(OLD, given))["config"][0]["mac_address"] == "52:54:00:00:00:09"
    assert yaml.safe_load(config(NEW, given))["ethernets"]["eth0"]["match"] == {"macaddress": "52:54:00:00:00:09"}


def test_options_of_a_bond_by_netplans_names() -> None:
    network = {
        "interfaces": [{"name": f"eth{n}", "mac": f"52:54:00:00:00:0{n}"} for n in (0, 1)],
        "bonds": [
            {"name": "bond0", "interfaces": ["eth0", "eth1"], "mode": "802.3ad", "lacp_rate": "fast",
             "xmit_hash_policy": "layer3+4", "dhcp": True}
        ],
    }  # fmt: skip
    node = Node.model_validate({"name": "n", "role": "worker", "network": network})
    wanted = {"mode": "802.3ad", "mii-monitor-interval": "100", "lacp-rate": "fast", "transmit-hash-policy": "layer3+4"}
    assert yaml.safe_load(config(NEW, node))["bonds"]["bond0"]["parameters"] == wanted
    network["bonds"] = [{"name": "bond0", "interfaces": ["eth0", "eth1"], "primary": "eth1", "dhcp": True}]
    node = Node.model_validate({"name": "n", "role": "worker", "network": network})
    assert yaml.safe_load(config(NEW, node))["bonds"]["bond0"]["parameters"]["primary"] == "eth1"
