"""Which images a profile pulls and from where: the tables against kubeadm's and helm's own words, mirrors, the command.

recorded/cilium-chart-images.json is what helm 3.17.3 rendered from the real charts with these values (a trailing @: by
digest). By hand the same comparison was made on all 99 charts from 1.14.0 to 1.20.0 with five sets of values each.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbuild.cli.images import listed, notes
from imgbuild.config.cluster import DEFAULT
from imgbuild.facts.images import addresses, cilium_images, images, known_until, mirrored
from tests.support.checking import codes, findings
from tests.support.cri.pause_image import pause_image
from tests.support.deadline import HUNG
from tests.support.events import of_kind
from tests.support.places import TESTS
from tests.support.profiles import resolved
from tests.support.registry import authority, front

RECORDED = json.loads((TESTS / "recorded/cilium-chart-images.json").read_text())
VIP = """
name: lab
vip: {address: 10.1.0.100}
nodes:
  - name: cp1
    role: control-plane
    network: {interfaces: [{name: eth0, mac: "52:54:00:00:01:10", addresses: [10.1.0.11/24], gateway: 10.1.0.1}], dns: [10.1.0.1]}
"""  # noqa: E501


def names(profile: str, *sets: str, layers: tuple[str, ...] = ()) -> list[str]:
    """The names of all images of a shipped profile."""
    found = resolved(profile, layers, sets)
    return [image.name for image in images(found, DEFAULT)]


@pytest.mark.parametrize("row", RECORDED, ids=[f"{row['chart']} {number % 3}" for number, row in enumerate(RECORDED)])
def test_the_chart_pulls_what_helm_renders(row: dict[str, object]) -> None:
    chart, values = row["chart"], row["values"]
    assert isinstance(chart, str) and isinstance(values, dict)
    found = {f"{image.name}{'@' if image.by_digest else ''}" for image in cilium_images(chart, values)}
    assert found == set(row["images"])  # type: ignore[call-overload]


# `kubeadm config images list` of the real kubeadm 1.31.14 and 1.36.2, without kube-proxy (its phase is skipped).
@pytest.mark.parametrize(
    ("version", "coredns", "pause", "etcd"),
    [("1.31.14", "v1.11.3", "3.10", "3.5.24-0"), ("1.36.2", "v1.14.2", "3.10.2", "3.6.8-0")],
)
def test_kubeadms_list(version: str, coredns: str, pause: str, etcd: str) -> None:
    found = names("debian12-efi", f"kubernetes.version={version}", "cilium.enabled=false")
    assert set(found) == {
        f"registry.k8s.io/kube-apiserver:v{version}",
        f"registry.k8s.io/kube-controller-manager:v{version}",
        f"registry.k8s.io/kube-scheduler:v{version}",
        f"registry.k8s.io/coredns/coredns:{coredns}",
        f"registry.k8s.io/etcd:{etcd}",
        f"registry.k8s.io/pause:{pause}",
    }


def test_another_repository_has_no_folder_for_coredns_and_kube_proxy_comes_when_asked_for() -> None:
    sets = (
        "kubernetes.image_repository=registry.example.com/k8s",
        "kubernetes.kube_proxy=true",
        "cilium.enabled=false",
    )
    found = names("debian12-efi", "kubernetes.version=1.34.2", *sets)
    assert "registry.example.com/k8s/coredns:v1.12.1" in found
    assert "registry.example.com/k8s/kube-proxy:v1.34.2" in found
    assert all(name.startswith("registry.example.com/k8s/") for name in found)


def test_a_patch_between_two_rows_has_the_older_row_of_its_own_minor() -> None:
    assert "registry.k8s.io/etcd:3.5.12-0" in names("debian12-efi", "kubernetes.version=1.28.13")
    assert "registry.k8s.io/etcd:3.5.15-0" in names("debian12-efi", "kubernetes.version=1.28.14")


def test_in_china_nothing_is_asked_of_an_upstream_registry_first() -> None:
    found = resolved("centos7-efi", ["china"])
    listing = images(found, DEFAULT)
    assert {image.registry for image in listing} == {"registry.aliyuncs.com", "quay.io"}
    assert all(mirrored(found.profile, image) for image in listing if image.registry == "quay.io")
    assert found.profile.cilium.chart is not None
    assert "IB518" not in codes(findings("centos7-efi", layers=["china"]))


def test_what_is_asked_where() -> None:
    sets = [
        'containerd.registries."quay.io".mirrors=["https://m1.example.com", "https://m2.example.com"]',
        'containerd.registries."_default"={server: "https://unused.example.com", mirrors: ["https://all.example.com"]}',
        "cilium.values.envoy.image.repository=registry.example.com/envoy",
    ]
    found = resolved("debian12-efi", sets=sets)
    asked = {image.part: addresses(found.profile, image) for image in images(found, DEFAULT)}
    assert asked["cilium agent"] == ["https://m1.example.com", "https://m2.example.com", "https://quay.io"]
    assert asked["etcd"] == ["https://registry.k8s.io"]
    assert asked["cilium envoy"] == ["https://all.example.com", "https://registry.example.com"]


def test_a_registry_without_a_mirror_is_told_once_at_the_line_that_names_a_mirror() -> None:
    found = findings("debian12-efi", ["kubernetes.image_repository=registry.example.com/k8s"])
    (told,) = [f for f in found if f.code == "IB518"]
    assert told.key == "kubernetes.image_repository" and told.mark is not None and told.mark.file == "--set"
    assert (
        "quay.io (cilium, operator-generic, cilium-envoy" in told.message and "registry.example.com" not in told.message
    )
    assert "IB519" in codes(found)
    mirror = 'containerd.registries."quay.io".mirrors=["https://m.example.com"]'
    chart = "cilium.repository=https://charts.example.com"
    assert (
        codes(findings("debian12-efi", ["kubernetes.image_repository=registry.example.com/k8s", mirror, chart]))
        == set()
    )


def test_a_mirror_for_docker_hub_alone_and_registries_of_the_users_own_are_fine() -> None:
    assert "IB518" not in codes(
        findings("debian12-efi", ['containerd.registries."docker.io".mirrors=["https://m.example.com"]'])
    )
    own = [
        "cilium.values.image.repository=registry.example.com/cilium/cilium",
        "cilium.values.operator.image.repository=registry.example.com/cilium/operator",
        "cilium.values.envoy.image={repository: registry.example.com/cilium/envoy, useDigest: false}",
        "cilium.values.nodeinit.enabled=false",
        "kubernetes.image_repository=registry.example.com/k8s",
        "cilium.repository=https://charts.example.com",
    ]
    assert codes(findings("debian12-efi", own)) == set()


def test_an_image_by_digest_is_not_found_in_an_archive() -> None:
    archive = f"containerd.images=[{{name: all, urls: ['https://x.org/a.tar'], sha256: {'a' * 64}}}]"
    (told,) = [f for f in findings("debian12-efi", [archive]) if f.code == "IB520"]
    assert "cilium.values.envoy.image.useDigest: false" in told.hint
    off = ["cilium.values.envoy.image.useDigest=false", "cilium.values.nodeinit.image.useDigest=false"]
    assert "IB520" not in codes(findings("debian12-efi", [archive, *off]))


def test_notes_name_what_the_tables_have_not_seen() -> None:
    assert known_until("kubernetes-images", "1.34.99") == "1.34.10"
    assert known_until("kubernetes-images", "1.34.2") is None
    assert any("1.19.99" in note for note in notes(resolved("debian12-efi", sets=["cilium.version=1.19.99"])))


def test_a_node_of_containers_alone_pulls_its_pause_image() -> None:
    found = resolved("debian12-efi", ["distro-containerd", "container-host"])
    assert [line.image.part for line in listed([found], DEFAULT)] == ["pause"]


IMGBUILD = Path(sys.executable).with_name("imgbuild")


def run(*args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`imgbuild images` as a process."""
    env = {**os.environ, **environment}
    return subprocess.run([IMGBUILD, "images", *args], env=env, capture_output=True, text=True, timeout=HUNG)


def test_the_command_prints_groups_names_and_json(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(VIP)
    args = ("--profile", "debian12-efi", "--cluster", tmp_path / "lab.yaml")
    text = run(*args)
    assert text.returncode == 0, text.stderr
    lines = text.stdout.splitlines()
    at = lines.index("from https://ghcr.io")
    assert lines[at + 1].split() == ["ghcr.io/kube-vip/kube-vip:v0.8.9", "kube-vip"]
    plain = run(*args, "--names")
    assert "ghcr.io/kube-vip/kube-vip:v0.8.9" in plain.stdout.splitlines()
    assert all(":" in line and " " not in line for line in plain.stdout.splitlines())
    rows = of_kind("image", run(*args, "--format", "json").stdout)
    assert [row["image"] for row in rows if row["file"] == "cluster"] == ["ghcr.io/kube-vip/kube-vip:v0.8.9"]
    assert not (tmp_path / "lab.secrets.yaml").exists()


def test_input_with_errors_ends_with_1_and_two_forms_with_2() -> None:
    assert run("--profile", "debian12-efi", "--set", "kubernetes.version=banana").returncode == 1
    assert run("--profile", "debian12-efi", "--names", "--format", "json").returncode == 2


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Docker's own registry on a port of the loopback, with one image in it: its address and the image's digest."""
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "config.yml"
    storage = {"filesystem": {"rootdirectory": str(folder / "data")}}
    config.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}}))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        wait_for(server, port, folder / "log")
        archive = pause_image(folder / "pause.tar", "pause:1")
        place = f"docker://127.0.0.1:{port}/pause:3.6"
        copy = ["skopeo", "copy", "--dest-tls-verify=false", f"--digestfile={folder}/digest", f"oci-archive:{archive}"]
        subprocess.run([*copy, place], check=True, capture_output=True, timeout=HUNG)
        yield f"http://127.0.0.1:{port}", (folder / "digest").read_text().strip()
    finally:
        server.terminate()
        server.wait(timeout=HUNG)


def wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the server listens; a failure as soon as it has ended."""
    while True:
        assert server.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


HOST = ("--profile", "debian12-efi", "--layer", "distro-containerd", "--layer", "container-host")
"""A node that pulls one image: registry.k8s.io/pause:3.6, which is the default of Debian's containerd."""


def test_digests_are_asked_of_the_mirrors_and_then_of_the_registry(registry: tuple[str, str]) -> None:
    address, digest = registry
    mirrors = f'containerd.registries."registry.k8s.io".mirrors=["{address}/nowhere", "{address}"]'
    done = run(*HOST, "--set", mirrors, "--digests", "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = of_kind("image", done.stdout)
    assert (row["image"], row["digest"]) == ("registry.k8s.io/pause:3.6", digest)
    assert run(*HOST, "--set", mirrors, "--digests", "--names").stdout == f"registry.k8s.io/pause:3.6@{digest}\n"


@pytest.mark.parametrize(("trust", "login"), [("ca", True), ("skip_verify", True), ("ca", False), ("", True)])
def test_digests_are_asked_with_the_mirrors_login_and_authority(
    registry: tuple[str, str], tmp_path: Path, trust: str, login: bool
) -> None:
    address, digest = registry
    own = authority(tmp_path / "ca")
    (tmp_path / "ca.pem").write_text(own.certificate)
    (tmp_path / "pin.txt").write_text("s3cret\n")
    with front(int(address.rpartition(":")[2]), login="robot:s3cret", tls=own) as found:
        mirror: dict[str, object] = {"url": f"https://{found.host}"}
        mirror |= {"ca": {"file": "ca.pem"}} if trust == "ca" else {}
        mirror |= {"skip_verify": True} if trust == "skip_verify" else {}
        mirror |= {"auth": {"username": "robot", "password": {"file": "pin.txt"}}} if login else {}
        (tmp_path / "node.yaml").write_text(
            "extends: debian12-efi\ncontainerd:\n  buildkit: {snapshotter: overlayfs}\n"
            f"  registries:\n    registry.k8s.io: {{server: '{address}/nowhere', mirrors: [{json.dumps(mirror)}]}}\n"
        )
        done = run("-p", tmp_path / "node.yaml", *HOST[2:], "--digests", "--names", TMPDIR=str(tmp_path))
        assert (done.returncode == 0) == bool(trust and login), done.stdout + done.stderr
        assert ("s3cret" not in done.stdout + done.stderr) and not list(tmp_path.glob("imgbuild-*"))
        if trust and login:
            assert done.stdout == f"registry.k8s.io/pause:3.6@{digest}\n"


def test_a_login_is_not_sent_over_plain_http(registry: tuple[str, str], tmp_path: Path) -> None:
    """skip_verify accepts any certificate, and not a registry that has none: skopeo would go on over http."""
    with front(int(registry[0].rpartition(":")[2]), login="robot:s3cret") as found:
        login = {"username": "robot", "password": "s3cret"}
        mirror = {"url": f"https://{found.host}", "skip_verify": True, "auth": login}
        given = json.dumps({"server": "http://127.0.0.1:1", "mirrors": [mirror]})
        done = run(*HOST, "--set", f'containerd.registries={{"registry.k8s.io": {given}}}', "--digests")
    assert done.returncode == 3
    assert "no TLS connection" in done.stdout and "a registry without TLS is http://" in done.stdout
    assert found.asked == []  # what was there was no TLS, and no request


def test_an_image_that_no_address_has_is_named_with_each_answer(registry: tuple[str, str]) -> None:
    address, _ = registry
    host = address.removeprefix("http://")
    sets = (
        "--set",
        f"containerd.sandbox_image={host}/absent",
        "--set",
        f'containerd.registries."{host}"={{server: "{address}", mirrors: []}}',
    )
    done = run(*HOST, *sets, "--digests")
    assert done.returncode == 3
    assert f"NOT FOUND: {host}: " in done.stdout and "manifest unknown" in done.stdout


def test_without_skopeo_the_fix_is_named(tmp_path: Path) -> None:
    done = run("--profile", "debian12-efi", "--digests", PATH=str(tmp_path))
    assert done.returncode == 3 and "skopeo is not installed" in done.stderr and "apt-get install skopeo" in done.stderr
