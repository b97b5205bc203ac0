"""Whole inputs: our own profiles give nothing, the recipe's own values give all they deserve, codes are documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.config.cluster import DEFAULT
from imgbuild.config.load import load
from imgbuild.config.shipped import shipped
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.severity import Severity
from imgbuild.pipeline import Request, prepare
from imgbuild.render.cilium import cilium_values
from tests.support.checking import codes, findings, well_formed


@pytest.mark.parametrize("mode", ["baked", "stock"])
@pytest.mark.parametrize("layers", [[], ["china"], ["container-host"]], ids=["plain", "china", "host"])
@pytest.mark.parametrize("profile", shipped("profiles"))
def test_our_own_profiles_give_no_finding(profile: str, layers: list[str], mode: str) -> None:
    assert findings(profile, layers=layers, mode=mode) == []


@pytest.mark.parametrize("mode", ["baked", "stock"])
@pytest.mark.parametrize("profile", [p for p in shipped("profiles") if p.startswith("debian12")])
def test_a_container_host_with_the_distributions_containerd_gives_none(profile: str, mode: str) -> None:
    assert findings(profile, layers=["distro-containerd", "container-host"], mode=mode) == []
    assert findings(profile, layers=["container-host", "distro-containerd", "china"], mode=mode) == []


def test_without_a_user_the_only_finding_says_that_nobody_can_log_in() -> None:
    for profile in shipped("profiles"):
        (found,) = findings(profile, ["users=[]"])
        assert (found.code, found.severity) == ("IB450", Severity.WARNING)


RECIPE = """
extends: centos8-efi
kubernetes: {version: 1.34.11, pod_cidr: 10.244.0.0/16}
helm: {version: 3.9.2}
cilium:
  values: # as the recipe's --set has them
    routingMode: null
    localRedirectPolicies: null
    ciliumEndpointSlice: null
    routing-mode: native
    tunnel: disabled
    localRedirectPolicy: true
    enableCiliumEndpointSlice: true
    enableK8sEventHandover: true
    externalIPs: {enabled: true}
    hostPort: {enabled: true}
    nodePort: {enabled: true}
    sessionAffinity: true
    highScaleIPcache: {enabled: false}
    l2podAnnouncements: {interface: enp7s0}
    ipv4NativeRoutingCIDR: 192.168.31.254/32
    ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.244.0.0/16]}}
    devices: enp7s0
    operator: {image: {repository: a.org/cilium/operator-generic}}
"""


def test_the_recipes_own_cilium_values_all_at_once_each_in_its_line(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    found = findings(str(file))
    well_formed(found)
    said = {(f.code, f.key.removeprefix("cilium.values.")) for f in found}
    assert said == {
        ("IB603", "helm.version"),
        ("IB605", "helm.version"),
        ("IB613", "routing-mode"),
        ("IB613", "tunnel"),
        ("IB613", "enableCiliumEndpointSlice"),
        ("IB613", "enableK8sEventHandover"),
        ("IB613", "l2podAnnouncements.interface"),
        ("IB614", "externalIPs.enabled"),
        ("IB614", "hostPort.enabled"),
        ("IB614", "nodePort.enabled"),
        ("IB614", "sessionAffinity"),
        ("IB614", "highScaleIPcache.enabled"),
        ("IB614", "localRedirectPolicy"),
        ("IB617", "ipv4NativeRoutingCIDR"),
        ("IB619", "operator.image.repository"),
        ("IB642", "devices"),
        # What is left is tunnel mode under DSR and direct routes.
        ("IB630", "routingMode"),
        ("IB631", "routingMode"),
        ("IB632", "routingMode"),
        ("IB634", "routingMode"),
    }
    lines = RECIPE.split("\n")
    for finding in found:
        assert finding.mark is not None
        if finding.mark.file == str(file):
            assert finding.key.rpartition(".")[2] in lines[finding.mark.line - 1]


def test_many_errors_of_all_topics_come_together_with_their_places(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "extends: centos7-bios\n"
        "kernel:\n  flavour: kernel-mm\n  secure_boot: true\n  arguments: [root=/dev/sda1]\n"
        "kubernetes:\n  version: 1.37.0\n  service_cidr: 10.244.0.0/16\n"
        "containerd:\n  state: /var/lib/containerd\n"
        "cilium: {values: {routing-mode: native, loadBalancer: {mode: dsrr}}}\n"
        "users: [{name: root}]\n"
        "files: [{path: /run/x, content: y}]\n"
    )
    nodes = tmp_path / "cluster.yaml"
    nodes.write_text("name: c\nnodes: [{name: a, role: worker}, {name: a, role: worker}]\n")
    found = findings(str(file), ["users=[{name: root}]", "kubernetes.cgroup_v1=refuse"], cluster=nodes)
    well_formed(found)
    places = {f.code: (Path(f.mark.file).name, f.mark.line, f.mark.column) for f in found if f.mark}
    assert places == {
        "IB301": ("mine.yaml", 3, 12),
        "IB306": ("mine.yaml", 4, 16),
        "IB310": ("mine.yaml", 5, 15),
        "IB205": ("mine.yaml", 7, 12),
        "IB220": ("mine.yaml", 8, 17),
        "IB508": ("mine.yaml", 10, 10),
        "IB613": ("mine.yaml", 11, 33),
        "IB615": ("mine.yaml", 11, 62),
        "IB452": ("--set", 2, 1),
        "IB450": ("--set", 2, 1),
        "IB455": ("mine.yaml", 13, 16),
        "IB401": ("cluster.yaml", 2, 41),
        "IB410": ("cluster.yaml", 2, 25),
    }


def test_a_sha256_left_behind_is_told_from_one_that_never_changed(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: centos7-bios\nhelm:\n  version: 4.3.0\n")  # the default's own version, said again
    assert findings(str(file)) == []
    file.write_text("extends: centos7-bios\nhelm:\n  version: 3.18.3\n  urls: [file:///srv/helm.tar.gz]\n")
    (found,) = findings(str(file))
    assert (found.code, found.key) == ("IB603", "helm.version")


def test_templates_in_files_are_text() -> None:
    assert findings("centos7-efi", ["files=[{path: /opt/a, content: '{{ x }} ${y} {% z %} $(w)'}]"]) == []


def test_checks_are_pure() -> None:
    first, second = (
        findings("centos7-efi", ["cilium.values.tunnel=x"]),
        findings("centos7-efi", ["cilium.values.tunnel=x"]),
    )
    assert first == second and codes(first) == {"IB613"}
    found = Findings()
    loaded = load("centos7-efi", [], [], None, found)
    assert loaded is not None and found.items == []


@pytest.mark.parametrize("chart", ["1.14.19", "1.15.19", "1.16.19", "1.17.18", "1.18.12", "1.19.6", "1.20.0"])
def test_our_values_pass_and_have_the_right_names_for_every_chart(chart: str) -> None:
    sets = [f"cilium.version={chart}"]
    assert findings("debian12-efi", sets) == []
    given = load("debian12-efi", (), sets, None, Findings())
    assert given is not None
    values = cilium_values(given.profile, DEFAULT, DEFAULT.nodes[0])
    minor = int(chart.split(".")[1])
    assert ("localRedirectPolicies" in values) == (minor >= 18)
    assert ("localRedirectPolicy" in values) == (minor < 18)
    assert ("ciliumEndpointSlice" in values) == (minor >= 16)
    assert ("enableCiliumEndpointSlice" in values) == (minor < 16)
    assert values["routingMode"] == "native"


@pytest.mark.parametrize("layers", [(), ("china",), ("tunnel", "china")])
def test_what_is_missing_is_missing_in_the_users_file(layers: tuple[str, ...], tmp_path: Path) -> None:
    """Also if the last file of the profile is one that imgbuild ships."""
    file = tmp_path / "node.yaml"
    file.write_text("extends: debian12-efi\n")
    findings = Findings()
    prepare(Request(str(file), layers), findings)
    (found,) = [item for item in findings.items if item.code == "IB450"]
    assert found.mark is not None and found.mark.file == str(file)


@pytest.mark.parametrize("pods", ["10.244.0.0/33", "'10.32.0.0/16, fd00:10:244::/56'"])
@pytest.mark.parametrize("services", ["10.244.0.0/16", "'10.96.0.0/16,fd00:10:96::/108'"])
def test_an_invalid_network_is_compared_with_no_other(pods: str, services: str) -> None:
    sets = (f"kubernetes.pod_cidr={pods}", f"kubernetes.service_cidr={services}", "cilium.values.ipv6.enabled=true")
    assert codes(findings("debian12-efi", sets)).isdisjoint({"IB220", "IB221", "IB224"})


def test_debian_is_told_once_that_it_has_neither_a_base_image_nor_selinux() -> None:
    (found,) = findings("debian12-efi", ["base.source=https://x.org/base.qcow2"])
    assert (found.code, found.hint) == ("IB432", "set base.source: null")
    (found,) = findings("debian12-efi", ["kernel.arguments[2]=selinux=0"])
    assert found.code == "IB310" and found.hint.startswith("remove it: ")
    (found,) = findings("centos8-efi", ["kernel.arguments[2]=selinux=0"])
    assert found.hint == "set selinux.mode"
