"""kubernetes.kubeadm, node_registration, control_plane_files and patches."""

from __future__ import annotations

import pytest

from imgbuild.diagnostics.findings import Finding
from imgbuild.diagnostics.severity import Severity
from tests.support.checking import codes, findings, well_formed

ON = "debian12-efi"
OLD = ("kubernetes.version=1.30.14",)
POLICY = "apiVersion: audit.k8s.io/v1, kind: Policy"
AUDIT = f"kubernetes.control_plane_files.\"audit.yaml\"='{{{POLICY}, rules: [{{level: None}}]}}'"
EXTERNAL = "endpoints: ['https://10.0.0.21:2379'], caFile: /etc/imgbuild/control-plane/ca.crt"


def told(fields: str, *sets: str, key: str = "kubeadm", on: str = ON) -> list[Finding]:
    """The findings about ``kubernetes.KEY: {FIELDS}``."""
    found = findings(on, [f"kubernetes.{key}={{{fields}}}", *sets])
    well_formed(found)
    return found


def test_both_forms_of_arguments_are_good_in_every_minor() -> None:
    for arguments in ("{v: 4, profiling: false, audit-log-path: '-'}", "[{name: v, value: '4'}]"):
        local = f"extraArgs: {arguments}, dataDir: /srv/etcd/data"
        good = f"apiServer: {{extraArgs: {arguments}}}, etcd: {{local: {{{local}}}}}"
        assert told(good) == []
        assert told(good, *OLD, on="centos8-efi") == []
        assert told(f"kubeletExtraArgs: {arguments}", key="node_registration") == []
    twice = "apiServer: {extraArgs: [{name: tls-sni-cert-key, value: a}, {name: tls-sni-cert-key, value: b}]}"
    assert told(twice) == []
    assert codes(told(twice, *OLD, on="centos8-efi")) == {"IB261"}


@pytest.mark.parametrize(
    ("fields", "code", "key", "hint"),
    [
        ("apiserver: {}", "IB260", "apiserver", 'did you mean "apiServer"?'),
        ("nodeRegistration: {}", "IB260", "nodeRegistration", "kubernetes.node_registration"),
        ("patches: {directory: /x}", "IB260", "patches", "kubernetes.patches"),
        ("apiServer: {timeoutForControlPlane: 5m}", "IB260", "apiServer.timeoutForControlPlane", "1.24 to 1.30 do"),
        ("apiServer: {extraArgs: {v: [1]}}", "IB261", "apiServer.extraArgs.v", "single text"),
        ("apiServer: {extraArgs: {--v: 4}}", "IB261", "apiServer.extraArgs.--v", "write v"),
        ("apiServer: {extraArgs: [v]}", "IB261", "apiServer.extraArgs[0]", "name: v"),
        ("apiServer: {extraArgs: v=4}", "IB261", "apiServer.extraArgs", "NAME: VALUE"),
        ("timeouts: {discovery: 5}", "IB261", "timeouts.discovery", "30s"),
        ("timeouts: 5m", "IB261", "timeouts", "discovery"),
        ("timeouts: {discover: 5m}", "IB260", "timeouts.discover", 'did you mean "discovery"?'),
        ("certificatesDir: /x", "IB262", "certificatesDir", "remove it"),
        ("networking: {podSubnet: 10.0.0.0/8}", "IB262", "networking", "kubernetes.pod_cidr"),
        ("apiServer: {certSANs: [a]}", "IB262", "apiServer.certSANs", "kubernetes.cert_sans"),
        ("proxy: {disabled: true}", "IB262", "proxy", "kubernetes.kube_proxy"),
        ("apiServer: {extraArgs: {secure-port: 8443}}", "IB262", "apiServer.extraArgs.secure-port", "api_port"),
        ("controllerManager: {extraArgs: {cluster-cidr: x}}", "IB262", "controllerManager.extraArgs.", "pod_cidr"),
        ("etcd: {local: {extraArgs: {data-dir: /x}}}", "IB262", "etcd.local.extraArgs.data-dir", "etcd.local.dataDir"),
        ("etcd: {local: {dataDir: etcd}}", "IB265", "etcd.local.dataDir", "/var/lib/etcd"),
        ("etcd: {local: {dataDir: /run/etcd}}", "IB265", "etcd.local.dataDir", "/var/lib/etcd"),
        ("etcd: {external: {endpoints: []}}", "IB265", "etcd.external", "endpoints"),
        ("etcd: {external: {endpoints: [10.0.0.1]}}", "IB265", "etcd.external.endpoints[0]", "http://HOST:2379"),
        ("etcd: {external: {endpoints: ['http://a:1'], certFile: /a, keyFile: /b}}", "IB265", "etcd.", "https"),
        ("etcd: {external: {endpoints: ['https://a:1'], certFile: /a}}", "IB265", "etcd.external", "both"),
        ("etcd: {external: {endpoints: ['https://a:1'], caFile: ca.crt}}", "IB265", "etcd.external.caFile", "control-"),
        (f"etcd: {{external: {{{EXTERNAL}}}}}", "IB267", "etcd.external.caFile", "control_plane_files"),
        ("apiServer: {extraVolumes: [{name: a, hostPath: /a}]}", "IB265", "apiServer.extraVolumes[0]", "mountPath"),
        ("scheduler: {extraVolumes: [{name: a, hostPath: a, mountPath: /a}]}", "IB265", "scheduler.extra", "absolute"),
        ("apiServer: {extraVolumes: [{name: a, hostPath: /a, mountPath: /a, pathType: file}]}", "IB265", "", '"File"'),
        ("encryptionAlgorithm: RSA-1024", "IB265", "encryptionAlgorithm", "RSA-"),
        ("apiServer: {extraArgs: {oidc-ca-file: /etc/ca.pem}}", "IB267", "apiServer.extraArgs.", "extraVolumes"),
        ("apiServer: {extraArgs: {oidc-ca-file: /etc/imgbuild/control-plane/a}}", "IB267", "apiServer.", "add k"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_finding(fields: str, code: str, key: str, hint: str) -> None:
    (found,) = told(fields)
    assert found.code == code
    assert found.key.replace('"', "").startswith(f"kubernetes.kubeadm.{key}")
    assert hint in found.hint


@pytest.mark.parametrize(
    ("fields", "first", "named"),
    [
        ("apiServer: {extraArgs: {insecure-port: '0'}}", "1.24", "insecure-port"),
        ("controllerManager: {extraArgs: [{name: pod-eviction-timeout, value: 1m}]}", "1.27", "pod-eviction-timeout"),
        ("scheduler: {extraArgs: {port: '0'}}", "1.24", "port"),
        ("apiServer: {extraArgs: {enable-admission-plugins: 'NodeRestriction,PodSecurityPolicy'}}", "1.25", "PodSec"),
        ("kubeletExtraArgs: {network-plugin: cni}", "1.24", "network-plugin"),
        ("kubeletExtraArgs: {container-runtime: remote}", "1.27", "container-runtime"),
    ],
)
def test_an_argument_of_older_recipes_keeps_its_program_from_starting(fields: str, first: str, named: str) -> None:
    key = "node_registration" if fields.startswith("kubelet") else "kubeadm"
    (found,) = told(fields, key=key)
    assert (found.code, found.severity) == ("IB260", Severity.ERROR)
    assert f"{named}" in found.message
    assert f"since Kubernetes {first}" in found.message
    assert found.hint.startswith("remove ")
    if first == "1.27":  # an older Kubernetes still has it
        assert told(fields, "kubernetes.version=1.26.15", key=key, on="centos8-efi") == []


AUDITED, ENCRYPTED = "audit-policy-file", "encryption-provider-config"
AES = "resources: [{resources: [secrets], providers: [{aescbc: {keys: [{name: k, secret: %s}]}}, {identity: {}}]}]"
ENCRYPTION = "apiVersion: apiserver.config.k8s.io/v1, kind: EncryptionConfiguration"


def read(argument: str, content: str) -> list[Finding]:
    """The findings about a file that the API server reads."""
    file = f"kubernetes.control_plane_files.\"a.yaml\"='{{{content}}}'"
    return told(f"apiServer: {{extraArgs: {{{argument}: /etc/imgbuild/control-plane/a.yaml}}}}", file)


@pytest.mark.parametrize(
    ("argument", "content", "hint"),
    [
        (AUDITED, POLICY.replace("v1", "v1beta1") + ", rules: [{level: None}]", "audit.k8s.io/v1 "),
        (AUDITED, POLICY, "rules: "),
        (AUDITED, f"{POLICY}, rules: [{{level: metadata}}]", '"Metadata"'),
        (ENCRYPTED, f"apiVersion: v1, kind: EncryptionConfig, {AES % ('A' * 43 + '=')}", "EncryptionC"),
        (ENCRYPTED, ENCRYPTION, "add resources"),
        (ENCRYPTED, f"{ENCRYPTION}, {AES % 'aGVsbG8='}", "head -c 32"),
        (ENCRYPTED, f"{ENCRYPTION}, {AES % 'not-base64'}", "head -c 32"),
        (ENCRYPTED, f"{ENCRYPTION}, resources: [{{resources: [a], providers: [{{aes: {{}}}}]}}]", "one of"),
    ],
)  # fmt: skip
def test_the_api_server_does_not_start_with_such_a_file(argument: str, content: str, hint: str) -> None:
    found = read(argument, content)
    assert codes(found) == {"IB269"}
    assert hint in found[0].hint
    assert "aGVsbG8=" not in f"{found}"


def test_the_api_server_reads_a_policy_and_keys() -> None:
    assert read(AUDITED, f"{POLICY}, rules: [{{level: RequestResponse}}]") == []
    assert read(ENCRYPTED, f"{ENCRYPTION}, {AES % ('A' * 43 + '=')}") == []


def test_a_file_that_is_mounted_can_be_read() -> None:
    volume = "extraVolumes: [{name: a, hostPath: /srv/a, mountPath: /srv/a, readOnly: true}]"
    assert told(f"apiServer: {{extraArgs: {{oidc-ca-file: /srv/a/ca.pem}}, {volume}}}") == []
    assert told("apiServer: {extraArgs: {oidc-ca-file: /etc/ssl/certs/ca-certificates.crt}}") == []
    own = "apiServer: {extraArgs: {audit-policy-file: /etc/imgbuild/control-plane/audit.yaml}}"
    assert told(own, AUDIT) == []
    (found,) = told(own.replace("audit.yaml", "audits.yaml"), AUDIT)[:1]
    assert found.hint == 'did you mean "audit.yaml"?'


def test_a_file_that_nothing_reads() -> None:
    (found,) = findings(ON, [AUDIT])
    assert (found.code, found.severity) == ("IB266", Severity.WARNING)


def test_kubeletconfiguration_fields_in_the_wrong_place() -> None:
    (found,) = told("maxPods: 200")
    assert found.code == "IB260"


@pytest.mark.parametrize(
    ("fields", "code", "hint"),
    [
        ("name: a", "IB262", "nodes[].name"),
        ("taints: []", "IB262", "nodes[].taints"),
        ("kubeletExtraArgs: {node-ip: 10.0.0.1}", "IB262", "kubernetes.node_ip"),
        ("kubeletExtraArgs: {node-labels: a=b}", "IB262", "nodes[].labels"),
        ("imagePullPolicy: always", "IB265", "Always"),
        ("ignorePreflightErrors: Mem", "IB261", "in [ ]"),
        ("ignorePreflightErrors: [all]", "IB264", "name those"),
        ("kubeletExtraArg: {}", "IB260", 'did you mean "kubeletExtraArgs"?'),
    ],
)
def test_the_registration_of_a_node(fields: str, code: str, hint: str) -> None:
    (found,) = told(fields, key="node_registration")
    assert found.code == code and hint in found.hint


@pytest.mark.parametrize(
    ("name", "text", "code", "hint"),
    [
        ("kube-apiserver.yaml", "spec: {}", "", ""),
        ("kube-apiserver0+merge.yaml", "spec: {}", "", ""),
        ("etcd+json.json", "[]", "", ""),
        ("kubeletconfiguration1+strategic.yaml", "maxPods: 3", "", ""),
        ("corednsdeployment.yaml", "spec: {replicas: 3}", "", ""),
        ("apiserver.yaml", "spec: {}", "IB268", "kube-apiserver+strategic.yaml"),
        ("kube-apiserver.yml", "spec: {}", "IB268", "kube-apiserver+strategic.yaml"),
        ("kube-apiserver+patch.yaml", "spec: {}", "IB268", "kube-apiserver+strategic.yaml"),
        ("kube-apiserver.x.yaml", "spec: {}", "IB268", "kube-apiserver+strategic.yaml"),
        ("coredns+json.yaml", "[]", "IB268", "corednsdeployment+json.yaml"),
        ("xyz.yaml", "spec: {}", "IB268", "begin with"),
        ("kubeletconfiguration+merge.yaml", "maxPods: 3", "IB268", "kubeletconfiguration1+merge.yaml"),
        ("etcd.yaml", "spec: {", "IB269", "indentation"),
        ("etcd.yaml", "text", "IB269", "spec: "),
        ("etcd+json.yaml", "spec: {}", "IB269", "op: add"),
        ("etcd.yaml", "", "IB269", "spec: "),
    ],
)
def test_names_and_texts_of_patches(name: str, text: str, code: str, hint: str) -> None:
    found = findings(ON, [f"kubernetes.patches.\"{name}\"='{text}'"])
    well_formed(found)
    assert codes(found) == ({code} if code else set())
    assert all(hint in f.hint for f in found)


def test_targets_by_version() -> None:
    coredns = ["kubernetes.patches.\"corednsdeployment.yaml\"='spec: {}'"]
    assert codes(findings("centos8-efi", [*coredns, *OLD])) == {"IB268"}
    kubelet = ["kubernetes.patches.\"kubeletconfiguration1.yaml\"='maxPods: 3'", "kubernetes.version=1.24.17"]
    assert codes(findings("centos8-efi", kubelet)) == {"IB268"}


def test_without_kubernetes_nothing_of_it_is_used() -> None:
    found = findings(ON, ["kubernetes.kubeadm.x=1", AUDIT], ["container-host"])
    assert [f.code for f in found] == ["IB266", "IB266"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/var/lib/kubelet/config.yaml", "kubernetes.kubelet"),
        ("/etc/kubernetes/manifests/haproxy.yaml", "kubernetes.patches"),
        ("/etc/kubernetes/audit.yaml", "kubernetes.control_plane_files"),
        ("/etc/kubernetes/pki/ca.crt", "secrets file"),
        ("/etc/kubernetes/admin.conf", "remove it"),
        ("/etc/kubernetes.d/x", ""),
    ],
)
def test_files_where_kubeadm_has_its_own(path: str, hint: str) -> None:
    found = findings(ON, [f"files=[{{path: {path}, content: x}}]"])
    assert codes(found) == ({"IB466"} if hint else set())
    assert all(hint in f.hint for f in found)
    assert all((f.severity is Severity.WARNING) == path.endswith("audit.yaml") for f in found)
    assert findings(ON, [f"files=[{{path: {path}, content: x}}]"], ["container-host"]) == []
