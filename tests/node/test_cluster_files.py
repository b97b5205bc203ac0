"""kubeadm's configuration, Cilium's values and what the seed says to verify."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml

from builder.cluster import DEFAULT, Bond, Cluster, Interface, Node, NodeNetwork
from builder.render.cilium import advertise_address, cilium_values
from builder.render.cluster_files import seed_tree
from tests.node.conftest import loaded

MAC = "52:54:00:12:34:56"
STATIC = Node(
    name="cp1",
    network=NodeNetwork(
        interfaces=[
            Interface(name="eth0", mac=MAC),
            Interface(name="eth1", mac="52:54:00:12:34:57", addresses=["172.16.0.9/24"]),
        ],
        bonds=[Bond(name="bond0", interfaces=["eth0"], addresses=["10.0.0.10/24"], gateway="10.0.0.1")],
    ),
)
CLUSTER = Cluster(name="prod", endpoint="api.example.com:8443", nodes=[STATIC, Node(name="w1", role="worker")])


def _kubeadm(name: str, sets: list[str], cluster: Cluster = DEFAULT, number: int = 0) -> dict[str, dict[str, Any]]:
    found = loaded(name, sets=sets)
    files = seed_tree(found.profile, found.target, cluster, cluster.nodes[number]).by_path()
    parts = list(yaml.safe_load_all(files["/etc/imgbuild/kubeadm.yaml"].content))
    return {part["kind"]: part for part in parts}


def test_defaults_without_a_cluster_file() -> None:
    parts = _kubeadm("debian12-efi", [])
    init, cluster, kubelet = (parts[f"{k}Configuration"] for k in ("Init", "Cluster", "Kubelet"))
    assert init["apiVersion"] == cluster["apiVersion"] == "kubeadm.k8s.io/v1beta4"
    assert init["localAPIEndpoint"] == {"bindPort": 6443}  # kubeadm takes the default route's address
    assert init["nodeRegistration"] == {
        "name": "node1",
        "criSocket": "unix:///run/containerd/containerd.sock",
        "taints": [],
    }
    assert init["skipPhases"] == ["addon/kube-proxy"]
    assert cluster["kubernetesVersion"] == "v1.35.8"
    assert "controlPlaneEndpoint" not in cluster
    assert kubelet == {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
    }


@pytest.mark.parametrize(("release", "api"), [("1.28.2", "v1beta3"), ("1.30.14", "v1beta3"), ("1.31.14", "v1beta4")])
def test_api_by_version(release: str, api: str) -> None:
    parts = _kubeadm("centos7-efi", [f"kubernetes.version={release}"])
    assert {part["apiVersion"] for kind, part in parts.items() if kind != "KubeletConfiguration"} == {
        f"kubeadm.k8s.io/{api}"
    }


def test_cluster_and_profile_reach_kubeadm() -> None:
    sets = ["kubernetes.kube_proxy=true", "kubernetes.schedulable_control_plane=false", "kubernetes.api_port=8443"]
    parts = _kubeadm("debian12-efi", sets, CLUSTER)
    init, cluster = parts["InitConfiguration"], parts["ClusterConfiguration"]
    assert init["localAPIEndpoint"] == {"advertiseAddress": "10.0.0.10", "bindPort": 8443}
    assert "skipPhases" not in init
    assert "taints" not in init["nodeRegistration"]
    assert cluster["controlPlaneEndpoint"] == "api.example.com:8443"
    assert cluster["clusterName"] == "prod"
    assert cluster["networking"] == {
        "podSubnet": "10.244.0.0/16",
        "serviceSubnet": "10.96.0.0/12",
        "dnsDomain": "cluster.local",
    }


def test_cgroup_v1_takes_the_users_word_and_a_new_kubelet() -> None:
    accept = ["kubernetes.cgroup_v1=accept"]
    parts = _kubeadm("centos7-efi", [*accept, "kubernetes.version=1.35.8"])
    assert parts["KubeletConfiguration"]["failCgroupV1"] is False
    assert parts["InitConfiguration"]["nodeRegistration"]["ignorePreflightErrors"] == ["SystemVerification"]
    for name, sets in (("centos7-efi", [*accept, "kubernetes.version=1.34.11"]), ("debian12-efi", accept)):
        parts = _kubeadm(name, sets)
        assert "failCgroupV1" not in parts["KubeletConfiguration"]
        assert "ignorePreflightErrors" not in parts["InitConfiguration"]["nodeRegistration"]


def test_who_gets_which_file() -> None:
    found = loaded("debian12-efi")
    seed = {"/etc/imgbuild/seed.conf"}
    paths = [set(seed_tree(found.profile, found.target, CLUSTER, node).by_path()) for node in CLUSTER.nodes]
    assert paths == [seed | {"/etc/imgbuild/kubeadm.yaml", "/etc/imgbuild/cilium-values.yaml"}, seed]
    found = loaded("debian12-efi", ["distro-containerd", "container-host"])
    assert set(seed_tree(found.profile, found.target, CLUSTER, STATIC).by_path()) == seed


def test_advertise_address() -> None:
    found = loaded("debian12-efi")
    assert advertise_address(found.profile, STATIC) == "10.0.0.10"  # the one with the gateway
    assert advertise_address(found.profile, DEFAULT.nodes[0]) is None
    found = loaded("debian12-efi", sets=["kubernetes.advertise_address=192.0.2.7"])
    assert advertise_address(found.profile, STATIC) == "192.0.2.7"


def _values(sets: list[str], cluster: Cluster = DEFAULT) -> dict[str, Any]:
    return cilium_values(loaded("debian12-efi", sets=sets).profile, cluster, cluster.nodes[0])


def test_ipv6_pods_have_ipv6_keys_and_the_mask_that_kubeadm_takes() -> None:
    networks = ["kubernetes.pod_cidr=fd00:10::/48", "kubernetes.service_cidr=fd00:11::/112"]
    values = _values([*networks, "cilium.values.ipv6.enabled=true"], CLUSTER)
    assert values["ipv6NativeRoutingCIDR"] == "fd00:10::/48"
    assert values["ipam"]["operator"] == {"clusterPoolIPv6PodCIDRList": ["fd00:10::/48"], "clusterPoolIPv6MaskSize": 64}
    assert values["ipv4"] == {"enabled": False}
    assert "ipv4NativeRoutingCIDR" not in values


def test_an_endpoint_of_ipv6() -> None:
    values = _values([], Cluster(name="prod", endpoint="[fd00::10]:6443", nodes=[STATIC]))
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("fd00::10", 6443)


def test_no_address_beside_k8s_service_host_ref() -> None:
    """Both together are a `fail` of the chart."""
    values = _values(["cilium.values.k8sServiceHostRef={name: endpoint, key: host}"], CLUSTER)
    assert "k8sServiceHost" not in values


def test_values_follow_the_cluster() -> None:
    values = _values(["kubernetes.pod_cidr=10.1.0.0/16"])
    assert values["ipv4NativeRoutingCIDR"] == "10.1.0.0/16"
    assert values["ipam"]["operator"]["clusterPoolIPv4PodCIDRList"] == ["10.1.0.0/16"]
    assert values["kubeProxyReplacement"] is True
    assert "k8sServiceHost" not in values  # not known before the machine has its address
    values = _values([], CLUSTER)
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("api.example.com", 8443)
    values = _values([], Cluster(name="x", nodes=[STATIC]))
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("10.0.0.10", 6443)


def test_what_the_profile_says_wins() -> None:
    values = _values(["cilium.values.ipv4NativeRoutingCIDR=10.0.0.0/8", "cilium.values.kubeProxyReplacement=false"])
    assert values["ipv4NativeRoutingCIDR"] == "10.0.0.0/8"
    assert values["kubeProxyReplacement"] is False


@pytest.mark.parametrize(
    ("release", "redirect", "slices"),
    [
        ("1.15.19", "localRedirectPolicy", "enableCiliumEndpointSlice"),
        ("1.16.19", "localRedirectPolicy", "ciliumEndpointSlice"),
        ("1.17.18", "localRedirectPolicy", "ciliumEndpointSlice"),
        ("1.18.12", "localRedirectPolicies", "ciliumEndpointSlice"),
        ("1.20.0", "localRedirectPolicies", "ciliumEndpointSlice"),
    ],
)
def test_names_of_the_chart_asked_for(release: str, redirect: str, slices: str) -> None:
    values = _values([f"cilium.version={release}"])
    assert {k for k in values if "edirectPolic" in k} == {redirect}
    assert {k for k in values if "EndpointSlice" in k} == {slices}
    for key in (redirect, slices):
        assert values[key] in (True, {"enabled": True})
    # The recipe's own intent survives in each of them.
    assert values["routingMode"] == "native"


def test_the_profile_is_not_changed() -> None:
    found = loaded("debian12-efi", sets=["cilium.version=1.15.19"])
    before = repr(found.profile.cilium.values)
    cilium_values(found.profile, DEFAULT, DEFAULT.nodes[0])
    assert repr(found.profile.cilium.values) == before


def test_seed_conf_is_quoted() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0vqjJd0N5k0y3sY9bJ8e3V it's $(me)"
    found = loaded("debian12-efi", sets=[f'users=[{{name: ops, ssh_keys: ["{key}"]}}]'])
    text = seed_tree(found.profile, found.target, DEFAULT, DEFAULT.nodes[0]).files[-1].content.decode()
    assert "it's" not in text  # sshd's file may have another comment
    assert ["ops", " ".join(key.split()[:2])] in [shlex.split(line) for line in text.splitlines() if "AAAA" in line]
