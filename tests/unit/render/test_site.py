"""A site's files in the seed: what each program reads, in both modes, and where the login is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from imgbuild.config.cluster import Node
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.endpoint import reach
from imgbuild.facts.no_proxy import no_proxy
from imgbuild.pipeline import Input, Request, prepare
from imgbuild.render.seed_files import CONF
from tests.support import travels
from tests.support.checking import ADMIN
from tests.unit.checks.test_site import pem

LOGIN = "bob:p%40ss"
LAB = """name: lab
endpoint: "[2001:db8::5]:6443"
nodes:
  - {name: cp1, role: control-plane, network: {dns: [10.0.0.2], interfaces: [{name: e0, mac: "52:54:00:00:00:01",
      addresses: [10.0.0.11/24], gateway: 10.0.0.1}]}}
  - {name: w1.corp, role: worker}
"""


def given(
    folder: Path, mode: str = "baked", login: str = f"{LOGIN}@", base: str = "debian12-efi", lab: str = LAB
) -> Input:
    (folder / "url").write_text(f"http://{login}proxy.corp:3128\n")
    (folder / "ca.pem").write_text(pem("One") + pem("Two"))
    (folder / "node.yaml").write_text(
        f"extends: {base}\nproxy: {{http: {{file: url}}, https: {{file: url}}, no_proxy: [.corp, 10.20.0.0/16]}}\n"
        "trust: {certificates: [{file: ca.pem}]}\nhosts: {registry.corp: 10.20.0.5, gone.corp: null}\n"
        "containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['http://10.20.0.7:5000']}}}\n"
    )
    (folder / "lab.yaml").write_text(lab)
    return prepare(Request(str(folder / "node.yaml"), (), [ADMIN], mode, folder / "lab.yaml"), Findings())


def files(ready: Input, node: str = "cp1") -> dict[str, dict[str, str]]:
    data = yaml.safe_load(ready.rendered.groups["nodes"][f"{node}/user-data"].content)
    return {file["path"]: file for file in travels.files(data)}


def test_no_proxy_has_what_programs_ask_for_by_itself(tmp_path: Path) -> None:
    ready = given(tmp_path)
    profile = ready.resolved.profile
    found = no_proxy(profile, ready.cluster, reach(profile, ready.cluster))
    assert found == [
        "localhost", "127.0.0.1", "::1", "127.0.0.0/8", "169.254.169.254", "cp1", "10.0.0.11",
        "2001:db8::5", "10.244.0.0/16", "10.96.0.0/12", ".svc", ".cluster.local", ".corp", "10.20.0.0/16",
        "10.20.0.7",  # a mirror in one of the networks: curl and dnf know no networks
    ]  # fmt: skip


def worker(number: int, name: str = "") -> Node:
    card = {"name": "e0", "mac": f"52:54:00:00:00:{number:02x}"}
    interface = card | {"addresses": [f"10.0.0.{number + 100}/24"], "gateway": "10.0.0.1"}
    part = {"interfaces": [interface], "dns": ["10.0.0.2"]}
    return Node.model_validate({"name": name or f"w{number}", "role": "worker", "network": part})


def test_one_more_worker_changes_nothing_for_the_others(tmp_path: Path) -> None:
    """A changed seed would restart containerd on all nodes."""
    proxies = []
    for count in (1, 40):
        lab = yaml.safe_load(LAB)
        lab["nodes"] += [worker(number).model_dump(exclude_unset=True) for number in range(2, count + 2)]
        ready = given(tmp_path, lab=yaml.safe_dump(lab))
        proxies.append([files(ready, name)["/etc/imgbuild/proxy.env"]["content"] for name in ("cp1", "w2")])
    assert proxies[0] == proxies[1]
    assert ",10.0.0.0/24," in proxies[0][1]


def test_a_node_with_dhcp_adds_its_own_address(tmp_path: Path) -> None:
    ready = given(tmp_path)
    adds = {name: "# Adds this machine" in files(ready, name)[CONF]["content"] for name in ("cp1", "w1.corp")}
    assert adds == {"cp1": False, "w1.corp": True}


def test_a_worker_that_serves_what_nodes_fetch(tmp_path: Path) -> None:
    ready = given(tmp_path)
    profile = ready.resolved.profile
    cluster = ready.cluster.model_copy(update={"nodes": [ready.cluster.nodes[0], worker(6, "registry-1.docker.io")]})
    assert "registry-1.docker.io" in no_proxy(profile, cluster, reach(profile, cluster))


@pytest.mark.parametrize("base", ["debian12-efi", "centos7-efi", "centos8-efi"])
@pytest.mark.parametrize("mode", ["baked", "stock"])
def test_the_login_is_in_one_file_for_root(tmp_path: Path, mode: str, base: str) -> None:
    ready = given(tmp_path, mode, base=base)
    found = files(ready)
    holders = [path for path, file in found.items() if "p%40ss" in file.get("content", "")]
    assert holders == ["/etc/imgbuild/proxy.env"]
    assert found["/etc/imgbuild/proxy.env"]["permissions"] == "0600"
    assert f"https_proxy=http://{LOGIN}@proxy.corp:3128" in found["/etc/imgbuild/proxy.env"]["content"].splitlines()
    for unit in ("containerd", "kubelet"):
        drop_in = found[f"/etc/systemd/system/{unit}.service.d/20-imgbuild-proxy.conf"]
        assert drop_in["content"] == "[Service]\nEnvironmentFile=-/etc/imgbuild/proxy.env\n"
    assert found["/etc/sudoers.d/60-imgbuild-proxy"]["permissions"] == "0440"
    setup = "/etc/systemd/system/imgbuild-setup.service.d/20-imgbuild-proxy.conf"
    assert (setup in found) == (mode == "stock")
    open_to_all = [
        (group, path) for group, made in ready.rendered.groups.items() for path, file in made.items()
        if b"p%40ss" in file.content and file.mode & 0o077
    ]  # fmt: skip
    assert open_to_all == []
    for tree in (ready.rendered.install, ready.rendered.node):
        assert not [file.path for file in tree.files if b"proxy.corp" in file.content or b"BEGIN CERT" in file.content]


def test_commands_of_cloud_init_have_it(tmp_path: Path) -> None:
    ready = given(tmp_path, "stock")
    runcmd = yaml.safe_load(ready.rendered.groups["nodes"]["cp1/user-data"].content)["runcmd"]
    assert runcmd[1] == "set -a; . /etc/imgbuild/proxy.env; set +a" and runcmd[2] == "at=setup"


def test_without_a_login_every_account_may_read_it(tmp_path: Path) -> None:
    assert files(given(tmp_path, login=""))["/etc/imgbuild/proxy.env"]["permissions"] == "0644"


@pytest.mark.parametrize(
    ("base", "folder", "command"),
    [
        ("debian12-efi", "/usr/local/share/ca-certificates", "update-ca-certificates --fresh"),
        ("centos7-efi", "/etc/pki/ca-trust/source/anchors", "update-ca-trust"),
    ],
)
def test_each_certificate_is_a_file_of_the_store(tmp_path: Path, base: str, folder: str, command: str) -> None:
    found = files(given(tmp_path, base=base))
    for number in (1, 2):
        assert found[f"{folder}/imgbuild-{number}.crt"]["content"].count("BEGIN CERTIFICATE") == 1
    conf = found["/etc/imgbuild/seed-files.conf"]["content"]
    assert command in conf and conf.index(command) < conf.index("units=(")


def test_names_are_a_block_for_etc_hosts(tmp_path: Path) -> None:
    lines = files(given(tmp_path))["/etc/imgbuild/hosts"]["content"].splitlines()
    assert lines == ["# imgbuild: hosts", "10.20.0.5 registry.corp", "# imgbuild: end of hosts"]


def test_an_include_is_fetched_through_it(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://proxy.corp:3128\n")
    (tmp_path / "node.yaml").write_text(
        "extends: debian12-efi\nmode: stock\nproxy: {http: {file: url}, https: {file: url}}\n"
        "cloud: {include_url: 'https://files.example/files.tar.gz'}\n"
    )
    ready = prepare(Request(str(tmp_path / "node.yaml"), (), [ADMIN]), Findings())
    small = yaml.safe_load(ready.rendered.groups["cloud"]["node1/user-data.include"].content)
    assert "export https_proxy=http://proxy.corp:3128" in small["bootcmd"][:-1]
