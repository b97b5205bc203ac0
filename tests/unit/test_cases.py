"""Inputs from public bug reports: the first lines of each file in cases/ say what happened and what is right."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.outputs.rendered import Rendered
from imgbuild.pipeline import Request, prepare
from tests.support import travels
from tests.support.checking import dated
from tests.support.places import TESTS

CASES = TESTS / "cases"
# What every one of these files gets: nobody can log in, seeds hold keys, a static network is on PXE's command line.
ALWAYS = {"IB450", "IB801", "IB802"}


def checked(request: Request) -> tuple[Rendered | None, list[Finding]]:
    """The rendered tree, None where the input has errors, and the findings that are this case's own."""
    findings = Findings()
    try:
        rendered = prepare(request, findings).rendered
    except InvalidInput:
        rendered = None
    return rendered, [f for f in findings.items if f.code not in ALWAYS and not dated(f)]


def cluster(name: str, tmp_path: Path) -> tuple[Rendered | None, list[Finding]]:
    """A cluster file on centos8-efi; its secrets are made beside the test."""
    return checked(Request("centos8-efi", cluster=CASES / f"{name}.yaml", secrets=tmp_path / "secrets.yaml"))


def written(rendered: Rendered | None, node: str, path: str) -> str:
    """A file that a node's user-data writes."""
    assert rendered is not None
    data = yaml.safe_load(rendered.groups["nodes"][f"{node}/user-data"].content)
    (content,) = [file["content"] for file in travels.files(data) if file["path"] == path]
    return content if isinstance(content, str) else content.decode()


def join(rendered: Rendered | None, node: str) -> dict[str, Any]:
    """How a node finds its cluster."""
    text = written(rendered, node, "/etc/imgbuild/kubeadm-join.yaml")
    (config,) = [part for part in yaml.safe_load_all(text) if part["kind"] == "JoinConfiguration"]
    found: dict[str, Any] = config["discovery"]["bootstrapToken"]
    return found


@pytest.mark.parametrize("name", ["adv", "two-static-adv"])
def test_every_node_joins_at_the_first_control_planes_own_address(name: str, tmp_path: Path) -> None:
    rendered, found = cluster(name, tmp_path)
    assert found == []
    nodes = ["cp2", "cp3", "w1"] if name == "adv" else ["w1"]
    assert {join(rendered, node)["apiServerEndpoint"] for node in nodes} == {"10.50.0.11:6443"}


def test_modules_and_sysctls_of_an_older_kernel() -> None:
    rendered, found = checked(Request(str(CASES / "mods7.yaml")))
    assert rendered is None
    errors = {f.key: f for f in found if f.severity == "error"}
    assert set(errors) == {
        "kernel.modules[6]",
        'kernel.sysctl."fs.may_detach_mounts"',
        'kernel.sysctl."net.ipv4.tcp_tw_recycle"',
        'kernel.sysctl."net.ipv4.ip_conntrack_max"',
    }
    assert "nf_conntrack" in errors["kernel.modules[6]"].hint
    assert all(f.mark is not None and f.mark.file.endswith("mods7.yaml") for f in errors.values())


def test_nodes_in_two_subnets(tmp_path: Path) -> None:
    rendered, found = cluster("subnets", tmp_path)
    assert rendered is None
    (error,) = [f for f in found if f.severity == "error"]
    assert "cp1 (192.168.110.140)" in error.message and "w1 (192.168.120.21)" in error.message
    assert "tunnel" in error.hint and "directRoutingSkipUnreachable" in error.hint


def test_the_virtual_address_is_on_the_card_of_its_network(tmp_path: Path) -> None:
    rendered, found = cluster("vip-mgmt", tmp_path)
    assert found == []
    for node in ("cp1", "cp2", "cp3"):
        pod = yaml.safe_load(written(rendered, node, "/etc/imgbuild/kube-vip.yaml"))
        environment = {row["name"]: row["value"] for row in pod["spec"]["containers"][0]["env"]}
        assert environment["vip_interface"] == "eth1"


def test_files_of_the_users_own_in_place_of_ours() -> None:
    rendered, found = checked(Request(str(CASES / "override.yaml")))
    assert rendered is not None
    told = {f.key: f for f in found if f.code == "IB458"}
    assert set(told) == {"files[0].path", "files[1].path"}
    assert all(f.severity == "warning" for f in told.values())
    assert "time.allow" in told["files[0].path"].hint
    assert "containerd.runtimes" in told["files[1].path"].hint and "conf.d" in told["files[1].path"].hint
    verify = node_files(rendered)["/etc/imgbuild/verify.conf"].decode()
    assert "containerd-plugins /etc/containerd/config.toml" in verify


def node_files(rendered: Rendered | None) -> dict[str, bytes]:
    """The node's files in baked mode, by path."""
    assert rendered is not None
    start = "imgbuild-node/tree"
    return {p.removeprefix(start): f.content for p, f in rendered.groups["elements"].items() if p.startswith(start)}


def test_a_proxy_cache_of_harbor() -> None:
    rendered, found = checked(Request(str(CASES / "harbor-path.yaml")))
    assert {f.code for f in found} == {"IB518", "IB519", "IB525"} and not [f for f in found if f.severity == "error"]
    files = node_files(rendered)
    for name, project in (("docker.io", "dockerhub"), ("quay.io", "quay")):
        hosts = tomllib.loads(files[f"/etc/containerd/certs.d/{name}/hosts.toml"].decode())["host"]
        url = f"https://harbor.corp.example/v2/{project}"
        assert hosts == {url: {"capabilities": ["pull", "resolve"], "override_path": True}}
        buildkit = tomllib.loads(files["/etc/buildkit/buildkitd.toml"].decode())["registry"]
        assert buildkit[name] == {"mirrors": [f"harbor.corp.example/{project}"]}
    assert tomllib.loads(files["/etc/containerd-stargz-grpc/config.toml"].decode()) == {}


def test_a_registry_over_http() -> None:
    rendered, found = checked(Request(str(CASES / "reg-plain.yaml")))
    assert {f.code for f in found} == {"IB512", "IB518", "IB519"}
    files = node_files(rendered)
    hosts = tomllib.loads(files["/etc/containerd/certs.d/10.7.0.5:5000/hosts.toml"].decode())
    assert hosts == {"server": "http://10.7.0.5:5000", "host": {}}
    assert tomllib.loads(files["/etc/buildkit/buildkitd.toml"].decode()) == {
        "registry": {"10.7.0.5:5000": {"http": True}}
    }


@pytest.mark.parametrize(
    ("name", "code", "keys", "fix"),
    [
        ("proxy-files", "IB493", [0, 1, 2, 3, 4], "write proxy:"),
        ("trust-ca", "IB494", [0], "write trust:"),
        ("etchosts", "IB460", [0], "write hosts:"),
    ],
)
def test_a_site_by_hand_is_told_the_key(name: str, code: str, keys: list[int], fix: str) -> None:
    _, found = checked(Request(str(CASES / f"{name}.yaml")))
    told = [f for f in found if f.code == code and f.key.startswith("files")]
    assert [f.key for f in told] == [f"files[{number}].path" for number in keys]
    assert all(fix in f.hint for f in told)
    assert name != "trust-ca" or "run[0]" in {f.key for f in found if f.code == code}


def test_an_endpoint_by_a_name_that_nobody_can_resolve(tmp_path: Path) -> None:
    rendered, found = cluster("endpointname", tmp_path)
    assert rendered is None
    (error,) = [f for f in found if f.severity == "error" and f.code == "IB495"]
    assert error.key == "endpoint" and "hosts: {k8s.lab.internal: ADDRESS}" in error.hint
    assert not [f for f in found if "any address" in f.hint]


def test_an_unknown_machine_gets_no_keys(tmp_path: Path) -> None:
    rendered, found = cluster("pxe-any", tmp_path)
    assert rendered is not None and found == []
    files = {**rendered.groups["pxe"], **rendered.groups["pxe-private"]}
    assert "boot.json" in files and not [path for path in files if path.startswith("any/")]
    assert [path for path, file in files.items() if b"PRIVATE KEY" in file.content] == []


def test_a_node_name_with_dots_is_host_name_and_node_name(tmp_path: Path) -> None:
    rendered, found = cluster("fqdn", tmp_path)
    assert rendered is not None and found == []
    name = "n1.corp.example"
    seed = yaml.safe_load(rendered.groups["nodes"][f"{name}/user-data"].content)
    assert (seed["hostname"], seed["fqdn"]) == (name, name)
    meta = yaml.safe_load(rendered.groups["nodes"][f"{name}/meta-data"].content)
    assert meta["local-hostname"] == name
    assert f"seed_hostname={name}\n" in written(rendered, name, "/etc/imgbuild/seed.conf")
    init = next(yaml.safe_load_all(written(rendered, name, "/etc/imgbuild/kubeadm-init.yaml")))
    assert init["nodeRegistration"]["name"] == name


def network(rendered: Rendered | None) -> dict[str, Any]:
    """The network-config of the only node."""
    assert rendered is not None
    found: dict[str, Any] = yaml.safe_load(rendered.groups["nodes"]["n1/network-config"].content)
    return found


def test_a_single_card_needs_no_mac(tmp_path: Path) -> None:
    rendered, found = cluster("nomac", tmp_path)
    assert found == []
    assert "mac_address" not in network(rendered)["config"][0]
    assert network(rendered)["config"][0]["name"] == "eth0"


def test_two_cards_with_dhcp(tmp_path: Path) -> None:
    rendered, (found,) = cluster("dhcp2", tmp_path)
    assert rendered is not None
    assert (found.code, found.severity) == ("IB424", "warning")
    assert "default_route: false" in found.hint


def test_name_servers_of_a_node_with_dhcp(tmp_path: Path) -> None:
    """That they arrive is shown with cloud-init's own renderers: tests/integration/cloudinit/test_sysconfig.py."""
    rendered, found = cluster("dhcpdns", tmp_path)
    assert rendered is not None and found == []
    _, words = yaml.safe_load(rendered.groups["nodes"]["n1/user-data"].content)["bootcmd"]
    assert words[-6:] == ["eth0", "DNS1", "10.1.0.2", "eth0", "DOMAIN", "corp.example"]
    assert "seed_dns=(10.1.0.2)\n" in written(rendered, "n1", "/etc/imgbuild/seed.conf")  # imgbuild-verify looks


def test_options_of_a_bond(tmp_path: Path) -> None:
    rendered, found = cluster("bondopts", tmp_path)
    assert found == []
    (bond,) = [part for part in network(rendered)["config"] if part["type"] == "bond"]
    assert bond["params"].items() >= {"bond-lacp-rate": "fast", "bond-xmit-hash-policy": "layer3+4"}.items()


def test_data_on_a_disk_that_is_mounted_too_late() -> None:
    rendered, found = checked(Request(str(CASES / "datadisk.yaml")))
    assert rendered is None
    (error,) = [f for f in found if f.severity == "error"]
    assert (error.code, error.key) == ("IB476", "files[0].path")
    disks = "disks=[{mount: /data, size: 100GB, filesystem: xfs}]"
    rendered, found = checked(Request(str(CASES / "datadisk.yaml"), sets=("files=[]", "run=[]", disks)))
    assert rendered is not None and found == []
    assert "/data size 100000000000 xfs" in written(rendered, "node1", "/etc/imgbuild/disks.conf")


def test_further_names_in_the_certificate_of_the_api_server() -> None:
    rendered, found = checked(Request(str(CASES / "certsans.yaml")))
    assert found == []
    text = written(rendered, "node1", "/etc/imgbuild/kubeadm-init.yaml")
    (config,) = [part for part in yaml.safe_load_all(text) if part["kind"] == "ClusterConfiguration"]
    assert config["apiServer"]["certSANs"] == ["203.0.113.9", "k8s.corp.example"]


def test_a_kubelet_configuration_of_the_users_own() -> None:
    rendered, found = checked(Request(str(CASES / "kubeletconf.yaml")))
    assert rendered is None
    told = {f.key: f for f in found}
    assert set(told) == {"files[0].path", "files[1].path"} and {f.code for f in found} == {"IB466"}
    assert "kubernetes.kubelet" in told["files[0].path"].hint and "patches" in told["files[1].path"].hint


def test_files_that_cloud_init_and_dracut_read() -> None:
    rendered, found = checked(Request(str(CASES / "ccfg.yaml")))
    assert rendered is not None and found == []
    # Before the kernel's package makes the initramfs; and both are in the image.
    assert "/etc/dracut.conf.d/50-xen.conf" in rendered.install.by_path()
    assert {"/etc/cloud/cloud.cfg.d/99-datasource.cfg", "/etc/dracut.conf.d/50-xen.conf"} <= {*rendered.node.by_path()}
    rendered, found = checked(Request(str(CASES / "ccfg.yaml"), mode="stock"))
    assert [(f.code, f.key) for f in found if f.severity == "error"] == [("IB455", "files[0].path")]
    assert "--mode baked" in found[0].hint
