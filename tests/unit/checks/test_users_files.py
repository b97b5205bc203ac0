"""The user's own files: of the network, of containerd, and shell that bash reads with a warning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgbuild.config.moment import read_moment
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.severity import Severity
from imgbuild.pipeline import Request
from tests.support.checking import ADMIN, findings, look

CLUSTER = """\
name: lab
nodes:
  - name: cp1
    role: control-plane
    network:
      interfaces:
        - {name: ens192, mac: "52:54:00:00:01:10", addresses: [192.168.1.10/24], gateway: 192.168.1.1}
      dns: [192.168.1.1]
"""


def files(path: str, text: str = "x") -> list[str]:
    return [f"files={json.dumps([{'path': path, 'content': text}])}"]


@pytest.mark.parametrize(
    ("path", "severity"),
    [
        ("/etc/sysconfig/network-scripts/ifcfg-ens192", Severity.ERROR),
        ("/etc/sysconfig/network-scripts/ifcfg-br0", Severity.WARNING),
        ("/etc/sysconfig/network-scripts/ifcfg-lo", None),
        ("/etc/network/interfaces.d/50-cloud-init", Severity.ERROR),
        ("/etc/netplan/50-cloud-init.yaml", Severity.ERROR),
        ("/etc/netplan/99-mine.yaml", Severity.WARNING),
        ("/etc/NetworkManager/system-connections/cloud-init-ens192.nmconnection", Severity.ERROR),
        ("/etc/NetworkManager/system-connections/ens192.nmconnection", Severity.WARNING),
        ("/etc/NetworkManager/conf.d/mine.conf", None),
        ("/etc/systemd/network/10-mine.network", Severity.WARNING),
        ("/etc/systemd/network/10-mine.link", None),
    ],
)
def test_files_of_the_network(path: str, severity: Severity | None, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(CLUSTER)
    sets = [*files(path), "kernel.interface_names=predictable"]
    found = [each for each in findings("centos8-efi", sets, cluster=file) if each.code == "IB460"]
    assert [each.severity for each in found] == ([severity] if severity else [])
    assert all("nodes[].network" in each.hint for each in found)


def test_without_a_cluster_file_the_first_card_is_cloud_inits() -> None:
    for name, severity in (("eth0", Severity.ERROR), ("eth1", Severity.WARNING)):
        found = findings("centos8-efi", files(f"/etc/sysconfig/network-scripts/ifcfg-{name}"))
        assert [(each.code, each.severity) for each in found] == [("IB460", severity)]


@pytest.mark.parametrize(
    ("path", "drop_in"),
    [
        ("/etc/systemd/system/containerd.service", "containerd.service.d/"),
        ("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", "kubelet.service.d/"),
        ("/etc/systemd/system/kubelet.service.d/20-mine.conf", None),
    ],
)
def test_a_unit_in_place_of_the_packages_own(path: str, drop_in: str | None) -> None:
    found = findings("centos8-efi", files(path, "[Service]\n"))
    assert [(each.code, each.severity) for each in found] == ([("IB458", Severity.WARNING)] if drop_in else [])
    assert drop_in is None or drop_in in found[0].hint


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("/etc/sysctl.d/k8s.conf", "net.ipv4.ip_forward = 0\n", "IB212"),
        ("/etc/sysctl.d/k8s.conf", "-net/bridge/bridge-nf-call-iptables=0\n", "IB213"),
        ("/etc/sysctl.d/k8s.conf", "net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward = 1\n", None),
        ("/etc/sysctl.d/10-mine.conf", "net.ipv4.ip_forward = 0\n", None),  # imgbuild's own is read later
        ("/etc/sysctl.conf", "net.ipv4.ip_forward = 0\n", None),
        ("/etc/sysctl.d/k8s.conf", "net.ipv6.conf.default.forwarding = 0\n", None),  # only asked for with IPv6
    ],
)
def test_a_file_of_sysctls_that_is_read_last(path: str, text: str, code: str | None) -> None:
    found = findings("centos8-efi", [*files(path, text), "kubernetes.version=1.29.15"])
    wrong = [each for each in found if each.code in ("IB212", "IB213")]
    assert [(each.code, each.key) for each in wrong] == ([(code, "files[0].content")] if code else [])


def test_a_configuration_of_containerd_is_toml() -> None:
    found = findings("centos8-efi", files("/etc/containerd/config.toml", "version: 3\n"))
    (wrong,) = [each for each in found if each.code == "IB529"]
    assert wrong.key == "files[0].content" and "is not TOML" in wrong.message
    found = findings("centos8-efi", files("/etc/containerd/config.toml", "version = 3\n"))
    assert {each.code for each in found} == {"IB458"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[ a == b ]", "syntax error in conditional expression"),
        ("cat <<EOF\nx\n", "here-document at line 1 delimited by end-of-file"),
        ("[[ a == b ]] && echo <<EOF\nx\nEOF", ""),
    ],
)
def test_what_bash_reads_with_a_warning(text: str, said: str) -> None:
    found = Findings()
    look(Request("centos8-efi", (), [ADMIN, f"run={json.dumps([text])}"], None, moment=read_moment()), found)
    wrong = [each for each in found.items if each.code == "IB463"]
    assert len(wrong) == bool(said) and all(said in each.message for each in wrong)


@pytest.mark.parametrize(("text", "code"), [("#!/bin/sh\r\necho\r\n", "IB457"), ("#!/bin/sh\nif true\n", "IB463")])
def test_a_script_of_a_source_has_the_key_of_the_source(text: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_bytes(text.encode())
    found = Findings()
    value = json.dumps([{"path": "/opt/x.sh", "source": str(tmp_path / "x.sh"), "mode": "0755"}])
    look(Request("centos8-efi", (), [ADMIN, f"files={value}"], None, moment=read_moment()), found)
    assert [each.key for each in found.items if each.code == code] == ["files[0].source"]
