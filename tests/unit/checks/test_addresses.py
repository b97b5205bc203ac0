"""Addresses that cannot be right: the fix has the right one, and a profile with it has no such finding."""

# ruff: noqa: E501  (tables)

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgbuild.config.flow import flow
from imgbuild.diagnostics.findings import Finding
from tests.support.checking import findings

CODES = {"IB444", "IB445", "IB446", "IB448"}
SHA = "a" * 64
K8S = "https://pkgs.k8s.io/core:/stable:"
VAULT = "https://vault.centos.org"


def wrong(tmp_path: Path, target: str, text: str) -> list[Finding]:
    file = tmp_path / "p.yaml"
    file.write_text(f"extends: {target}\n{text}\n")
    return [each for each in findings(str(file)) if each.code in CODES or each.code.startswith("IB1")]


REPOSITORIES = [
    ("centos8-efi", "elrepo", "https://elrepo.org/linux/kernel/el7/x86_64/", "for release 7", "https://elrepo.org/linux/kernel/el8/x86_64/"),
    ("centos7-efi", "elrepo", "https://elrepo.org/linux/kernel/el8/x86_64/", "for release 8", "https://mirrors.aliyun.com/elrepo/archive/kernel/el7/x86_64/"),
    ("centos7-efi", "elrepo", "https://elrepo.org/linux/kernel/el7/x86_64/", "has removed", "https://mirrors.aliyun.com/elrepo/archive/kernel/el7/x86_64/"),
    ("centos8-efi", "epel", "https://dl.fedoraproject.org/pub/epel/7/x86_64/", "for release 7", "https://dl.fedoraproject.org/pub/archive/epel/8.5/Everything/x86_64/"),
    ("centos7-efi", "epel", "https://dl.fedoraproject.org/pub/epel/7/x86_64/", "moved to the archive", "https://dl.fedoraproject.org/pub/archive/epel/7/x86_64/"),
    ("centos8-efi", "distribution", "http://mirror.centos.org/centos/7/os/x86_64/", "for release 7", f"{VAULT}/8.5.2111/"),
    ("centos8-efi", "distribution", "http://mirror.centos.org/centos/8/", "has been gone", f"{VAULT}/8.5.2111/"),
    ("centos8-efi", "elrepo", "https://elrepo.org/linux/elrepo/el8/x86_64/", "not in elrepo", "https://elrepo.org/linux/kernel/el8/x86_64/"),
    ("centos8-efi", "elrepo", "https://mirrors.aliyun.com/elrepo/extras/el8/x86_64/", "not in extras", "https://mirrors.aliyun.com/elrepo/kernel/el8/x86_64/"),
    ("centos8-efi", "kubernetes", "https://yum.kubernetes.io/repos/kubernetes-el7-x86_64", "removed in 2024", f"{K8S}/v{{minor}}/rpm/"),
    ("debian12-efi", "kubernetes", f"{K8S}/v1.35.8/deb/", "none for 1.35.8", f"{K8S}/v{{minor}}/deb/"),
    ("debian12-efi", "kubernetes", f"{K8S}/v1.35/deb/Release.key", "Release.key is a part", f"{K8S}/v{{minor}}/deb/"),
    ("debian12-efi", "kubernetes", f"{K8S}/v1.35/", "deb is missing", f"{K8S}/v{{minor}}/deb/"),
    ("debian12-efi", "kubernetes", f"{K8S}/v1.35", "deb is missing", f"{K8S}/v{{minor}}/deb/"),
    ("debian12-efi", "kubernetes", f"{K8S}/deb/", "minor version is missing", f"{K8S}/v{{minor}}/deb/"),
    ("debian12-efi", "kubernetes", f"{K8S}/v1.35/rpm/", "has rpm packages", f"{K8S}/v{{minor}}/deb/"),
    ("debian12-efi", "kubernetes", f"{K8S}/v1.34/deb/", "has Kubernetes 1.34", f"{K8S}/v{{minor}}/deb/"),
    ("debian12-efi", "kubernetes", "https://m.example.com/k8s/v1.34/", "has Kubernetes 1.34", "https://m.example.com/k8s/v{minor}/"),
    ("debian12-efi", "kubernetes", "https://m.example.com/k8s/rpm/", "has rpm packages", "https://m.example.com/k8s/deb/"),
    ("debian12-efi", "distribution", "https://mirrors.aliyun.com/debian/dists/bookworm", "dists is a folder", "https://mirrors.aliyun.com/debian"),
    ("debian12-efi", "security", "https://mirrors.aliyun.com/debian-security/dists/bookworm-security", "dists is a folder", "https://mirrors.aliyun.com/debian-security"),
    ("centos8-efi", "distribution", f"{VAULT}/", "release is missing", f"{VAULT}/8.5.2111/"),
    ("centos7-efi", "distribution", "https://mirrors.aliyun.com/centos-vault", "release is missing", "https://mirrors.aliyun.com/centos-vault/7.9.2009/"),
    ("centos8-efi", "distribution", f"{VAULT}/8.5.2111/BaseOS/x86_64/os/", "imgbuild adds BaseOS/$basearch/os", f"{VAULT}/8.5.2111/"),
    ("centos8-efi", "distribution", f"{VAULT}/8.5.2111/AppStream/", "imgbuild adds AppStream/$basearch/os", f"{VAULT}/8.5.2111/"),
    ("centos7-efi", "distribution", f"{VAULT}/7.9.2009/os/x86_64/", "imgbuild adds os/$basearch", f"{VAULT}/7.9.2009/"),
    ("centos8-efi", "distribution", "https://mirrors.aliyun.com/centos/8-stream/", "for CentOS Stream", f"{VAULT}/8.5.2111/"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "name", "url", "why", "right"), REPOSITORIES, ids=[f"{row[0][:7]} {row[2]}" for row in REPOSITORIES]
)
def test_a_repository(target: str, name: str, url: str, why: str, right: str, tmp_path: Path) -> None:
    (found,) = wrong(tmp_path, target, f"repositories: {{{name}: [{url}]}}")
    assert why in found.message
    fix = re.fullmatch(r"set (\w+)\.(\w+): (\[.*\]), or null for the target's own", found.hint)
    assert fix is not None and fix[3] == flow([right])
    assert wrong(tmp_path, target, f"{fix[1]}: {{{fix[2]}: {fix[3]}}}") == []
    other = f"repositories: {{{name}: [https://m.example.com/x/, {url}]}}"
    (found,) = wrong(tmp_path, target, other)
    assert found.hint == f"replace it with {flow(right)}, or set repositories.{name}: null for the target's own"
    assert wrong(tmp_path, target, other.replace(url, flow(right))) == []


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("centos8-efi", "repositories: {distribution: [https://m.example.com/centos/, https://m.example.com/os/]}"),
        ("centos8-efi", "repositories: {elrepo: [https://m.example.com/elrepo/el8/]}"),
        ("centos8-efi", 'repositories: {kubernetes: ["https://m.example.com/core:/stable:/v{minor}/rpm/"]}'),
        ("centos8-efi", "repositories: {kubernetes: [https://m.example.com/kubernetes/]}"),
        ("debian12-efi", "repositories: {elrepo: [https://elrepo.org/linux/kernel/el7/x86_64/]}"),  # IB433 alone
        ("debian12-efi", "repositories: {distribution: [https://m.example.com/debian/]}"),
        ("centos7-efi", f"base: {{source: https://m.example.com/CentOS-7-x86_64-GenericCloud-2009.qcow2, sha256: {SHA}}}"),
        ("centos8-efi", f"base: {{source: /srv/CentOS-8-GenericCloud-8.4.2105-20210603.0.x86_64.qcow2, sha256: {SHA}}}"),
        ("centos8-efi", f"base: {{source: /srv/my-debian-12.qcow2, sha256: {SHA}}}"),
        ("centos8-efi", "base: {source: /srv/rootfs}"),
    ],
)  # fmt: skip
def test_what_may_be_right(target: str, text: str, tmp_path: Path) -> None:
    assert wrong(tmp_path, target, text) == []


@pytest.mark.parametrize("system", ["darwin-amd64.tar.gz", "windows-amd64.zip", "linux-arm64.tar.gz", "linux-arm.tar.gz", "linux-386.tar.gz"])  # fmt: skip
def test_helm_for_another_machine(system: str, tmp_path: Path) -> None:
    (found,) = wrong(tmp_path, "debian12-efi", f"helm: {{urls: [https://m.example.com/helm-v4.3.0-{system}]}}")
    right = "https://m.example.com/helm-v4.3.0-linux-amd64.tar.gz"
    assert (found.code, found.hint) == ("IB446", f"replace it with {right}, with its sha256")
    assert wrong(tmp_path, "debian12-efi", f"helm: {{urls: [{right}]}}") == []


@pytest.mark.parametrize(
    ("name", "file", "key"),
    [("tools", "tools-arm64.tar", "urls[0]"), ("tools", "linux_aarch64.tar", "urls[0]"), ("tools-arm64", "x.tar", "name")],
)  # fmt: skip
def test_an_archive_of_images_for_another_machine(name: str, file: str, key: str, tmp_path: Path) -> None:
    text = f"containerd: {{images: [{{name: {name}, urls: [https://m.example.com/{file}], sha256: {SHA}}}]}}"
    (found,) = wrong(tmp_path, "debian12-efi", text)
    assert (found.code, found.key) == ("IB446", f"containerd.images[0].{key}")


@pytest.mark.parametrize(
    ("target", "file", "what"),
    [
        ("centos7-efi", "CentOS-8-GenericCloud-8.4.2105-20210603.0.x86_64.qcow2", "CentOS 8"),
        ("centos7-efi", "debian-12-generic-amd64.qcow2", "debian 12"),
        ("centos8-efi", "CentOS-7-x86_64-GenericCloud-2211.qcow2", "CentOS 7"),
        ("centos8-efi", "Rocky-8-GenericCloud.latest.x86_64.qcow2", "Rocky 8"),
        ("centos8-efi", "AlmaLinux-8-GenericCloud-latest.x86_64.qcow2", "AlmaLinux 8"),
        ("centos8-efi", "CentOS-Stream-GenericCloud-8-20220125.1.x86_64.qcow2", "CentOS-Stream 8"),
        ("centos8-efi", "debian-12-genericcloud-amd64.tar.xz", "debian 12"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["/srv", "https://m.example.com/images"])
def test_a_base_image_of_another_system(target: str, file: str, what: str, folder: str, tmp_path: Path) -> None:
    (found,) = wrong(tmp_path, target, f"base: {{source: {folder}/{file}, sha256: {SHA}}}")
    assert (found.code, found.key) == ("IB445", "base.source") and f"this base image is {what}" in found.message
    assert wrong(tmp_path, target, "base: {source: null, sha256: null}") == []


@pytest.mark.parametrize(
    ("file", "tool"), [("a.ova", "tar -xf"), ("a.box", "tar -xf"), ("a.zip", "unzip"), ("a.7z", "7z x")]
)
def test_an_archive_with_a_disk_image(file: str, tool: str, tmp_path: Path) -> None:
    (found,) = wrong(tmp_path, "centos7-efi", f"base: {{source: /srv/{file}, sha256: {SHA}}}")
    assert found.hint == f"unpack it first ({tool} {file}), and give the disk image in it and its sha256"
