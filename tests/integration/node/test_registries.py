"""Mirrors: what Debian's containerd (1.6) asks a real registry, and the same mirrors for buildkit and stargz."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgbuild.config.cluster import DEFAULT
from imgbuild.facts.drop_ins import FOLDER, LOGINS
from imgbuild.facts.registries import DOCKER_CONFIG
from imgbuild.render import registries
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.containerd import config
from imgbuild.render.node import node_tree
from tests.support.cri.client import Cri
from tests.support.cri.daemon import containerd
from tests.support.cri.grpc import GrpcError
from tests.support.cri.pause_image import pause_image
from tests.support.profiles import HOST, resolved
from tests.support.registry import Authority, authority, docker_registry, front, push

IMAGE = "library/tool:1"
DOCKER = "https://registry-1.docker.io"


def one(name: str, mirrors: str, server: str = DOCKER) -> list[str]:
    more = f", mirrors: [{mirrors}]" if mirrors else ""
    return [f"containerd.registries={{{name!r}: {{server: {server}{more}}}}}"]


class Node:
    """A containerd that reads what a profile renders below a folder instead of /etc."""

    def __init__(self, folder: Path, cri: Cri, backend: int) -> None:
        self.folder, self.cri, self.backend = folder, cri, backend
        self.pulled: set[str] = set()

    def pull(self, name: str, sets: list[str]) -> str:
        etc = self.folder / "etc"
        shutil.rmtree(etc, ignore_errors=True)
        for path, file in node_tree(resolved("debian12-efi", HOST, sets)).by_path().items():
            if "certs.d" in path or path.startswith(registries.AUTHORITIES):
                there = self.folder / path[1:]
                there.parent.mkdir(parents=True, exist_ok=True)
                there.write_bytes(file.content.replace(b'"/etc/', f'"{etc}/'.encode()))
        for other in self.pulled:  # layers that another name left are not pulled again
            self.cri.remove_image(other)
        self.pulled.add(name)
        return self.cri.pull(name)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    if shutil.which("containerd") is None or shutil.which("docker-registry") is None or os.geteuid() != 0:
        pytest.skip("needs containerd and docker-registry, and root")
    folder = tmp_path_factory.mktemp("reg")
    sets = [f"containerd.root={folder}/root", f"containerd.state={folder}/state", "containerd.snapshotter=native"]
    text = config(resolved("debian12-efi", HOST, sets)).replace(b'"/etc/', f'"{folder}/etc/'.encode())
    with docker_registry(folder / "registry") as backend, containerd(folder, text) as cri:
        push(backend, IMAGE, pause_image(folder / "image.tar", IMAGE))
        yield Node(folder, cri, backend)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.mark.parametrize("form", ["{0}/dockerhub", "{0}/v2/dockerhub/", "{{url: '{0}', path: /v2/dockerhub}}"])
def test_a_proxy_cache_of_harbor(node: Node, form: str) -> None:
    with front(node.backend, project="dockerhub") as harbor:
        node.pull(f"docker.io/{IMAGE}", one("docker.io", form.format(f"http://{harbor.host}")))
    assert all(path.startswith("/v2/dockerhub/library/tool/") for path in harbor.paths())
    assert all("ns=docker.io" in path for _, path, _ in harbor.asked)
    assert harbor.paths()[0] == "/v2/dockerhub/library/tool/manifests/1"
    assert any("/blobs/sha256:" in path for path in harbor.paths())


def test_an_authority_of_ones_own(node: Node, own: Authority) -> None:
    with front(node.backend, project="hub", tls=own) as harbor:
        url = f"https://{harbor.host}"
        with pytest.raises(GrpcError, match="x509"):
            # The registry itself is the mirror once more: nothing leaves this machine.
            node.pull(f"reg.test/{IMAGE}", one("reg.test", f"{url}/hub", f"{url}/hub"))
        assert harbor.asked == []
        node.pull(
            f"reg.test/{IMAGE}", one("reg.test", f"{{url: {url}, path: hub, ca: {json.dumps(own.certificate)}}}", url)
        )
        assert harbor.paths()[0] == "/v2/hub/library/tool/manifests/1"


def test_an_unverified_certificate(node: Node, own: Authority) -> None:
    with front(node.backend, tls=own) as other:
        node.pull(f"docker.io/{IMAGE}", one("docker.io", f"{{url: 'https://{other.host}', skip_verify: true}}"))
    assert other.paths()[0] == "/v2/library/tool/manifests/1"


@pytest.mark.parametrize("path", ["", "/hub"])
def test_a_registry_without_mirrors_is_reached_at_its_server(node: Node, path: str) -> None:
    """containerd 1.6 ignores a hosts.toml without a table of hosts, with the http in it."""
    with front(node.backend, project=path[1:]) as registry:
        node.pull(f"reg.test:5000/{IMAGE}", one("reg.test:5000", "", f"http://{registry.host}{path}"))
    assert registry.paths()[0] == f"/v2{path}/library/tool/manifests/1"


def test_a_mirror_that_only_has_layers_is_not_asked_for_a_tag(node: Node) -> None:
    with front(node.backend) as layers, front(node.backend) as registry:
        mirror = f"{{url: 'http://{layers.host}', capabilities: [pull]}}"
        node.pull(f"reg.test/{IMAGE}", one("reg.test", mirror, f"http://{registry.host}"))
    assert "/v2/library/tool/manifests/1" in registry.paths()
    assert "/v2/library/tool/manifests/1" not in layers.paths() and layers.asked


def test_the_next_mirror_is_asked_if_one_does_not_have_it(node: Node) -> None:
    with front(node.backend, project="other") as first, front(node.backend) as second:
        node.pull(f"docker.io/{IMAGE}", one("docker.io", f"'http://{first.host}', 'http://{second.host}'"))
    assert first.asked and second.asked


def files(*sets: str) -> dict[str, Any]:
    """The configuration of buildkitd and of stargz, read as strictly as they do."""
    tree = node_tree(resolved("debian12-efi", sets=list(sets))).by_path()
    text = {path: file.content.decode() for path, file in tree.items()}
    buildkit = tomllib.loads(text["/etc/buildkit/buildkitd.toml"])
    stargz = tomllib.loads(text["/etc/containerd-stargz-grpc/config.toml"])
    assert set(buildkit) <= {"registry"} and set(stargz) <= {"resolver"}
    for table in buildkit.get("registry", {}).values():  # RegistryConfig in buildkit's util/resolver/config/config.go
        assert set(table) <= {"mirrors", "http", "insecure", "ca"}
    return {
        "buildkit": buildkit.get("registry", {}),
        "stargz": {
            name: host["mirrors"] for name, host in stargz.get("resolver", {}).get("host", {}).items()
        },
        "text": text,
    }  # fmt: skip


def test_buildkit_joins_v2_and_the_path_itself_and_stargz_cannot() -> None:
    mirrors = "'https://h.example/dockerhub', 'https://h.example/v2/hub', 'http://two:5000', 'https://three'"
    found = files(*one("docker.io", mirrors))
    assert found["buildkit"] == {
        "docker.io": {"mirrors": ["h.example/dockerhub", "h.example/hub", "two:5000", "three"]},
        "two:5000": {"http": True},
    }
    assert found["stargz"] == {"docker.io": [{"host": "two:5000", "insecure": True}, {"host": "three"}]}


@pytest.mark.parametrize("name", ["10.7.0.5:5000", "reg.example"])
def test_a_plain_registry_without_mirrors(name: str) -> None:
    found = files(*one(name, "", f"http://{name}"))
    assert found["buildkit"] == {name: {"http": True}}
    assert found["stargz"] == {name: [{"host": name, "insecure": True}]}


def test_a_host_that_is_a_registry_and_a_mirror_has_one_table() -> None:
    both = "{a: {server: 'http://a', mirrors: []}, quay.io: {server: 'https://quay.io', mirrors: ['http://a/quay']}}"
    found = files(f"containerd.registries={both}")
    assert found["buildkit"] == {"a": {"http": True}, "quay.io": {"mirrors": ["a/quay"]}}


def test_a_registry_at_another_address_is_a_mirror_for_those_that_have_no_key_for_it() -> None:
    found = files(*one("reg.example", "", "http://other:5000/x"))
    assert found["buildkit"] == {"reg.example": {"mirrors": ["other:5000/x"]}, "other:5000": {"http": True}}
    assert found["stargz"] == {}


def test_authorities_and_unverified_certificates_for_all_three(own: Authority) -> None:
    ca = own.certificate
    hub = f"{{url: 'https://registry-1.docker.io', ca: {json.dumps(ca)}}}"
    mirrors = f"{{url: 'https://h:8443/hub', ca: {json.dumps(ca)}}}, {{url: 'https://u', skip_verify: true}}"
    found = files(*one("docker.io", mirrors, hub))
    crt = f"{registries.AUTHORITIES}/h_8443.crt"
    assert found["text"][crt] == ca
    upstream = f"{registries.AUTHORITIES}/registry-1.docker.io.crt"
    assert found["buildkit"] == {
        "docker.io": {"mirrors": ["h:8443/hub", "u"], "ca": [upstream]},
        "h:8443": {"ca": [crt]},
        "u": {"insecure": True},
    }
    unit = found["text"]["/etc/systemd/system/stargz-snapshotter.service.d/10-imgbuild.conf"]
    assert f"Environment=SSL_CERT_DIR=/etc/ssl/certs:{registries.AUTHORITIES}\n" in unit
    assert "SSL_CERT_DIR" not in files()["text"]["/etc/systemd/system/stargz-snapshotter.service.d/10-imgbuild.conf"]


def test_buildkit_leaves_out_a_mirror_that_may_not_resolve() -> None:
    found = files(*one("docker.io", "{url: 'https://layers', capabilities: [pull]}"))
    assert found["buildkit"] == {} and found["stargz"] == {"docker.io": [{"host": "layers"}]}


def test_all_other_registries_have_no_server_of_their_own() -> None:
    """A server would catch every registry that has no folder. buildkit and stargz have no name for all others."""
    found = files("containerd.registries={_default: {server: 'https://unused', mirrors: ['https://all']}}")
    hosts = tomllib.loads(found["text"]["/etc/containerd/certs.d/_default/hosts.toml"])
    assert hosts == {"host": {"https://all": {"capabilities": ["pull", "resolve"]}}}
    assert found["buildkit"] == {} and found["stargz"] == {}


def login(host: str, auth: str, path: str = "") -> list[str]:
    """A mirror of reg.test, and the registry itself at the same place, so that nothing leaves this machine."""
    url = f"http://{host}"
    mirror = f"{{url: {url}, path: hub, auth: {auth}}}" if path else ""
    server = url if path else f"{{url: {url}, auth: {auth}}}"
    return one("reg.test", mirror, server)


def seed_of(sets: list[str], *layers: str) -> dict[str, bytes]:
    found = resolved("debian12-efi", list(layers), sets)
    tree = seed_tree(found, DEFAULT, DEFAULT.nodes[0], None)
    return {path: file.content for path, file in tree.by_path().items()}


@pytest.mark.parametrize("bearer", [False, True], ids=["basic", "bearer"])
@pytest.mark.parametrize("path", ["", "hub"])
def test_a_login_at_a_registry(node: Node, tmp_path: Path, bearer: bool, path: str) -> None:
    """The real containerd with the drop-in of the seed; the one without it is refused."""
    with front(node.backend, project=path, login="robot$n:hunter2", bearer=bearer) as registry:
        sets = login(registry.host, "{username: 'robot$n', password: hunter2}", path)
        with pytest.raises(GrpcError, match=r"401|authorization failed|unauthorized"):
            node.pull(f"reg.test/{IMAGE}", sets)
        own_sets = [
            *sets, f"containerd.root={tmp_path}/root", f"containerd.state={tmp_path}/state",
            "containerd.snapshotter=native",
        ]  # fmt: skip
        (tmp_path / "conf.d").mkdir()
        text = seed_of(own_sets, *HOST)[LOGINS].replace(b'"/etc/', f'"{node.folder}/etc/'.encode())
        (tmp_path / "conf.d/logins.toml").write_bytes(text)
        main = config(resolved("debian12-efi", HOST, own_sets)).replace(FOLDER.encode(), f"{tmp_path}/conf.d".encode())
        with containerd(tmp_path, main.replace(b'"/etc/', f'"{node.folder}/etc/'.encode())) as cri:
            cri.pull(f"reg.test/{IMAGE}")
    assert registry.asked[-1][2] is True and any("/blobs/" in found for found in registry.paths())


AUTH = "{server: {url: 'https://reg.test', auth: {username: n, password: hunter2}}, mirrors: []}"


@pytest.mark.parametrize(
    ("release", "plugin"), [("1.7.28", "grpc.v1.cri"), ("2.0.5", "cri.v1.images"), ("2.3.3", "cri.v1.images")]
)
def test_logins_by_version_of_containerd(release: str, plugin: str) -> None:
    """containerd 1.x replaces the section by the drop-in's; 2.x adds it."""
    sets = [f"containerd.registries={{reg.test: {AUTH}}}", f"containerd.nerdctl_full.containerd={release}"]
    found = resolved("debian12-efi", [], sets)
    drop_in = tomllib.loads(seed_of(sets)[LOGINS].decode())
    main = tomllib.loads(config(found).decode())
    section = drop_in["plugins"][f"io.containerd.{plugin}"]
    assert drop_in["version"] == main["version"] and set(drop_in["plugins"]) == {f"io.containerd.{plugin}"}
    assert section["registry"].pop("configs") == {"reg.test": {"auth": {"username": "n", "password": "hunter2"}}}
    if release.startswith("1."):
        assert section == main["plugins"][f"io.containerd.{plugin}"]
    else:
        assert section == {"registry": {}}


def test_logins_are_in_the_seed_alone_and_for_root_alone() -> None:
    hub = "{url: 'https://registry-1.docker.io', auth: {token: hunter3}}"
    sets = [f"containerd.registries={{reg.test: {AUTH}, docker.io: {{server: {hub}, mirrors: []}}}}"]
    found = resolved("debian12-efi", sets=sets)
    assert not [file.path for file in node_tree(found).files if b"hunter" in file.content]
    tree = seed_tree(found, DEFAULT, DEFAULT.nodes[0], None)
    secret = {file.path: oct(file.mode) for file in tree.files if b"hunter" in file.content or b"bjpo" in file.content}
    assert secret == {LOGINS: "0o600", DOCKER_CONFIG: "0o600"}
    auths = json.loads(tree.by_path()[DOCKER_CONFIG].content)["auths"]
    assert auths == {
        "https://index.docker.io/v1/": {"identitytoken": "hunter3"},
        "reg.test": {"auth": "bjpodW50ZXIy"},  # base64 of n:hunter2
    }
    assert not {LOGINS, DOCKER_CONFIG} & seed_of([]).keys()
