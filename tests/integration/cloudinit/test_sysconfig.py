"""What reaches a node of Enterprise Linux: cloud-init's own renderers of 19.4 and 21.1, then the seed's bootcmd.

The bootcmd runs on the files that the renderer wrote, with stand-ins for NetworkManager and network-scripts.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgbuild.config.cluster import Node
from imgbuild.facts.resolved import Resolved
from imgbuild.render.network import network_config
from imgbuild.render.userdata import Include, user_data
from tests.support.deadline import HUNG
from tests.support.node.power import Power
from tests.support.nodes import cluster_of, resolved, seed_of
from tests.support.places import TESTS
from tests.support.sysconfig import RELEASES, SCRIPTS, ifcfg, write

MAC = ("52:54:00:00:01:01", "52:54:00:00:01:02")
NM = """#!/bin/sh
echo "nmcli $*" >> "$LOG"
case "$*" in *reapply*) exit "${REAPPLY:-0}" ;; esac
"""
IF = '#!/bin/sh\necho "${0##*/} $*" >> "$LOG"\n'


def case(name: str) -> Node:
    """The node of a file in tests/cases."""
    node: Node = Node.model_validate(yaml.safe_load((TESTS / "cases" / f"{name}.yaml").read_text())["nodes"][0])
    return node


def node(**network: Any) -> Node:
    return Node.model_validate({"name": "n1", "role": "control-plane", "network": network})


@cache
def target_of(target: str) -> Resolved:
    return resolved(f"{target}-efi", "baked")


def commands(target: str, given: Node) -> list[list[str]]:
    """The bootcmd of a node's seed, without what every node has."""
    seed = yaml.safe_load(seed_of(target_of(target), given)["user-data"])
    found: list[list[str]] = seed["bootcmd"][1:]
    return found


class Machine:
    """A root folder with what cloud-init has written, and the programs of its network daemon."""

    def __init__(self, target: str, given: Node, folder: Path, programs: dict[str, str] | None = None) -> None:
        self.root, self.log = folder / "root", folder / "log"
        config = network_config(target_of(target), given)
        assert config is not None
        write(RELEASES[target], config, self.root)
        self.commands = commands(target, given)
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("cat", "grep", "mv", "sh", "sync"):
            (self.bin / name).symlink_to(f"/bin/{name}")
        for name, text in ({"nmcli": NM} if programs is None else programs).items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def boot(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the bootcmd as for a new seed, on the root folder."""
        (words,) = self.commands
        assert words[:3] == ["per_seed", "ifcfg", "sh"]
        words = [word.replace("=/etc/", f"={self.root}/etc/") for word in words[2:]]
        return subprocess.run(
            words, capture_output=True, text=True, check=False, start_new_session=True,
            env={"PATH": str(self.bin), "LOG": str(self.log), **environment},
        )  # fmt: skip

    @property
    def called(self) -> list[str]:
        return self.log.read_text().replace(f"{self.root}/", "/").splitlines() if self.log.exists() else []

    def file(self, name: str) -> dict[str, str]:
        return ifcfg(self.root, name)


TARGETS = pytest.mark.parametrize("target", RELEASES)


@TARGETS
def test_name_servers_of_a_node_with_dhcp_arrive(target: str, tmp_path: Path) -> None:
    machine = Machine(target, case("dhcpdns"), tmp_path)
    before = machine.file("eth0")
    assert before["BOOTPROTO"] == "dhcp" and not {"DNS1", "DOMAIN"} & before.keys(), "cloud-init writes them now"
    done = machine.boot()
    assert done.returncode == 0, done.stderr
    assert machine.file("eth0") == before | {"DNS1": "10.1.0.2", "DOMAIN": "corp.example"}
    assert machine.called == [
        "nmcli --terse general status",
        f"nmcli connection load /{SCRIPTS}/ifcfg-eth0",
        "nmcli device reapply eth0",
    ]


@TARGETS
def test_one_default_route_and_one_dns_of_two_cards_with_dhcp(target: str, tmp_path: Path) -> None:
    cards = [{"name": f"eth{n}", "mac": MAC[n], "dhcp": True} for n in (0, 1)]
    given = node(interfaces=[cards[0], cards[1] | {"default_route": False, "use_dns": False}])
    machine = Machine(target, given, tmp_path)
    first, second = machine.file("eth0"), machine.file("eth1")
    assert machine.boot().returncode == 0
    assert machine.file("eth0") == first
    assert machine.file("eth1") == second | {"DEFROUTE": "no", "PEERDNS": "no"}
    assert machine.called[-1] == "nmcli device reapply eth1"


@TARGETS
def test_own_name_servers_alone(target: str, tmp_path: Path) -> None:
    given = node(
        interfaces=[{"name": "eth0", "mac": MAC[0], "dhcp": True, "use_dns": False}],
        dns=["10.1.0.2", "10.1.0.3", "10.1.0.4"], search=["a.example", "b.example"],
    )  # fmt: skip
    machine = Machine(target, given, tmp_path)
    assert machine.boot().returncode == 0
    wanted = {"PEERDNS": "no", "RESOLV_MODS": "yes", "DNS1": "10.1.0.2", "DNS2": "10.1.0.3", "DNS3": "10.1.0.4",
              "DOMAIN": "a.example b.example"}  # fmt: skip
    assert machine.file("eth0").items() >= wanted.items()


@TARGETS
def test_a_card_with_dhcp_and_an_address_needs_no_addition(target: str, tmp_path: Path) -> None:
    given = node(
        interfaces=[{"name": "eth0", "mac": MAC[0], "dhcp": True, "addresses": ["10.1.0.9/24"]}], dns=["10.1.0.2"]
    )
    machine = Machine(target, given, tmp_path)
    assert machine.commands == []
    assert machine.file("eth0").items() >= {"BOOTPROTO": "dhcp", "IPADDR": "10.1.0.9", "DNS1": "10.1.0.2"}.items()


@TARGETS
def test_a_gateway_outside_the_network(target: str, tmp_path: Path) -> None:
    card = {"name": "eth0", "mac": MAC[0], "addresses": ["10.9.0.2/32"], "gateway": "10.8.0.1", "on_link": True}
    machine = Machine(target, node(interfaces=[card], dns=["10.8.0.1"]), tmp_path)
    assert machine.file("eth0").items() >= {"GATEWAY": "10.8.0.1", "IPADDR": "10.9.0.2", "DEFROUTE": "yes"}.items()
    assert machine.boot().returncode == 0
    # As ifup-routes of initscripts 9.49 reads it, and adds one after the other.
    reads = '. "$0"; echo "$ADDRESS0 $NETMASK0 ${GATEWAY0:-none} $ADDRESS1 $NETMASK1 $GATEWAY1 ${ADDRESS2:-end}"'
    done = subprocess.run(
        ["bash", "-c", reads, machine.root / SCRIPTS / "eth0.route"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "10.8.0.1 255.255.255.255 none 0.0.0.0 0.0.0.0 10.8.0.1 end\n"
    machine.log.unlink()
    assert machine.boot().returncode == 0
    assert machine.called == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_the_kernel_takes_these_two_routes() -> None:
    script = """
        ip tuntap add dev eth0 mode tap && ip address add 10.9.0.2/32 dev eth0 && ip link set eth0 up
        ip route add 10.8.0.1/32 dev eth0 && ip route add 0.0.0.0/0 via 10.8.0.1 dev eth0 && ip route show default
    """
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", script], capture_output=True, text=True, check=False, timeout=HUNG
    )
    assert done.stdout.startswith("default via 10.8.0.1 dev eth0"), done.stderr


@TARGETS
def test_options_of_a_bond(target: str, tmp_path: Path) -> None:
    machine = Machine(target, case("bondopts"), tmp_path)
    options = set(machine.file("bond0")["BONDING_OPTS"].split())
    assert options == {"mode=802.3ad", "miimon=100", "lacp_rate=fast", "xmit_hash_policy=layer3+4"}
    assert machine.commands == []
    given = node(
        interfaces=[{"name": f"eth{n}", "mac": MAC[n]} for n in (0, 1)],
        bonds=[{"name": "bond0", "interfaces": ["eth0", "eth1"], "primary": "eth1", "dhcp": True}],
    )  # fmt: skip
    (tmp_path / "second").mkdir()
    machine = Machine(target, given, tmp_path / "second")
    assert "primary=eth1" in machine.file("bond0")["BONDING_OPTS"].split()


@TARGETS
def test_a_single_card_without_a_mac(target: str, tmp_path: Path) -> None:
    machine = Machine(target, case("nomac"), tmp_path)
    eth0 = machine.file("eth0")
    assert eth0.items() >= {"DEVICE": "eth0", "IPADDR": "10.1.0.11", "GATEWAY": "10.1.0.1", "DNS1": "10.1.0.2"}.items()
    assert "HWADDR" not in eth0
    assert machine.commands == []


def test_network_scripts_where_there_is_no_networkmanager(tmp_path: Path) -> None:
    machine = Machine("centos7", case("dhcpdns"), tmp_path, {"ifup": IF, "ifdown": IF})
    assert machine.boot().returncode == 0
    assert machine.called == ["ifdown eth0", "ifup eth0"]


def test_network_scripts_where_networkmanager_does_not_have_the_card(tmp_path: Path) -> None:
    machine = Machine("centos7", case("dhcpdns"), tmp_path, {"nmcli": NM, "ifup": IF, "ifdown": IF})
    assert machine.boot(REAPPLY="4").returncode == 0
    assert machine.called[-2:] == ["ifdown eth0", "ifup eth0"]


def test_nothing_that_applies_it_is_said(tmp_path: Path) -> None:
    machine = Machine("centos8", case("dhcpdns"), tmp_path, {})
    done = machine.boot()
    assert done.returncode == 0
    assert "imgbuild: the network of eth0 changes at the next boot" in done.stderr


def test_a_power_cut_costs_no_line_of_an_interface(tmp_path: Path) -> None:
    """cloud-init writes the files once for a seed: what is lost there stays lost."""
    machine = Machine("centos8", case("dhcpdns"), tmp_path)
    file = machine.root / SCRIPTS / "ifcfg-eth0"
    text, before = file.read_text(), machine.file("eth0")
    power = Power(machine.root, machine.bin, tmp_path / "power")

    def prepare() -> None:
        file.write_text(text)

    for number in power.cuts(prepare, machine.boot):
        assert machine.file("eth0") == before | {"DNS1": "10.1.0.2", "DOMAIN": "corp.example"}, number


def test_a_network_that_cloud_init_has_not_written_is_an_error(tmp_path: Path) -> None:
    machine = Machine("centos8", case("dhcpdns"), tmp_path)
    (machine.root / SCRIPTS / "ifcfg-eth0").unlink()
    done = machine.boot()
    assert done.returncode == 1
    assert "cloud-init has not written this seed's network" in done.stderr


def test_debian_needs_no_bootcmd() -> None:
    for name in ("dhcpdns", "dhcp2", "bondopts", "nomac"):
        assert commands("debian12", case(name)) == []


def test_the_name_servers_come_before_the_include_that_may_need_them() -> None:
    include = Include("http://files.example/x", "0" * 64)
    seed = user_data(target_of("centos7"), cluster_of(case("dhcpdns")), case("dhcpdns"), [], include)
    assert [words[1] for words in yaml.safe_load(seed)["bootcmd"][1:]] == ["ifcfg", "include"]
