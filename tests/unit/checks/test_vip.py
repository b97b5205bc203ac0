"""The virtual address against the networks of the control planes."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.severity import Severity
from tests.support.checking import findings

HEAD = "name: lab\nvip: {address: VIP}\nnodes:\n"
CP = """\
  - name: cpN
    role: control-plane
    network:
      interfaces:
        - {name: eth0, mac: "52:54:00:00:0N:10", addresses: [172.30.0.1N/24], gateway: 172.30.0.1}
        - {name: eth1, mac: "52:54:00:00:0N:11", EXTRA}
      dns: [172.30.0.1]
"""


def nodes(*extra: str) -> str:
    return "".join(CP.replace("N:1", f"{n}:1").replace("N", str(n)).replace("EXTRA", e) for n, e in enumerate(extra, 1))


def management(number: int) -> str:
    return f"addresses: [10.50.0.1{number}/24]"


@pytest.mark.parametrize(
    ("address", "third", "wanted"),
    [
        ("10.50.0.100", management(3), []),  # the card without the default route
        ("172.30.0.100", management(3), []),
        ("10.60.0.100", management(3), ["cp1"]),
        ("10.50.0.100", "addresses: [10.51.0.13/24]", ["cp3"]),
        ("10.50.0.100", "dhcp: true", []),  # nobody knows
    ],
)
def test_every_control_plane_is_in_the_network_of_the_vip(
    tmp_path: Path, address: str, third: str, wanted: list[str]
) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(HEAD.replace("VIP", address) + nodes(management(1), management(2), third))
    found = [f for f in findings("centos8-efi", cluster=path) if f.code in ("IB416", "IB427")]
    assert [f.message.rpartition(" ")[2] for f in found] == wanted
    assert all(f.key == "vip.address" and f.mark is not None and f.mark.line == 2 for f in found)


@pytest.mark.parametrize(
    ("providers", "severity", "fix"),
    [
        ("[ec2]", Severity.ERROR, "set balancer: local"),
        ("[azure, gcp]", Severity.ERROR, "set balancer: local"),
        (
            "[openstack, ec2]",
            Severity.ERROR,
            "set balancer: local",
        ),  # the network of one of them
        ("[openstack]", Severity.WARNING, "ip-address=172.30.0.100 PORT"),
        ("[]", None, ""),
    ],
)
def test_a_vip_by_arp_in_a_cloud(tmp_path: Path, providers: str, severity: Severity | None, fix: str) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(HEAD.replace("VIP", "172.30.0.100") + nodes(management(1), management(2), management(3)))
    found = [f for f in findings("centos8-efi", [f"cloud.providers={providers}"], cluster=path) if f.code == "IB671"]
    assert [f.severity for f in found] == ([] if severity is None else [severity])
    assert all(fix in f.hint and f.key == "vip" for f in found)
    path.write_text(path.read_text().replace("vip: {address: 172.30.0.100}", "endpoint: 172.30.0.100:6443"))
    again = findings("centos8-efi", [f"cloud.providers={providers}"], cluster=path)
    assert "IB671" not in {f.code for f in again}
