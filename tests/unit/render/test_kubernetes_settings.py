"""What kubernetes.kubelet, kubernetes.kubeadm and their like become in kubeadm's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.kubelet import difference
from imgbuild.outputs.rendered import Rendered
from imgbuild.pipeline import Request, prepare
from tests.support import travels

PATCH = "/etc/imgbuild/patches/kubeletconfiguration+merge.yaml"


def rendered(
    tmp_path: Path, nodes: str, *sets: str, profile: str = "debian12-efi", mode: str | None = None
) -> Rendered:
    path = tmp_path / "lab.yaml"
    path.write_text(f"name: lab\nendpoint: api.lan:6443\nnodes:\n{nodes}")
    findings = Findings()
    request = Request(profile, sets=sets, mode=mode, cluster=path, secrets=tmp_path / "secrets.yaml")
    return prepare(request, findings).rendered


def files(made: Rendered, node: str) -> dict[str, Any]:
    """The seed's files of a node, as items of write_files."""
    data = yaml.safe_load(made.groups["nodes"][f"{node}/user-data"].content)
    return {file["path"]: file for file in travels.files(data)}


def parts(made: Rendered, node: str, name: str = "kubeadm-init.yaml") -> dict[str, Any]:
    text = files(made, node)[f"/etc/imgbuild/{name}"]["content"]
    return {part["kind"]: part for part in yaml.safe_load_all(text)}


CP = "  - {name: cp1, role: control-plane}\n"
FIELDS = "kubernetes.kubelet={maxPods: 200, systemReserved: {memory: 1Gi, cpu: 500m}, seccompDefault: null}"


def test_every_kubelet_gets_the_profiles_fields(tmp_path: Path) -> None:
    made = rendered(tmp_path, CP + "  - {name: w1, role: worker}\n", FIELDS)
    config = parts(made, "cp1")["KubeletConfiguration"]
    assert config["maxPods"] == 200 and config["systemReserved"] == {"memory": "1Gi", "cpu": "500m"}
    assert config["cgroupDriver"] == "systemd" and "seccompDefault" not in config
    for node in ("cp1", "w1"):
        assert PATCH not in files(made, node)
        assert "patches" not in parts(made, node, "kubeadm-join.yaml")["JoinConfiguration"]


def test_a_nodes_own_fields_are_a_patch_of_it(tmp_path: Path) -> None:
    """Also of the node that makes the cluster: its own fields must not become everybody's."""
    first = CP.replace("}", ", settings: {kubernetes: {kubelet: {maxPods: 20}}}}")
    own = "{kubernetes: {kubelet: {maxPods: null, systemReserved: {cpu: '1'}}}}"
    made = rendered(tmp_path, f"{first}  - {{name: w1, role: worker, settings: {own}}}\n", FIELDS)
    assert parts(made, "cp1")["KubeletConfiguration"]["maxPods"] == 200
    assert parts(made, "cp1")["InitConfiguration"]["patches"] == {"directory": "/etc/imgbuild/patches"}
    assert yaml.safe_load(files(made, "cp1")[PATCH]["content"]) == {"maxPods": 20}
    assert parts(made, "w1", "kubeadm-join.yaml")["JoinConfiguration"]["patches"] == {
        "directory": "/etc/imgbuild/patches"
    }
    patch = files(made, "w1")[PATCH]
    assert yaml.safe_load(patch["content"]) == {"maxPods": None, "systemReserved": {"cpu": "1"}}
    assert patch["permissions"] == "0600"


def test_cgroup_v1_on_one_node_is_a_patch(tmp_path: Path) -> None:
    old = "  - {name: w1, role: worker, settings: {kernel: {flavour: kernel-lt, cgroup: v1}}}\n"
    quiet = ("cilium.values.enableIPv4BIGTCP=false", "cilium.values.bandwidthManager.bbr=false")
    made = rendered(tmp_path, CP + old, "kubernetes.cgroup_v1=accept", *quiet, profile="centos8-efi", mode="stock")
    assert "failCgroupV1" not in parts(made, "cp1")["KubeletConfiguration"]
    assert yaml.safe_load(files(made, "w1")[PATCH]["content"]) == {"failCgroupV1": False}


def test_the_difference_is_a_merge_patch() -> None:
    assert difference({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1, "b": {"c": 1, "d": 2}}) == {}
    assert difference({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 3}}) == {"a": None, "b": {"c": 3, "d": None}}
    assert difference({"a": [1]}, {"a": [1, 2], "b": {}}) == {"a": [1, 2], "b": {}}


WORKER = "  - {name: w1, role: worker}\n"
MORE = "  - {name: cp2, role: control-plane}\n"
KUBEADM = (
    "kubernetes.kubeadm={apiServer: {extraArgs: {audit-policy-file: /etc/imgbuild/control-plane/audit.yaml, v: 2}, "
    "extraEnvs: [{name: A, value: b}]}, controllerManager: {extraArgs: {bind-address: 0.0.0.0, profiling: false}}, "
    "etcd: {local: {dataDir: /srv/etcd/data, extraArgs: {listen-metrics-urls: 'http://0.0.0.0:2381'}}}, "
    "timeouts: {controlPlaneComponentHealthCheck: 10m}}"
)
POLICY = "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}"
FILE = f"kubernetes.control_plane_files.\"audit.yaml\"='{POLICY}'"


def test_fields_of_kubeadm_in_its_configuration(tmp_path: Path) -> None:
    sans = "kubernetes.cert_sans=[k8s.corp.example]"
    made = rendered(tmp_path, CP + MORE + WORKER, KUBEADM, FILE, sans)
    config = parts(made, "cp1")["ClusterConfiguration"]
    assert config["apiServer"] == {
        "extraArgs": [
            {"name": "audit-policy-file", "value": "/etc/imgbuild/control-plane/audit.yaml"},
            {"name": "v", "value": "2"},
        ],
        "extraEnvs": [{"name": "A", "value": "b"}],
        "extraVolumes": [
            {
                "name": "imgbuild-files",
                "hostPath": "/etc/imgbuild/control-plane",
                "mountPath": "/etc/imgbuild/control-plane",
                "readOnly": True,
                "pathType": "Directory",
            }
        ],
        "certSANs": ["k8s.corp.example"],
    }
    assert config["controllerManager"]["extraArgs"][1] == {"name": "profiling", "value": "false"}
    assert "extraVolumes" not in config["controllerManager"]
    assert config["etcd"]["local"]["extraArgs"] == [{"name": "listen-metrics-urls", "value": "http://0.0.0.0:2381"}]
    assert config["networking"]["dnsDomain"] == "cluster.local"
    assert "timeouts" not in config
    assert parts(made, "cp1")["InitConfiguration"]["timeouts"] == {"controlPlaneComponentHealthCheck": "10m"}
    join = parts(made, "w1", "kubeadm-join.yaml")["JoinConfiguration"]
    assert join["timeouts"] == {"discovery": "5m0s", "controlPlaneComponentHealthCheck": "10m"}
    for node, has in (("cp1", True), ("cp2", True), ("w1", False)):
        file = files(made, node).get("/etc/imgbuild/control-plane/audit.yaml")
        assert (file is not None) is has
        assert file is None or (file["permissions"], file["content"]) == ("0600", POLICY)
    assert "etcd_data=/srv/etcd/data\n" in files(made, "cp1")["/etc/imgbuild/cluster.conf"]["content"]


def test_arguments_before_v1beta4_are_a_mapping(tmp_path: Path) -> None:
    sets = ("kubernetes.version=1.30.14", 'kubernetes.node_registration={kubeletExtraArgs: [{name: v, value: "4"}]}')
    kubeadm = "kubernetes.kubeadm={scheduler: {extraArgs: [{name: v, value: '2'}]}}"
    made = rendered(tmp_path, CP, kubeadm, *sets, profile="centos8-efi")
    assert parts(made, "cp1")["ClusterConfiguration"]["scheduler"] == {"extraArgs": {"v": "2"}}
    registration = parts(made, "cp1")["InitConfiguration"]["nodeRegistration"]
    assert registration["kubeletExtraArgs"] == {"node-ip": "@NODE_IP@", "v": "4"}


def test_a_node_registers_with_its_own_fields(tmp_path: Path) -> None:
    own = "{kubernetes: {node_registration: {imagePullPolicy: Never, ignorePreflightErrors: [Mem, Mem]}}}"
    made = rendered(tmp_path, CP + WORKER.replace("}", f", settings: {own}}}"))
    assert "imagePullPolicy" not in parts(made, "cp1")["InitConfiguration"]["nodeRegistration"]
    registration = parts(made, "w1", "kubeadm-join.yaml")["JoinConfiguration"]["nodeRegistration"]
    assert registration["imagePullPolicy"] == "Never" and registration["ignorePreflightErrors"] == ["Mem"]


def test_patches_are_where_kubeadm_looks(tmp_path: Path) -> None:
    patches = 'kubernetes.patches={"etcd+json.yaml": "[]", "kubeletconfiguration1.yaml": "maxPods: 3"}'
    made = rendered(tmp_path, CP + WORKER, patches)
    folder = "/etc/imgbuild/patches"
    assert parts(made, "cp1")["InitConfiguration"]["patches"] == {"directory": folder}
    assert {path for path in files(made, "cp1") if path.startswith(folder)} == {
        f"{folder}/etcd+json.yaml",
        f"{folder}/kubeletconfiguration1.yaml",
    }
    assert [path for path in files(made, "w1") if path.startswith(folder)] == [f"{folder}/kubeletconfiguration1.yaml"]


def test_the_certificates_of_an_external_etcd_are_mounted_by_kubeadm(tmp_path: Path) -> None:
    folder = "/etc/imgbuild/control-plane"
    external = (
        f"endpoints: ['https://10.0.0.21:2379'], caFile: {folder}/ca.crt, certFile: {folder}/c, keyFile: {folder}/k"
    )
    own = f'kubernetes.control_plane_files={{ca.crt: a, c: b, k: c, "audit.yaml": "{POLICY}"}}'
    audit = f"apiServer: {{extraArgs: {{audit-policy-file: {folder}/audit.yaml}}}}"
    made = rendered(tmp_path, CP, f"kubernetes.kubeadm={{etcd: {{external: {{{external}}}}}, {audit}}}", own)
    config = parts(made, "cp1")["ClusterConfiguration"]
    assert config["etcd"]["external"]["caFile"] == f"{folder}/ca.crt"
    assert "extraVolumes" not in config["apiServer"]  # a second mount at the same path would be refused
    assert "etcd=external\n" in files(made, "cp1")["/etc/imgbuild/cluster.conf"]["content"]


def test_addons_travel_to_the_control_plane_that_makes_the_cluster(tmp_path: Path) -> None:
    addons = (
        "addons=[{name: web, chart: web, repository: 'https://c.example', version: 1.0.0, values: {a: secret-one}}, "
        "{name: team, manifest: '{apiVersion: v1, kind: Namespace, metadata: {name: secret-two}}'}]"
    )
    made = rendered(tmp_path, CP + MORE + WORKER, addons)
    first = {path: file for path, file in files(made, "cp1").items() if "addons" in path}
    assert set(first) == {
        "/etc/imgbuild/addons.conf",
        "/etc/imgbuild/addons/web/values.yaml",
        "/etc/imgbuild/addons/team/manifest.yaml",
    }
    assert {file["permissions"] for file in first.values()} == {"0600"}
    names = [line.split()[1] for line in first["/etc/imgbuild/addons.conf"]["content"].splitlines() if "addon " in line]
    assert names == ["name=web", "name=team"]
    for node in ("cp2", "w1"):
        assert not [path for path in files(made, node) if "addons" in path]
    assert not [path for path in made.node.by_path() if path.startswith("/etc/imgbuild/addons")]
    assert all(b"secret-" not in file.content for file in made.node.files)
