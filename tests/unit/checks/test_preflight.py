"""kubeadm's preflight as a table (versions/kubeadm-preflight.yaml), against what imgbuild lays on a node."""

from __future__ import annotations

import pytest

from imgbuild.config.target import load_target
from imgbuild.facts import derive
from imgbuild.render.verify import sysctls
from tests.support.profiles import resolved

TARGETS = ("centos7", "centos8", "debian12")
RELEASES = tuple(f"{minor}.0" for minor in derive.versions("kubernetes")["minors"])
PACKAGES = {
    "mount": {"util-linux"},
    "nsenter": {"util-linux"},
    "losetup": {"util-linux"},
    "ip": {"iproute", "iproute2"},
    "iptables": {"iptables"},
    "conntrack": {"conntrack-tools", "conntrack"},
    "cp": set(),  # of every base system
    "crictl": set(),  # with kubeadm's packages, or kubernetes.binaries
}
"""Which package brings a program that kubeadm does not go on without."""


@pytest.mark.parametrize("target", TARGETS)
def test_every_program_that_preflight_requires_is_installed(target: str) -> None:
    packages = load_target(target).packages
    have = {*packages.base, *packages.kubernetes}
    for release in RELEASES:
        for row in derive.preflight(release, "programs"):
            wanted = PACKAGES[row["name"]] if not row.get("warning") else set()
            assert not wanted or wanted & have, row


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("family", [4, 6])
def test_every_sysctl_that_preflight_reads_is_set(target: str, family: int) -> None:
    networks = ["kubernetes.pod_cidr=fd00::/48", "kubernetes.service_cidr=fd01::/112"] if family == 6 else []
    rows = {key: value for key, _, value in sysctls(resolved(f"{target}-efi", sets=networks))}
    for release in RELEASES:
        for row in derive.preflight(release, "sysctls"):
            if row.get("family", family) == family:
                assert rows[row["key"]] == row["value"]
    assert ("net.ipv6.conf.default.forwarding" in rows) is (family == 6)
    assert ("net.ipv6.conf.all.forwarding" in rows) is (family == 6)


def test_rows_by_version() -> None:
    def names(release: str) -> set[str]:
        return {row["name"] for row in derive.preflight(release, "programs") if not row.get("warning")}

    assert {"crictl", "conntrack", "ip", "iptables", "nsenter"} <= names("1.30.14")
    assert names("1.33.4") == {"mount", "losetup", "cp"}
    assert "conntrack" not in names("1.32.0")
    assert not [row for row in derive.preflight("1.30.0", "sysctls") if "bridge" in row["key"]]


def test_a_cluster_without_kubernetes_needs_no_forwarding() -> None:
    off = ["kubernetes.enabled=false", "helm.enabled=false", "cilium.enabled=false", "kubernetes.pod_cidr=fd00::/48"]
    assert resolved("debian12-efi", sets=off).families == frozenset()


def test_what_the_profile_sets_wins_whatever_its_spelling() -> None:
    sets = ["kubernetes.pod_cidr=fd00::/48", "kubernetes.service_cidr=fd01::/112",
            "kernel.sysctl.net/ipv6/conf/all/forwarding=2"]  # fmt: skip
    rows = {path: value for _, path, value in sysctls(resolved("debian12-efi", sets=sets))}
    assert rows["net/ipv6/conf/all/forwarding"] == "2"
    assert rows["net/ipv6/conf/default/forwarding"] == "1"
