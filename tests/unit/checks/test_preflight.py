"""kubeadm's preflight as a table (versions/kubeadm-preflight.yaml), against what imgbuild lays on a node."""

from __future__ import annotations

from typing import Any

import pytest

from imgbuild.config.data import versions
from imgbuild.config.target import load_target
from imgbuild.facts import derive
from imgbuild.facts.kernel_settings import sysctls
from tests.support.places import TESTS
from tests.support.profiles import resolved

TARGETS = ("centos7", "centos8", "debian12")
RELEASES = tuple(f"{minor}.0" for minor in versions("kubernetes")["minors"])
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


def _recorded() -> dict[str, set[str]]:
    """By case, the errors of the real kubeadm 1.36.2."""
    lines = (TESTS / "recorded" / "kubeadm-preflight-1.36.2.tsv").read_text().splitlines()
    pairs = [line.partition("\t") for line in lines if not line.startswith("#")]
    return {case: set(errors.split()) for case, _, errors in pairs}


def _in_the_table(verb: str, change: str) -> set[str]:
    """The errors that the table has for a change of the recorded kind; ``verb`` is init, join (a worker) or joincp."""

    def rows(section: str) -> list[dict[str, Any]]:
        return derive.preflight("1.36.2", section)

    verbs = {"init": {"init"}, "join": {"join", "worker"}, "joincp": {"join"}}[verb]
    kind, _, name = change.partition("-")
    match kind:
        case "port":
            found = [row for row in rows("ports") if verbs & {*row["verbs"]}]
            return {f"Port-{name}" for row in found if name == str(row["port"]).replace("api", "6443")}
        case "no":
            found = [row for row in rows("programs") if row["name"] == name and not row.get("warning")]
            return {f"FileExisting-{name}" for _ in found}
        case "swap":
            return {"Swap" for row in rows("swap") if not row.get("warning")}
        case "system":
            return {"SystemVerification" for _ in rows("cgroup_v1")}
        case "one":
            return {"NumCPU"} if "init" in verbs else set()
    path = {"manifest": f"/etc/kubernetes/manifests/{name}.yaml", "etcd": "/var/lib/etcd/member"}.get(
        kind, f"/etc/kubernetes/{change}"
    )
    found = [row for row in rows("files") if verbs & {*row["verbs"]} and row["path"] == path]
    names = {f"FileAvailable-{path.replace('/', '-')}" for _ in found}
    for row in rows("folders"):
        if verbs & {*row["verbs"]} and path.startswith(f"{row['path']}/"):
            names.add(f"DirAvailable-{row['path'].replace('/', '-')}")
    return names


_BESIDE_THE_TABLE = ("as-made", "ip_forward", "v6=", "containerd", "kubelet")
"""Of the recorded cases: sysctls have a test of their own, and a runtime and a kubelet are in no table."""


@pytest.mark.parametrize(
    "case", [case for case in _recorded() if not case.partition(":")[2].endswith(_BESIDE_THE_TABLE) and "=" not in case]
)
def test_the_table_is_what_the_real_kubeadm_looks_for(case: str) -> None:
    verb, _, change = case.partition(":")
    assert _in_the_table(verb, change) == _recorded()[case]


def test_the_real_kubeadm_reads_the_sysctls_of_the_table() -> None:
    recorded = _recorded()
    for row in derive.preflight("1.36.2", "sysctls"):
        error = {f"FileContent--proc-sys-{row['key'].replace('.', '-')}"}
        six = row.get("family") == 6
        assert recorded["init6:v6=0" if six else "init:ip_forward=0"] == error
        assert recorded["init6:v6=1" if six else "init:as-made"] == set()
    assert recorded["init6:ip_forward=0,v6=1"] == set()  # ours is set in any case
