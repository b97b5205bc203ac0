"""What a system cannot do is said, with the node's place, and nothing else is."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from imgbuild.diagnostics.severity import Severity
from imgbuild.export.given import Options
from imgbuild.export.systems import SYSTEMS
from tests.support.exporting import FETCHED, METAL, SHA, Exported, exported

PLAIN = {"name": "n1", "role": "control-plane"}
VIRTUAL = ("libvirt", "kubevirt", "proxmox")
PHYSICAL = ("metal3", "ironic", "tinkerbell", "maas")


def static(**more: object) -> dict[str, object]:
    one = {"name": "eth0", "mac": "52:54:00:00:00:01", "addresses": ["10.0.0.9/24"], "gateway": "10.0.0.1"}
    return {**METAL, "network": {"interfaces": [one | more], "dns": ["10.0.0.1"]}}


def only(made: Exported, code: str) -> str:
    """The one message about exports."""
    (message,) = made.said()
    assert made.said(code) == [message]
    return message


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_machine_of_which_all_is_known_is_exported_without_a_word(system: str, tmp_path: Path) -> None:
    options = Options() if system in ("maas", "libvirt", "proxmox") else FETCHED
    nodes = [METAL if system != "tinkerbell" else static()]
    made = exported(system, tmp_path, nodes, options, layers=["maas"] if system == "maas" else [])
    assert made.said() == [] and made.files


@pytest.mark.parametrize("system", VIRTUAL)
def test_a_virtual_machine_needs_no_mac_no_bmc_and_no_disk(system: str, tmp_path: Path) -> None:
    made = exported(system, tmp_path, [PLAIN], FETCHED)
    assert made.said() == [] and made.files


@pytest.mark.parametrize("system", PHYSICAL)
def test_a_physical_machine_needs_its_mac_and_the_finding_has_its_place(system: str, tmp_path: Path) -> None:
    made = exported(system, tmp_path, [METAL, {**METAL, "name": "m2", "role": "worker", "mac": None}])
    (finding,) = [one for one in made.findings if one.code == "IB884"]
    assert made.files is None and finding.key == "nodes[1].mac" and finding.mark is not None
    assert finding.mark.file.endswith("lab.yaml") and finding.mark.line > 9


@pytest.mark.parametrize("system", ["libvirt", "proxmox"])
def test_the_cloud_image_of_a_stock_node_has_no_name(system: str, tmp_path: Path) -> None:
    made = exported(system, tmp_path, [PLAIN], Options(), mode="stock")
    assert "the distribution's cloud image, whose file is not known" in only(made, "IB880")
    assert exported(system, tmp_path, [PLAIN], replace(FETCHED, namespace="x"), mode="stock").files


@pytest.mark.parametrize("address", ["10.0.0.5", "https://10.0.0.5", "ipmi://me:secret@10.0.0.5", "redfish://h/a b"])
def test_an_address_of_a_bmc_that_no_system_takes(address: str, tmp_path: Path) -> None:
    made = exported("metal3", tmp_path, [{**METAL, "machine": {"bmc": address}}])
    (finding,) = [one for one in made.findings if one.key == "nodes[0].machine.bmc"]
    assert made.files is None and finding.code == "IB113" and "https://" not in finding.hint


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    made = exported("tinkerbell", tmp_path, [PLAIN, {"name": "n2", "role": "worker"}], Options())
    assert {one.code for one in made.findings} >= {"IB880", "IB883", "IB884", "IB885", "IB889"}
    assert len([one for one in made.findings if one.code == "IB884"]) == 2


def test_a_group_becomes_as_many_virtual_machines(tmp_path: Path) -> None:
    group = {"name": "w", "role": "worker", "count": 3}
    more = {"token_ttl": "90d", "endpoint": "api.example.com:6443"}
    made = exported("libvirt", tmp_path, [PLAIN, group], Options(), cluster=more, keys=True)
    assert made.files is not None
    assert sorted(p for p in made.files if p.startswith("domains/")) == [
        "domains/n1.xml", "domains/w-1.xml", "domains/w-2.xml", "domains/w-3.xml",
    ]  # fmt: skip
    assert made["private/w-1.iso"] == made["private/w-3.iso"]
    macs = {made[f"domains/w-{at}.xml"].split(b'<mac address="')[1][:17] for at in (1, 2, 3)}
    assert len(macs) == 3
    named = exported(
        "libvirt", tmp_path, [{**PLAIN, "name": "w-2"}, group], Options(), cluster=more, keys=True
    )  # fmt: skip
    assert only(named, "IB887") == "node w: two machines would be called w-2"


def test_an_image_of_another_form_or_without_a_checksum(tmp_path: Path) -> None:
    url = "https://f.example.com/"
    assert (
        only(exported("metal3", tmp_path, options=Options(f"{url}a.iso", SHA)), "IB882") == "metal3 cannot read a.iso"
    )
    made = exported("ironic", tmp_path, options=Options(url))
    assert only(made, "IB881") == "the checksum of debian12-efi.qcow2 is not known: none is built"
    folder = exported("metal3", tmp_path, options=Options(url, None), mode="stock")
    assert "in stock mode no image is built" in only(folder, "IB880")


@pytest.mark.parametrize(
    ("key", "value"), [("on_link", True), ("default_route", False), ("use_dns", False)]
)  # fmt: skip
def test_metal3_refuses_what_a_config_drive_cannot_say(key: str, value: bool, tmp_path: Path) -> None:
    more = {"dhcp": True, "gateway": None} if key != "on_link" else {"gateway": "10.1.0.1"}
    made = exported("metal3", tmp_path, [static(**{key: value, **more})])
    assert f"cannot express {key} of eth0" in only(made, "IB885")
    assert exported("ironic", tmp_path, [static(**{key: value, **more})]).said() == []


def test_metal3_refuses_names_that_cloud_init_would_change(tmp_path: Path) -> None:
    cards = [{"name": "eth0", "mac": "52:54:00:00:00:01"}, {"name": "eth1", "mac": "52:54:00:00:00:02"}]
    bond = {"name": "bond0", "interfaces": ["eth0", "eth1"]}
    vlan = {"name": "storage", "id": 7, "link": "bond0", "addresses": ["10.0.0.9/24"], "gateway": "10.0.0.1"}
    node = {**METAL, "network": {"interfaces": cards, "bonds": [bond], "vlans": [vlan], "dns": ["10.0.0.1"]}}
    assert only(exported("metal3", tmp_path, [node]), "IB885").endswith("is called bond0.7, not storage")
    uuid = {**METAL, "name": "aa883995-19b3-5e27-98a4-7b30440f9a83"}
    assert "cannot be a UUID" in only(exported("metal3", tmp_path, [uuid]), "IB885")
    deep = {**METAL, "install_disk": "/dev/disk/by-id/x"}
    assert "Metal3 takes a path in /dev or" in only(exported("metal3", tmp_path, [deep]), "IB885")


def test_lacp_between_virtual_cards_is_a_warning(tmp_path: Path) -> None:
    cards = [{"name": "eth0", "mac": "52:54:00:00:00:01"}, {"name": "eth1", "mac": "52:54:00:00:00:02"}]
    bond = {"name": "b", "interfaces": ["eth0", "eth1"], "mode": "802.3ad", "addresses": ["10.0.0.9/24"]}
    node = {**PLAIN, "network": {"interfaces": cards, "bonds": [bond | {"gateway": "10.0.0.1"}], "dns": ["10.0.0.1"]}}
    options = replace(FETCHED, networks=("br0",))
    for system in VIRTUAL:
        made = exported(system, tmp_path, [node], options)
        assert made.files and "needs LACP" in only(made, "IB885")
        (finding,) = [one for one in made.findings if one.code == "IB885"]
        assert finding.severity is Severity.WARNING and finding.key == "nodes[0].network.bonds[0].mode"


def test_kubevirts_pod_network_is_for_one_machine_alone(tmp_path: Path) -> None:
    two = exported("kubevirt", tmp_path, [PLAIN, {"name": "n2", "role": "worker"}], FETCHED)
    assert two.files is None and len(two.said("IB885")) == 2
    assert exported("kubevirt", tmp_path, [static()], FETCHED).said("IB885")
    assert exported("kubevirt", tmp_path, [static()], replace(FETCHED, networks=("a/b",))).files


@pytest.mark.parametrize(("system", "network"), [("libvirt", "a/b"), ("proxmox", "bridge:x"), ("kubevirt", "bridge:x")])
def test_a_network_that_the_system_cannot_have(system: str, network: str, tmp_path: Path) -> None:
    made = exported(system, tmp_path, [PLAIN], replace(FETCHED, networks=(network,)))
    assert only(made, "IB885") == f"{system} has no network called {network}"


def test_fewer_networks_than_cards(tmp_path: Path) -> None:
    cards = [{"name": f"eth{at}", "mac": f"52:54:00:00:00:0{at}", "dhcp": True} for at in range(3)]
    node = {**PLAIN, "network": {"interfaces": cards}}
    made = exported("libvirt", tmp_path, [node], Options(networks=("a", "b")))
    assert made.files is None and "3 cards, and --network names 2" in made.said("IB885")[0]


@pytest.mark.parametrize("system", VIRTUAL)
def test_a_disk_that_no_virtual_machine_has(system: str, tmp_path: Path) -> None:
    sets = ["disks=[{mount: /srv/a, id: nvme-X_1}, {mount: /srv/b, path: /dev/vdc}, {mount: /srv/c, id: virtio-c}]"]
    made = exported(system, tmp_path, [PLAIN], FETCHED, sets=sets)
    assert made.files and "no disk with the name nvme-X_1" in only(made, "IB885")
    small = exported(system, tmp_path, [{**PLAIN, "machine": {"disk_gib": 4}}], FETCHED, sets=["image.size_mib=8192"])
    assert "cannot hold the image of 8192 MiB" in only(small, "IB885")


def test_seeds_over_the_limits(tmp_path: Path) -> None:
    noise = random.Random(1)  # noqa: S311 - nothing compresses it

    def of(size: int, system: str) -> Exported:
        (tmp_path / "noise").write_bytes(noise.randbytes(size))
        sets = [f"files=[{{path: /srv/noise, source: {tmp_path}/noise}}]"]
        return exported(system, tmp_path, [static()], mode="stock", sets=sets)

    assert "the action that writes user-data" in of(200_000, "tinkerbell").said("IB888")[0]
    assert "an argument of MAAS's command line" in of(200_000, "maas").said("IB888")[0]
    assert of(200_000, "ironic").said() == [] and of(200_000, "kubevirt").said("IB888") == []
    assert "Proxmox's snippets" in of(4 << 20, "proxmox").said("IB888")[0]
    assert "a Secret" in of(1 << 20, "kubevirt").said("IB888")[0]


def test_tinkerbell_and_maas_need_an_image_of_imgbuilds(tmp_path: Path) -> None:
    stock = exported("tinkerbell", tmp_path, [static()], mode="stock")
    assert "in which partition" in only(stock, "IB885")
    assert "/curtin/curtin-hooks" in only(exported("maas", tmp_path, options=Options()), "IB885")
    enforcing = exported("tinkerbell", tmp_path, [static()], profile="centos8-efi", sets=["selinux.mode=enforcing"])
    assert enforcing.files and "no SELinux label" in only(enforcing, "IB885")
    same = [{**METAL, "name": "a.x"}, {**METAL, "name": "a.y", "role": "worker", "mac": "52:54:00:00:00:09"}]
    made = exported("maas", tmp_path, same, Options(), layers=["maas"])
    assert only(made, "IB885") == "node a.y: MAAS would know it and a.x by the same name"
