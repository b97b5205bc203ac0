"""Fields below kubernetes.kubelet: known ones, types, what follows from other keys, what the kubelet refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.findings import Finding
from imgbuild.diagnostics.severity import Severity
from tests.support.checking import codes, findings, well_formed

ON = "debian12-efi"


def told(fields: str, *sets: str, on: str = ON) -> list[Finding]:
    """The findings about ``kubernetes.kubelet: {FIELDS}``."""
    found = findings(on, [f"kubernetes.kubelet={{{fields}}}", *sets])
    well_formed(found)
    return found


def the(fields: str, *sets: str) -> Finding:
    """The only finding."""
    (found,) = told(fields, *sets)
    return found


GOOD = """
maxPods: 200, systemReserved: {cpu: 500m, memory: 1Gi, pid: "1000"}, kubeReserved: {ephemeral-storage: 1Gi},
containerLogMaxSize: 50Mi, containerLogMaxFiles: 3, evictionSoft: {memory.available: 500Mi},
evictionSoftGracePeriod: {memory.available: 90s}, evictionHard: {memory.available: 5%},
mergeDefaultEvictionSettings: true, topologyManagerPolicy: single-numa-node, cpuManagerPolicy: static,
shutdownGracePeriod: 30s, shutdownGracePeriodCriticalPods: 10s, serializeImagePulls: false, maxParallelImagePulls: 4,
clusterDNS: [169.254.20.10],
logging: {format: json, verbosity: 2, flushFrequency: 5s}, allowedUnsafeSysctls: [net.core.somaxconn],
shutdownGracePeriodByPodPriority: null, featureGates: {NodeSwap: false},
reservedMemory: [{numaNode: 0, limits: {memory: 1Gi}}]
""".replace("\n", " ")


def test_good_fields_give_nothing() -> None:
    assert told(GOOD) == []
    # The way for all that Kubernetes has is the same in the oldest minor.
    assert told("maxPods: 200", "kubernetes.version=1.24.17", on="centos8-efi") == []


@pytest.mark.parametrize(
    ("fields", "code", "key", "hint"),
    [
        ("maxPod: 200", "IB260", "maxPod", 'did you mean "maxPods"?'),
        ("webhook: {enabled: true}", "IB260", "webhook", "write authentication.webhook"),
        ("logging: {verbose: 2}", "IB260", "logging.verbose", 'did you mean "verbosity"?'),
        ("dynamicConfigDir: /x", "IB260", "dynamicConfigDir", "reference of KubeletConfiguration"),
        ("defaultPodSysctls: {a.b: c}", "IB260", "defaultPodSysctls", "1.37 and later do"),
        ('maxPods: "200"', "IB261", "maxPods", "without quotes"),
        ("maxPods: 1.5", "IB261", "maxPods", "whole number"),
        ("maxPods: true", "IB261", "maxPods", "whole number"),
        ("seccompDefault: 1", "IB261", "seccompDefault", "true or false"),
        ("syncFrequency: 60", "IB261", "syncFrequency", "30s, 5m"),
        ("systemReserved: {cpu: 1}", "IB261", "systemReserved.cpu", "in quotes"),
        ("systemReserved: 1Gi", "IB261", "systemReserved", "KEY: VALUE"),
        ("clusterDNS: 10.96.0.10", "IB261", "clusterDNS", "in [ ]"),
        ("authentication: true", "IB261", "authentication", "anonymous, webhook"),
        ("reservedMemory: {numaNode: 0}", "IB261", "reservedMemory", "with - in front"),
        ("reservedMemory: [{numaNode: a}]", "IB261", "reservedMemory[0].numaNode", "whole number"),
        ("cgroupDriver: systemd", "IB262", "cgroupDriver", "containerd.cgroup_driver"),
        ("failSwapOn: false", "IB262", "failSwapOn", "swap.enabled"),
        ("failCgroupV1: false", "IB262", "failCgroupV1", "kubernetes.cgroup_v1"),
        ("clusterDomain: a.b", "IB262", "clusterDomain", "kubernetes.dns_domain"),
        ("kind: KubeletConfiguration", "IB262", "kind", "remove it"),
        ("authentication: {x509: {clientCAFile: /x}}", "IB262", "authentication.x509.clientCAFile", "remove it"),
        ("registerWithTaints: [{key: a, effect: NoSchedule}]", "IB262", "registerWithTaints", "nodes[].taints"),
        ("evictionSoft: {memory.available: 1Gi}", "IB263", "evictionSoft.", "evictionSoftGracePeriod"),
        ("evictionHard: {memory.avail: 1Gi}, mergeDefaultEvictionSettings: true", "IB263", "evictionHard.", "did you"),
        ("evictionHard: {pid.available: 1GB}, mergeDefaultEvictionSettings: true", "IB263", "evictionHard.", "500Mi"),
        ("evictionHard: {memory.available: 101%}, mergeDefaultEvictionSettings: true", "IB263", "evictionHard.", "10%"),
        ("systemReserved: {mem: 1Gi}", "IB263", "systemReserved.mem", 'did you mean "memory"?'),
        ("systemReserved: {memory: -1Gi}", "IB263", "systemReserved.memory", "500m"),
        ("enforceNodeAllocatable: [pods, kube-reserved]", "IB263", "enforceNodeAllocatable[1]", "kubeReservedCgroup"),
        ("enforceNodeAllocatable: [pod]", "IB263", "enforceNodeAllocatable[0]", 'did you mean "pods"?'),
        ("enforceNodeAllocatable: [none, pods]", "IB263", "enforceNodeAllocatable[0]", "remove it"),
        ("cpuManagerPolicy: static", "IB263", "cpuManagerPolicy", "systemReserved"),
        ("memoryManagerPolicy: Static", "IB263", "memoryManagerPolicy", "reservedMemory"),
        ("memoryManagerPolicy: static", "IB263", "memoryManagerPolicy", 'did you mean "Static"?'),
        ("topologyManagerPolicy: single-numa", "IB263", "topologyManagerPolicy", "single-numa-node"),
        ("imageGCHighThresholdPercent: 70", "IB263", "imageGCHighThresholdPercent", "imageGCLowThresholdPercent"),
        ("imageMaximumGCAge: 1m", "IB263", "imageMaximumGCAge", "imageMinimumGCAge"),
        ("maxParallelImagePulls: 4", "IB263", "maxParallelImagePulls", "serializeImagePulls: false"),
        ("shutdownGracePeriodCriticalPods: 1m", "IB263", "shutdownGracePeriodCriticalPods", "shutdownGracePeriod"),
        ("containerLogMaxFiles: 1", "IB263", "containerLogMaxFiles", "at least 2"),
        ("containerLogMaxSize: 10MB", "IB263", "containerLogMaxSize", "10Mi"),
        ("oomScoreAdj: -1001", "IB263", "oomScoreAdj", "-1000 to 1000"),
        ("reservedSystemCPUs: 0-3, systemReservedCgroup: /s", "IB263", "systemReservedCgroup", "one of the two"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_finding(fields: str, code: str, key: str, hint: str) -> None:
    found = the(fields)
    assert found.code == code
    assert found.key.replace('"', "").startswith(f"kubernetes.kubelet.{key}")
    assert hint in found.hint


def test_all_mistakes_are_found_at_once() -> None:
    found = told("maxPod: 200, syncFrequency: 60, failSwapOn: false, seccompDefault: 1")
    assert sorted(f.code for f in found) == ["IB260", "IB261", "IB261", "IB262"]
    assert len(told(", ".join(f"unknown{n}: 1" for n in range(30)))) == 21


def test_thresholds_that_are_not_named_are_off() -> None:
    found = the("evictionHard: {memory.available: 1Gi}")
    assert found.code == "IB264" and found.severity is Severity.WARNING
    assert "nodefs.available" in found.message and "mergeDefaultEvictionSettings" in found.hint
    (old,) = told("evictionHard: {memory.available: 1Gi}", "kubernetes.version=1.31.14", on="centos8-efi")
    assert "mergeDefault" not in old.hint and "nodefs.inodesFree" in old.hint
    assert told("evictionHard: {memory.available: 0%}") == []  # the documented way to turn all of them off


def test_more_pods_than_addresses() -> None:
    assert told("maxPods: 252") == []
    found = the("maxPods: 253")
    assert found.code == "IB264" and "clusterPoolIPv4MaskSize: 23" in found.hint
    assert told("maxPods: 253", "cilium.values.ipam.operator.clusterPoolIPv4MaskSize=23") == []
    assert told("maxPods: 500", "cilium.values.ipam.mode=kubernetes") == []


def test_protected_kernel_defaults_are_the_sysctls() -> None:
    found = told("protectKernelDefaults: true")
    assert {f.code for f in found} == {"IB263"} and len(found) == 3
    fixes = [f.hint.removeprefix("set ").replace(": ", "=") for f in found]
    assert told("protectKernelDefaults: true", *fixes) == []
    assert len(told("protectKernelDefaults: true", *fixes, 'kernel.sysctl."vm.panic_on_oom"=1')) == 1


def test_the_swap_of_each_minor() -> None:
    found = told("memorySwap: {swapBehavior: UnlimitedSwap}")
    assert {f.code for f in found} == {"IB263", "IB264"}
    old = told("memorySwap: {swapBehavior: UnlimitedSwap}", "kubernetes.version=1.29.15", on="centos8-efi")
    assert codes(old) == {"IB264"}


def test_fields_without_kubernetes() -> None:
    found = findings(ON, ["kubernetes.kubelet={maxPod: 1}"], ["container-host"])
    assert codes(found) == {"IB266"}


def cluster(tmp_path: Path, *settings: str) -> Path:
    path = tmp_path / "lab.yaml"
    rows = [
        f"  - {{name: n{i}, role: {'worker' if i else 'control-plane'}, settings: {s}}}\n"
        for i, s in enumerate(settings)
    ]
    path.write_text("name: lab\nendpoint: api.lan:6443\nnodes:\n" + "".join(rows))
    return path


def test_a_node_of_its_own_is_checked_with_its_place(tmp_path: Path) -> None:
    path = cluster(tmp_path, "{}", "{kubernetes: {kubelet: {maxPod: 50}}}")
    (found,) = findings(ON, cluster=path)
    assert (found.code, found.key) == ("IB260", "nodes[1].settings.kubernetes.kubelet.maxPod")
    assert found.mark is not None and found.mark.file.endswith("lab.yaml") and found.mark.line == 5


def test_a_node_of_its_own_before_kubeadm_patches(tmp_path: Path) -> None:
    path = cluster(tmp_path, "{}", "{kubernetes: {kubelet: {maxPods: 50}}}")
    assert codes(findings("centos8-efi", ["kubernetes.version=1.24.17"], cluster=path)) >= {"IB449"}
    assert "IB449" not in codes(findings("centos8-efi", ["kubernetes.version=1.25.16"], cluster=path))
    same = cluster(tmp_path, "{}", "{kubernetes: {schedulable_control_plane: true}}")
    assert "IB449" not in codes(findings("centos8-efi", ["kubernetes.version=1.24.17"], cluster=same))


@pytest.mark.parametrize("name", ["203.0.113.9", "fd00::1", "k8s.corp.example", "*.corp.example"])
def test_names_of_certificates(name: str) -> None:
    assert findings(ON, [f"kubernetes.cert_sans=['{name}']"]) == []


@pytest.mark.parametrize(
    "name", ["https://k8s.corp.example", "k8s.corp.example:6443", "*", "a.*.b", "10.0.0.0/8", "A.b"]
)
def test_what_a_certificate_cannot_be_for(name: str) -> None:
    (found,) = findings(ON, [f"kubernetes.cert_sans=['{name}']"])
    assert found.key == "kubernetes.cert_sans[0]" and found.severity is Severity.ERROR
