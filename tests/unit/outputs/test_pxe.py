"""pxe/: GRUB's own checker reads the menus, cloud-init's own code reads the command lines."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from imgbuild.checks import pxe as pxe_key
from imgbuild.checks.context import Context
from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.moment import read_moment
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.severity import Severity
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.bootfile import PRIVATE
from imgbuild.outputs.bootline import boot_line
from imgbuild.outputs.lint import pxe
from imgbuild.outputs.pxe import private_files, pxe_files
from imgbuild.outputs.pxenet import boot_arguments, network_arguments
from imgbuild.render.network import network_config
from tests.support.nodes import BARE, BOND, DHCP, PROFILES, STATIC, cluster_of, resolved, seed_of
from tests.support.profiles import changed

OTHER = Node.model_validate({"name": "dhcp2", "role": "worker", "mac": "52:54:00:AA:BB:CC"})


def arguments_of(given: Resolved, cluster: Cluster) -> dict[str, list[str]]:
    return boot_arguments(given.target, cluster, {node.name: network_config(given, node) for node in cluster.nodes})


def files_of(given: Resolved, cluster: Cluster, *, keys: bool = False) -> dict[str, bytes]:
    """pxe/, and pxe-private/ below it, where the boot scripts look for it."""
    seeds = {node.name: seed_of(given, node) for node in cluster.nodes}
    arguments = arguments_of(given, cluster)
    lines = [boot_line(given, cluster, node, arguments[node.name]) for node in cluster.nodes]
    private = private_files(given, cluster, seeds, lines, keys=keys)
    return pxe_files(given, cluster, lines, keys=keys) | {f"{PRIVATE}/{name}": c for name, c in private.items()}


def findings_of(given: Resolved, cluster: Cluster, *, keys: bool = False) -> dict[str, Finding]:
    found = Findings()
    context = Context(given, cluster, None, found, range(len(cluster.nodes)), read_moment())
    pxe_key.check(context)
    pxe.lint(given, cluster, None, found, arguments_of(given, cluster), keys=keys)
    return {f.code: f for f in found.items}


@pytest.mark.parametrize("url", ["null", "http://192.0.2.1:8080/pxe/"])
@pytest.mark.parametrize("profile", PROFILES)
def test_grub_reads_every_menu(profile: str, url: str, tmp_path: Path) -> None:
    given = resolved(profile, "baked", [f"pxe.url={url}"])
    for cluster in (cluster_of(OTHER, STATIC), cluster_of(BARE), cluster_of(BARE, DHCP, BARE)):
        files = [*files_of(given, cluster).items(), *files_of(given, cluster, keys=True).items()]
        for name, content in files:
            if name.startswith("grub/"):
                (tmp_path / "grub.cfg").write_bytes(content)
                subprocess.run(["grub-script-check", tmp_path / "grub.cfg"], check=True)


def test_a_folder_and_a_menu_a_mac() -> None:
    given = resolved("centos7-efi", "baked")
    files = files_of(given, cluster_of(OTHER, STATIC))
    assert {name for name in files if "/" in name} == {
        "grub/grub.cfg", "grub/grub.cfg-01-52-54-00-aa-bb-cc", "grub/grub.cfg-01-52-54-00-12-34-56",
        *(f"dhcp/{name}" for name in ("dnsmasq.conf", "dnsmasq-proxy.conf", "kea-dhcp4.json", "isc-dhcpd.conf")),
        "pxe-private/README.txt", "pxe-private/boot.json",
        *(f"pxe-private/mac-{mac}/{name}" for mac in ("52-54-00-aa-bb-cc", "52-54-00-12-34-56")
          for name in ("user-data", "meta-data", "vendor-data")),
    }  # fmt: skip
    seed = seed_of(given, STATIC)
    assert files["pxe-private/mac-52-54-00-12-34-56/meta-data"] == seed["meta-data"]
    assert files["pxe-private/mac-52-54-00-12-34-56/user-data"] == seed["user-data"]
    assert files == files_of(given, cluster_of(OTHER, STATIC))


def grub_arguments(text: str) -> list[str]:
    """The kernel's arguments as GRUB splits them (its quotes are the shell's for what we write)."""
    (line,) = re.findall(r"^ *linux(?:efi|16)? (.*)$", text, re.MULTILINE)
    assert re.search(r"""(['"])ds=nocloud-net;[^'"]*\1""", line), "GRUB ends a command at a bare semicolon"
    return shlex.split(line)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_seed_argument_is_one_that_every_cloud_init_reads(profile: str) -> None:
    given = resolved(profile, "baked", ["pxe.url=http://192.0.2.1/p"])
    files = files_of(given, cluster_of(DHCP))
    words = grub_arguments(files["grub/grub.cfg-01-52-54-00-12-34-56"].decode())
    assert words[0] == "($root)/vmlinuz"
    assert words[-1] == "ds=nocloud-net;s=http://192.0.2.1/p/pxe-private/mac-52-54-00-12-34-56/"
    script = files["boot.ipxe"].decode()
    assert "set base http://192.0.2.1/p/\n" in script
    assert " ds=nocloud-net;s=${seeds}mac-52-54-00-12-34-56/\n" in script


@pytest.mark.parametrize(("release", "name"), [("23.4", "nocloud-net"), ("24.1", "nocloud"), ("26.2", "nocloud")])
def test_the_seed_has_its_new_name_where_the_old_one_is_a_warning(release: str, name: str) -> None:
    given = resolved("debian12-efi", "baked", ["pxe.url=http://192.0.2.1/p"])
    known = given.target.cloud_init.model_copy(update={"baked": release})
    later = changed(given, target=given.target.model_copy(update={"cloud_init": known}))
    files = files_of(later, cluster_of(DHCP))
    assert f" ds={name};s=${{seeds}}mac-52-54-00-12-34-56/\n" in files["boot.ipxe"].decode()
    said = f"'ds={name};s=http://192.0.2.1/p/pxe-private/mac-52-54-00-12-34-56/'"
    assert said in files["grub/grub.cfg-01-52-54-00-12-34-56"].decode()


def test_the_commands_are_those_of_the_targets_grub() -> None:
    for profile, word in (("centos7-bios", "linux16"), ("centos7-efi", "linuxefi"), ("debian12-efi", "linux")):
        text = files_of(resolved(profile, "baked"), cluster_of(DHCP))["grub/grub.cfg"].decode()
        assert re.search(rf"^  {word} \(\$root\)/vmlinuz ", text, re.MULTILINE)


def test_without_a_url_the_server_is_asked_for_its_own_address() -> None:
    files = files_of(resolved("debian12-efi", "baked"), cluster_of(DHCP))
    assert '"ds=nocloud-net;s=${web}pxe-private/mac-52-54-00-12-34-56/"' in files["grub/grub.cfg"].decode()
    assert "set web ${cwduri}" in files["boot.ipxe"].decode()


def test_ipxe_jumps_to_labels_that_are_there_and_only_once() -> None:
    for cluster in (cluster_of(OTHER, STATIC), cluster_of(BARE), cluster_of(BOND)):
        for url in ("null", "http://192.0.2.1/"):
            script = files_of(resolved("centos8-efi", "baked", [f"pxe.url={url}"]), cluster)["boot.ipxe"].decode()
            assert script.startswith("#!ipxe\n")
            labels = re.findall(r"^:(\S+)$", script, re.MULTILINE)
            assert len(labels) == len(set(labels))
            assert set(re.findall(r"goto (\S+)", script)) == set(labels)
            assert script.isascii()


def test_the_network_travels_on_the_command_line_as_cloud_init_reads_it() -> None:
    """cloud-init's own reader of network-config= on what GRUB hands to the kernel."""
    for profile in ("centos7-efi", "centos8-bios", "debian12-efi"):
        for node in (STATIC, BOND):
            given = resolved(profile, "baked", ["pxe.url=http://192.0.2.1/"])
            mac = node.boot_mac or ""
            menu = files_of(given, cluster_of(node))[f"grub/grub.cfg-01-{mac.replace(':', '-')}"].decode()
            line = " ".join(grub_arguments(menu))
            assert len(line) < 2048
            code = (
                "import json, sys; from cloudinit.net.cmdline import read_kernel_cmdline_config as r; "
                "print(json.dumps(r(sys.argv[1])))"
            )
            done = subprocess.run(["/usr/bin/python3", "-c", code, line], check=True, capture_output=True, text=True)
            config = network_config(given, node)
            assert config is not None
            assert json.loads(done.stdout) == yaml.safe_load(config)
            code = "from cloudinit.sources.DataSourceNoCloud import parse_cmdline_data as p; import sys, json\n"
            code += "f = {}; p('ds=nocloud', f, sys.argv[1]); g = {}; p('ds=nocloud-net', g, sys.argv[1])\n"
            code += "print(json.dumps([f, g]))"
            done = subprocess.run(["/usr/bin/python3", "-c", code, line], check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            assert {"seedfrom": f"http://192.0.2.1/pxe-private/mac-{mac.replace(':', '-')}/"} in found


def ip_arguments(profile: str, node: Node) -> list[str]:
    given = resolved(profile, "baked")
    return [
        a
        for a in network_arguments(given.target, node, network_config(given, node))
        if not a.startswith("network-config=")
    ]


def carrying(**network: object) -> Node:
    card = {"name": "eth0", "mac": "52:54:00:12:34:56"}
    whole = {"interfaces": [card, {"name": "eth1", "mac": "52:54:00:12:34:57"}], "dns": ["192.0.2.53"], **network}
    return Node.model_validate({"name": "n1", "role": "worker", "network": whole})


def test_the_initramfs_gets_the_options_of_a_bond() -> None:
    bond = {"name": "bond0", "interfaces": ["eth0", "eth1"], "addresses": ["192.0.2.20/24"], "gateway": "192.0.2.1"}
    lacp = {"mode": "802.3ad", "lacp_rate": "fast", "xmit_hash_policy": "layer3+4"}
    words = ip_arguments("centos7-efi", carrying(bonds=[bond | lacp]))
    assert words[0] == "bond=bond0:eth0,eth1:mode=802.3ad,miimon=100,lacp_rate=fast,xmit_hash_policy=layer3+4"
    words = ip_arguments("centos8-efi", carrying(bonds=[bond | {"primary": "eth1"}]))
    assert words[0] == "bond=bond0:eth0,eth1:mode=active-backup,miimon=100,primary=eth1"


@pytest.mark.parametrize("profile", ["centos7-efi", "debian12-efi"])
def test_the_initramfs_does_not_reach_a_gateway_outside_its_network(profile: str) -> None:
    card = {"name": "eth0", "mac": "52:54:00:12:34:56", "addresses": ["192.0.2.20/32"], "gateway": "198.51.100.1"}
    node = carrying(interfaces=[card | {"on_link": True}])
    assert ip_arguments(profile, node) == []
    assert "outside the network" in findings_of(resolved(profile, "baked"), cluster_of(node))["IB803"].message


def test_a_live_root_comes_by_dhcp_where_the_initramfs_makes_no_bond() -> None:
    given = resolved("debian12-efi", "baked", ["pxe.live=true"])
    found = findings_of(given, cluster_of(BOND))["IB803"]
    assert "the live root comes by DHCP, on the card that it boots from" in found.message
    assert "IB803" not in findings_of(resolved("centos8-efi", "baked", ["pxe.live=true"]), cluster_of(BOND))


def test_a_node_with_dhcp_needs_nothing_in_the_initramfs() -> None:
    node = carrying(interfaces=[{"name": "eth0", "mac": "52:54:00:12:34:56", "dhcp": True}])
    assert ip_arguments("centos8-efi", node) == []
    assert "IB803" not in findings_of(resolved("centos8-efi", "baked"), cluster_of(node))


def test_what_the_initramfs_is_told() -> None:
    ip = "ip=192.0.2.10::192.0.2.1:255.255.255.0:static1:eth0:none"
    assert ip_arguments("centos7-efi", STATIC) == [ip, "nameserver=192.0.2.53", "nameserver=192.0.2.54"]
    assert ip_arguments("debian12-efi", STATIC) == [f"{ip}:192.0.2.53:192.0.2.54"]
    assert ip_arguments("centos8-efi", BOND) == [
        "bond=bond0:eth0,eth1:mode=802.3ad,miimon=100",
        "vlan=bond0.20:bond0",
        "ip=192.0.2.20::192.0.2.1:255.255.255.0:bond1:bond0.20:none",
        "nameserver=192.0.2.53",
    ]
    assert ip_arguments("debian12-efi", BOND) == []
    assert ip_arguments("centos7-efi", DHCP) == []


def test_an_interface_with_a_name_of_its_own_is_named_by_its_mac() -> None:
    network = {"interfaces": [{"name": "lan0", "mac": "52:54:00:12:34:56", "addresses": ["192.0.2.10/24"]}]}
    node = Node.model_validate({"name": "n", "role": "worker", "network": network})
    assert ip_arguments("centos8-efi", node)[0] == "ifname=lan0:52:54:00:12:34:56"


def test_findings() -> None:
    given = resolved("debian12-efi", "baked")
    assert findings_of(given, cluster_of(DHCP, OTHER)) == {}
    assert findings_of(given, cluster_of(BARE)) == {}
    found = findings_of(given, cluster_of(STATIC, BOND, BARE, BARE))
    assert set(found) == {"IB801", "IB802", "IB803"}
    assert found["IB801"].severity is Severity.WARNING
    assert found["IB802"].severity is Severity.INFO
    assert found["IB802"].message.startswith("nodes static1, bond1: ")
    many = [STATIC.model_copy(update={"name": f"n{n}"}) for n in range(1000)]
    assert findings_of(given, cluster_of(*many))["IB802"].message.startswith("nodes n0, n1, n2 and 997 more: ")
    bare = [BARE.model_copy(update={"name": f"n{n}"}) for n in range(1000)]
    assert "nodes n0, n1, n2 and 997 more: " in findings_of(given, cluster_of(*bare))["IB801"].message
    assert "bond" in found["IB803"].message
    assert set(findings_of(resolved("centos7-efi", "baked"), cluster_of(BOND))) == {"IB802"}
    local = resolved("debian12-efi", "baked", ["pxe.url=file:///srv/pxe/"])
    assert findings_of(local, cluster_of(DHCP))["IB805"].severity is Severity.ERROR


def test_a_command_line_that_the_kernel_would_cut_is_said() -> None:
    routes = [{"to": f"203.0.{n}.0/24", "via": f"192.0.2.{n}"} for n in range(1, 250)]
    interface = {"name": "eth0", "mac": "52:54:00:12:34:56", "addresses": ["192.0.2.10/24"], "routes": routes}
    node = Node.model_validate({"name": "n", "role": "worker", "network": {"interfaces": [interface]}})
    assert "IB804" in findings_of(resolved("centos7-efi", "baked"), cluster_of(node))


def test_one_node_without_a_mac_takes_every_unknown_card() -> None:
    files = files_of(resolved("debian12-efi", "baked"), cluster_of(BARE))
    assert {f"pxe-private/any/{name}" for name in ("user-data", "meta-data", "vendor-data")} <= set(files)
    assert "set node any" in files["boot.ipxe"].decode()
    assert "any/ " in files["pxe-private/README.txt"].decode()
    both = files_of(resolved("debian12-efi", "baked"), cluster_of(BARE, BARE))
    assert not [name for name in both if "any/" in name]


def default_entry(menu: str) -> str:
    """The body of the entry that GRUB takes when nobody chooses: by its title or its --id, as `default` does."""
    (default,) = re.findall(r"^set default='([^']+)'$", menu, re.MULTILINE)
    entries = re.findall(r"^menuentry '([^']+)'(?: --id (\S+))? \{\n(.*?)^\}", menu, re.MULTILINE | re.DOTALL)
    found: list[str] = [body for title, name, body in entries if default in (title, name)]
    assert found, f"GRUB would take the first entry: there is none called {default}"
    return found[0]


@pytest.mark.parametrize(
    "nodes", [(BARE,), (BARE, OTHER), (OTHER, STATIC), (OTHER,), (BARE, BARE)], ids=["1", "2", "3", "4", "5"]
)
def test_a_machine_that_nobody_listed_gets_no_keys(nodes: tuple[Node, ...]) -> None:
    """Neither over iPXE nor, ten seconds later, as the first node of GRUB's menu."""
    given = resolved("debian12-efi", "baked")
    files = files_of(given, cluster_of(*nodes), keys=True)
    assert not [name for name in files if "any/" in name]
    script, menu = files["boot.ipxe"].decode(), files["grub/grub.cfg"].decode()
    assert "set node any" not in script
    before, _, after = script.partition("\necho No node of ")
    assert after.partition("\n\n")[0].endswith("\nexit 1")  # what is not listed before ends here
    assert not [line for line in before.splitlines() if line.startswith("goto ")]
    body = default_entry(menu)
    assert "linux" not in body and body.rstrip().endswith("exit")
    for name, content in files.items():
        if name.startswith("grub/grub.cfg-"):
            assert "linux" in default_entry(content.decode())  # a listed card boots its own node
    found = findings_of(given, cluster_of(*nodes), keys=True)
    assert ("IB801" in found) == (BARE in nodes)
    if nodes == (BARE, OTHER):
        assert "node bare1: no PXE files: it has no MAC" in found["IB801"].message and "mac:" in found["IB801"].hint


def test_grubs_menu_knows_the_card_by_itself() -> None:
    """For a GRUB that reads no file of its card; the names are those of its entries."""
    menu = files_of(resolved("debian12-efi", "baked"), cluster_of(OTHER, STATIC), keys=True)["grub/grub.cfg"].decode()
    chosen = re.findall(r"""= "([0-9a-f:]{17})" \]; then\n  set default='([^']+)'""", menu)
    assert chosen == [("52:54:00:aa:bb:cc", "dhcp2"), ("52:54:00:12:34:56", "static1")]
    assert all(f"menuentry '{name}' {{" in menu for _, name in chosen)


def test_grubs_menu_boots_the_one_node_without_a_mac_where_there_are_no_keys() -> None:
    menu = files_of(resolved("debian12-efi", "baked"), cluster_of(OTHER, BARE))["grub/grub.cfg"].decode()
    assert "any/" in default_entry(menu)
