"""kubeadm's configuration, Cilium's values and what the seed says to verify."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from imgbuild.config.cluster import DEFAULT, Cluster, Node, Taint, Vip
from imgbuild.config.load import load
from imgbuild.config.node_network import Bond, Interface, NodeNetwork, Vlan
from imgbuild.config.secrets import Secrets, make
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.endpoint import own_address
from imgbuild.facts.resolved import resolve
from imgbuild.render.cilium import cilium_values
from imgbuild.render.cluster_files import seed_tree
from tests.support.profiles import resolved

MAC = "52:54:00:12:34:56"
STATIC = Node(
    name="cp1",
    role="control-plane",
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
    found = resolved(name, sets=sets)
    files = seed_tree(found, cluster, cluster.nodes[number]).by_path()
    parts = list(yaml.safe_load_all(files["/etc/imgbuild/kubeadm-init.yaml"].content))
    return {part["kind"]: part for part in parts}


def test_defaults_without_a_cluster_file() -> None:
    parts = _kubeadm("debian12-efi", [])
    init, cluster, kubelet = (parts[f"{k}Configuration"] for k in ("Init", "Cluster", "Kubelet"))
    assert init["apiVersion"] == cluster["apiVersion"] == "kubeadm.k8s.io/v1beta4"
    assert init["localAPIEndpoint"] == {"advertiseAddress": "@NODE_IP@", "bindPort": 6443}  # first boot finds it
    assert init["nodeRegistration"] == {
        "name": "node1",
        "criSocket": "unix:///run/containerd/containerd.sock",
        "taints": [],
        "kubeletExtraArgs": [{"name": "node-ip", "value": "@NODE_IP@"}],
    }
    assert "bootstrapTokens" not in init  # no cluster file, no secrets
    assert init["skipPhases"] == ["addon/kube-proxy"]
    assert cluster["kubernetesVersion"] == "v1.35.8"
    assert "controlPlaneEndpoint" not in cluster
    assert kubelet == {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
    }


def test_the_validity_of_certificates() -> None:
    assert "certificateValidityPeriod" not in _kubeadm("debian12-efi", [])["ClusterConfiguration"]
    asked = _kubeadm("debian12-efi", ["kubernetes.certificate_validity=730"])["ClusterConfiguration"]
    assert asked["certificateValidityPeriod"] == "17520h0m0s"


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
    assert init["nodeRegistration"]["taints"] == [
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    ]
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


def _paths(cluster: Cluster, node: Node, secrets: Secrets | None) -> dict[str, int]:
    found = resolved("debian12-efi")
    tree = seed_tree(found, cluster, node, secrets)
    return {f.path.removeprefix("/etc/imgbuild/"): f.mode for f in tree.files}


def test_who_gets_which_file(secrets: Secrets) -> None:
    every = {"seed.conf": 0o644, "cluster.conf": 0o644}
    master = every | {"cilium-values.yaml": 0o600}  # values may hold passwords
    init, join = {"kubeadm-init.yaml": 0o600}, {"kubeadm-join.yaml": 0o600, "pki/ca.crt": 0o644}
    pki = {f"pki/{name}": 0o644 for name in ("front-proxy-ca.crt", "etcd/ca.crt", "sa.pub")}
    pki |= {f"pki/{name}": 0o600 for name in ("ca.key", "front-proxy-ca.key", "etcd/ca.key", "sa.key")}
    assert [_paths(CLUSTER, node, None) for node in CLUSTER.nodes] == [master | init, every]
    three = CLUSTER.model_copy(update={"nodes": [*CLUSTER.nodes, Node(name="cp2", role="control-plane")]})
    # The first has the way to join too: there may be a cluster already when it is made anew.
    assert [_paths(three, node, secrets) for node in three.nodes] == [
        master | init | join | pki,
        every | join,
        master | join | pki,
    ]
    vip = three.model_copy(update={"vip": Vip(address="10.0.0.9")})
    assert [("kube-vip.yaml" in _paths(vip, node, secrets)) for node in vip.nodes] == [True, False, True]
    # A single node that finds its own address: nobody could join it.
    alone = Cluster(name="prod", nodes=[Node(name="a", role="control-plane")])
    assert "kubeadm-join.yaml" not in _paths(alone, alone.nodes[0], secrets)
    found = resolved("debian12-efi", ["distro-containerd", "container-host"])
    assert set(seed_tree(found, CLUSTER, STATIC, secrets).by_path()) == {"/etc/imgbuild/seed.conf"}


@pytest.mark.parametrize(("release", "api"), [("1.30.14", "v1beta3"), ("1.31.14", "v1beta4")])
def test_a_node_joins_by_token_and_ca_hash(secrets: Secrets, release: str, api: str) -> None:
    found = resolved("debian12-efi", sets=[f"kubernetes.version={release}"])
    labelled = Node(
        name="cp2", role="control-plane", labels={"example.org/rack": "r1"},
        taints=[Taint(key="gpu", value="yes", effect="NoExecute")],
    )  # fmt: skip
    cluster = CLUSTER.model_copy(update={"nodes": [*CLUSTER.nodes, labelled]})
    files = [seed_tree(found, cluster, n, secrets).by_path() for n in cluster.nodes]
    worker, master = (yaml.safe_load(f["/etc/imgbuild/kubeadm-join.yaml"].content) for f in files[1:])
    assert worker["apiVersion"] == f"kubeadm.k8s.io/{api}"
    assert worker["discovery"]["bootstrapToken"] == {
        "token": secrets.bootstrap_token,
        "apiServerEndpoint": "api.example.com:8443",
        "caCertHashes": [secrets.ca_hash],
    }
    assert "controlPlane" not in worker
    assert "taints" not in worker["nodeRegistration"]
    assert master["controlPlane"] == {"localAPIEndpoint": {"advertiseAddress": "@NODE_IP@", "bindPort": 6443}}
    arguments = {"node-ip": "@NODE_IP@", "node-labels": "example.org/rack=r1"}
    pairs = [{"name": name, "value": value} for name, value in arguments.items()]
    assert master["nodeRegistration"]["kubeletExtraArgs"] == (arguments if api == "v1beta3" else pairs)
    assert master["nodeRegistration"]["taints"] == [{"key": "gpu", "value": "yes", "effect": "NoExecute"}]
    text = files[0]["/etc/imgbuild/kubeadm-init.yaml"].content.decode()
    init = next(yaml.safe_load_all(text))
    (token,) = init["bootstrapTokens"]
    # No "expires": kubeadm sets a default ttl beside it and refuses both. First boot knows what is left.
    assert (token["token"], token["ttl"], "expires" in token) == (secrets.bootstrap_token, "@TOKEN_TTL@", False)
    # YAML has made a time of it.
    every = b"".join(f.content for tree in files for f in tree.values())
    assert b"certificateKey" not in every


def test_cluster_conf_is_read_by_bash(secrets: Secrets) -> None:
    found = resolved("debian12-efi")
    wanted = {
        "node_role": ["init", "worker"], "node_ip": ["10.0.0.10", ""], "endpoint": ["api.example.com:8443"] * 2,
        "ca_hash": [secrets.ca_hash] * 2, "token_expires": [str(secrets.token_end)] * 2, "kube_proxy": ["no"] * 2,
        "cilium_routing": ["native"] * 2, "cilium_host_routing": ["bpf"] * 2, "cilium_kpr": ["yes"] * 2,
    }  # fmt: skip
    for number, node in enumerate(CLUSTER.nodes):
        tree = seed_tree(found, CLUSTER, node, secrets).by_path()
        script = tree["/etc/imgbuild/cluster.conf"].content.decode() + "".join(
            f'printf "%s\\n" "${name}"\n' for name in wanted
        )
        said = subprocess.run(["bash", "-eu"], input=script, capture_output=True, text=True, check=True).stdout
        assert said.splitlines() == [values[number] for values in wanted.values()]


VALUES = "cilium.values."


@pytest.mark.parametrize(
    ("sets", "wanted"),
    [
        ([], {"cilium_masquerading": "bpf", "cilium_balancer": "dsr", "cilium_bandwidth": "on, with BBR",
              "cilium_devices": "", "cilium_kpr": "yes"}),
        (["bpf.masquerade=false"], {"cilium_masquerading": "iptables", "cilium_host_routing": "legacy"}),
        (["enableIPv4Masquerade=false"], {"cilium_masquerading": "off"}),  # IPv6's is the chart's default, and idle
        (["enableIPv4Masquerade=false", "ipv6.enabled=true"], {"cilium_masquerading": "bpf"}),
        (["loadBalancer.mode=null"], {"cilium_balancer": "snat"}),
        (["bandwidthManager.bbr=false"], {"cilium_bandwidth": "on"}),
        (["bandwidthManager.enabled=false"], {"cilium_bandwidth": ""}),
        (["enableIPv4BIGTCP=true", "enableIPv6BIGTCP=true"], {"cilium_big_tcp": "IPv4 IPv6"}),
        (["enableIPv4BIGTCP=false"], {"cilium_big_tcp": ""}),
        (["kubeProxyReplacement=false"], {"cilium_kpr": "no", "cilium_balancer": "", "cilium_host_routing": "legacy"}),
        # The agent takes the direct routing device from those that it has: it names no device to take.
        (["devices=[eth0, eth1]"], {"cilium_devices": "eth0 eth1"}),
        (["nodePort.directRoutingDevice=eth0"], {"cilium_devices": ""}),
    ],
)  # fmt: skip
def test_what_verify_compares_with_the_agent(sets: list[str], wanted: dict[str, str]) -> None:
    found = Findings()
    read = load("debian12-efi", [], [f"{VALUES}{one}" for one in sets], None, found)
    assert read is not None
    tree = seed_tree(resolve(read), DEFAULT, DEFAULT.nodes[0]).by_path()
    rows = dict(line.split("=", 1) for line in tree["/etc/imgbuild/cluster.conf"].content.decode().splitlines()[1:])
    assert {name: shlex.split(rows[name])[0] for name in wanted} == wanted


@pytest.mark.parametrize(("release", "config"), [("1.28.2", "admin"), ("1.30.14", "super-admin")])
def test_kube_vip_has_rights_before_there_is_a_cluster(release: str, config: str) -> None:
    found = resolved("debian12-efi", sets=[f"kubernetes.version={release}"])
    other = Node(name="cp2", role="control-plane")
    cluster = Cluster(name="prod", vip=Vip(address="10.0.0.9", interface="eth0"), nodes=[STATIC, other])
    volumes = []
    for node in cluster.nodes:
        tree = seed_tree(found, cluster, node).by_path()
        pod = yaml.safe_load(tree["/etc/imgbuild/kube-vip.yaml"].content)
        environment = {e["name"]: e["value"] for e in pod["spec"]["containers"][0]["env"]}
        assert (environment["address"], environment["vip_interface"]) == ("10.0.0.9", "eth0")
        volumes.append(pod["spec"]["volumes"][0]["hostPath"]["path"])
    assert volumes == [f"/etc/kubernetes/{config}.conf", "/etc/kubernetes/admin.conf"]


TWO = [
    Interface(name="eth0", mac=MAC, addresses=["172.30.0.11/24"], gateway="172.30.0.1"),
    Interface(name="eth1", mac="52:54:00:12:34:57", addresses=["10.50.0.11/24", "fd00::11/64"]),
]
WIDE = [Interface(name="eth0", mac=MAC, addresses=["10.0.0.11/8"]), TWO[1]]
ON_VLAN = NodeNetwork(
    interfaces=[Interface(name="eth0", mac=MAC)],
    vlans=[Vlan(name="vlan5", id=5, link="eth0", addresses=["10.50.0.11/24"])],
)


def test_kube_vip_takes_the_interface_of_node_ip_where_addresses_come_by_dhcp() -> None:
    found = resolved("debian12-efi", sets=["kubernetes.node_ip=eth1"])
    node = Node(name="cp1", role="control-plane")
    cluster = Cluster(name="prod", vip=Vip(address="10.50.0.100"), nodes=[node])
    tree = seed_tree(found, cluster, node).by_path()
    pod = yaml.safe_load(tree["/etc/imgbuild/kube-vip.yaml"].content)["spec"]
    assert {"name": "vip_interface", "value": "eth1"} in pod["containers"][0]["env"]


@pytest.mark.parametrize(
    ("network", "address", "named", "wanted"),
    [
        (NodeNetwork(interfaces=TWO), "10.50.0.100", None, "eth1"),
        (NodeNetwork(interfaces=TWO), "172.30.0.100", None, "eth0"),
        (NodeNetwork(interfaces=TWO), "fd00::100", None, "eth1"),
        (NodeNetwork(interfaces=TWO), "10.50.0.100", "eth0", "eth0"),
        (NodeNetwork(interfaces=WIDE), "10.50.0.100", None, "eth1"),  # the narrower
        (NodeNetwork(interfaces=WIDE), "10.51.0.100", None, "eth0"),
        (STATIC.network, "10.0.0.99", None, "bond0"),
        (ON_VLAN, "10.50.0.100", None, "vlan5"),
        (NodeNetwork(interfaces=[Interface(name="eth0", mac=MAC, dhcp=True)]), "10.50.0.100", None, None),
        (None, "10.50.0.100", None, None),
    ],
)
def test_kube_vip_takes_the_interface_whose_network_has_the_address(
    network: NodeNetwork | None, address: str, named: str | None, wanted: str | None
) -> None:
    found = resolved("debian12-efi")
    node = Node(name="cp1", role="control-plane", network=network)
    cluster = Cluster(name="prod", vip=Vip(address=address, interface=named), nodes=[node])
    tree = seed_tree(found, cluster, node).by_path()
    pod = yaml.safe_load(tree["/etc/imgbuild/kube-vip.yaml"].content)["spec"]
    environment = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
    assert environment.get("vip_interface") == wanted
    # No hostAliases: kubelets before 1.32 may leave them out.
    assert "hostAliases" not in pod
    volumes = {v["name"]: v["hostPath"]["path"] for v in pod["volumes"]}
    mounts = {m["mountPath"]: volumes[m["name"]] for m in pod["containers"][0]["volumeMounts"]}
    hosts = tree[mounts["/etc/hosts"]]
    assert "127.0.0.1 localhost kubernetes" in hosts.content.decode().splitlines()


def test_own_address() -> None:
    found = resolved("debian12-efi")
    assert own_address(found.profile, STATIC) == "10.0.0.10"  # the one with the gateway
    assert own_address(found.profile, DEFAULT.nodes[0]) is None
    found = resolved("debian12-efi", sets=["kubernetes.advertise_address=192.0.2.7"])
    assert own_address(found.profile, STATIC) == "192.0.2.7"


def _values(sets: list[str], cluster: Cluster = DEFAULT) -> dict[str, Any]:
    return cilium_values(resolved("debian12-efi", sets=sets).profile, cluster, cluster.nodes[0])


def test_ipv6_pods_have_ipv6_keys_and_the_mask_that_kubeadm_takes() -> None:
    networks = ["kubernetes.pod_cidr=fd00:10::/48", "kubernetes.service_cidr=fd00:11::/112"]
    values = _values([*networks, "cilium.values.ipv6.enabled=true"], CLUSTER)
    assert values["ipv6NativeRoutingCIDR"] == "fd00:10::/48"
    assert values["ipam"]["operator"] == {"clusterPoolIPv6PodCIDRList": ["fd00:10::/48"], "clusterPoolIPv6MaskSize": 64}
    assert values["ipv4"] == {"enabled": False}
    assert "ipv4NativeRoutingCIDR" not in values


DUAL = (
    "kubernetes.pod_cidr=10.32.0.0/16,fd00:10::/48",
    "kubernetes.service_cidr=10.33.0.0/16,fd00:11::/112",
    "cilium.values.ipv6.enabled=true",
)


@pytest.mark.parametrize(
    "sets", [DUAL, [text.replace("10.33.0.0/16,fd00:11::/112", "fd00:11::/112,10.33.0.0/16") for text in DUAL]]
)
def test_dual_stack_reaches_kubeadm_kubelet_and_cilium(sets: Sequence[str]) -> None:
    card = Interface(name="eth0", mac=MAC, addresses=["fd00::9/64", "10.0.0.9/24"], gateway="10.0.0.1")
    static = Node(name="cp1", role="control-plane", network=NodeNetwork(interfaces=[card]))
    dhcp = Node(name="w1", role="worker")
    cluster = Cluster(name="prod", nodes=[static, dhcp])
    found = resolved("debian12-efi", sets=list(sets))
    main_is_6 = sets is not DUAL
    values = cilium_values(found.profile, cluster, static)
    assert values["ipv4NativeRoutingCIDR"] == "10.32.0.0/16" and values["ipv6NativeRoutingCIDR"] == "fd00:10::/48"
    assert values["ipam"]["operator"] == {
        "clusterPoolIPv4PodCIDRList": ["10.32.0.0/16"],
        "clusterPoolIPv6PodCIDRList": ["fd00:10::/48"],
        "clusterPoolIPv6MaskSize": 64,
    }
    assert values["ipv6"]["enabled"] is True and "ipv4" not in values
    assert values["k8sServiceHost"] == ("fd00::9" if main_is_6 else "10.0.0.9")
    tree = {file.path: file.content.decode() for file in seed_tree(found, cluster, static, make("prod", 0)).files}
    init, config, *_ = yaml.safe_load_all(tree["/etc/imgbuild/kubeadm-init.yaml"])
    assert config["networking"]["podSubnet"] == "10.32.0.0/16,fd00:10::/48"
    assert config["networking"]["serviceSubnet"] == found.profile.kubernetes.service_cidr
    assert init["localAPIEndpoint"]["advertiseAddress"] == ("fd00::9" if main_is_6 else "10.0.0.9")
    flags = {each["name"]: each["value"] for each in init["nodeRegistration"]["kubeletExtraArgs"]}
    assert flags["node-ip"] == ("fd00::9,10.0.0.9" if main_is_6 else "10.0.0.9,fd00::9")
    tree = {file.path: file.content.decode() for file in seed_tree(found, cluster, dhcp, make("prod", 0)).files}
    (join,) = yaml.safe_load_all(tree["/etc/imgbuild/kubeadm-join.yaml"])
    flags = {each["name"]: each["value"] for each in join["nodeRegistration"]["kubeletExtraArgs"]}
    assert flags["node-ip"] == "@NODE_IP@,@SECOND_IP@"
    assert (
        f"node_family={6 if main_is_6 else 4}\nsecond_family={4 if main_is_6 else 6}\n"
        in tree["/etc/imgbuild/cluster.conf"]
    )
    assert found.sysctls["net.ipv6.conf.all.forwarding"] == 1


def test_all_of_a_cluster_goes_through_each_nodes_own_balancer() -> None:
    second = Node(name="cp2", role="control-plane", settings={"kubernetes": {"advertise_address": "fd00::12"}})
    worker = Node(name="w1", role="worker")
    cluster = Cluster(name="prod", balancer="local", balancer_port=7000, nodes=[STATIC, second, worker])
    values = _values([], cluster)
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("127.0.0.1", 7000)
    made = make("prod", 1_800_000_000)
    for node in cluster.nodes:
        tree = {
            file.path: file.content.decode() for file in seed_tree(resolved("debian12-efi"), cluster, node, made).files
        }
        assert "apiServerEndpoint: 127.0.0.1:7000" in tree["/etc/imgbuild/kubeadm-join.yaml"]
        haproxy = tree["/etc/imgbuild/balancer/haproxy.cfg"]
        assert "bind 127.0.0.1:7000\n" in haproxy
        assert [line.split()[1:] for line in haproxy.splitlines() if line.startswith("    server ")] == [
            ["cp1", "10.0.0.10:6443"],
            ["cp2", "[fd00::12]:6443"],
        ]
        (container,) = yaml.safe_load(tree["/etc/imgbuild/balancer.yaml"])["spec"]["containers"]
        assert container["image"] == cluster.balancer_image
    without = {file.path for file in seed_tree(resolved("debian12-efi"), CLUSTER, CLUSTER.nodes[0], made).files}
    assert not [path for path in without if "balancer" in path]


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
    assert values["k8sServiceHost"] == "@NODE_IP@"  # not known before the machine has its address
    values = _values([], CLUSTER)
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("api.example.com", 8443)
    values = _values([], Cluster(name="x", nodes=[STATIC]))
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("10.0.0.10", 6443)


def test_one_node_has_one_operator() -> None:
    """The chart's two keep off each other's node: the second one would be Pending."""
    assert _values([])["operator"]["replicas"] == 1
    assert _values(["cilium.values.operator.replicas=3"])["operator"]["replicas"] == 3
    second = STATIC.model_copy(update={"name": "second"})
    assert "replicas" not in _values([], Cluster(name="x", nodes=[STATIC, second]))["operator"]


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
    found = resolved("debian12-efi", sets=["cilium.version=1.15.19"])
    before = repr(found.profile.cilium.values)
    cilium_values(found.profile, DEFAULT, DEFAULT.nodes[0])
    assert repr(found.profile.cilium.values) == before


def test_seed_conf_is_quoted() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0vqjJd0N5k0y3sY9bJ8e3V it's $(me)"
    found = resolved("debian12-efi", sets=[f'users=[{{name: ops, ssh_keys: ["{key}"]}}]'])
    text = seed_tree(found, DEFAULT, DEFAULT.nodes[0]).files[-1].content.decode()
    assert "it's" not in text  # sshd's file may have another comment
    assert ["ops", " ".join(key.split()[:2])] in [shlex.split(line) for line in text.splitlines() if "AAAA" in line]
