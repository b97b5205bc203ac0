"""The kubelet's and kubeadm's own settings."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB260",
        ERROR,
        "This Kubernetes has no such field or argument",
        why=(
            "kubeadm and the kubelet read their configuration strictly, and refuse a field that they do not know. "
            "The fields are those of Kubernetes' own types, by minor version. No program starts with an argument or an "
            "admission plugin that it no longer has, such as `insecure-port` or `network-plugin` of older recipes."
        ),
        fix="Write the field's own name, remove the argument, or use a version that has it.",
        bad="kubernetes: {kubelet: {maxPod: 200}}",
        good="kubernetes: {kubelet: {maxPods: 200}}",
    ),
    Code(
        "IB261",
        ERROR,
        "A value has the wrong type",
        why="kubeadm and the kubelet refuse a configuration with a value of another type, on the node.",
        fix="Write the value as the message tells.",
        bad="kubernetes: {kubelet: {systemReserved: {cpu: 1}}}",
        good='kubernetes: {kubelet: {systemReserved: {cpu: "1"}}}',
    ),
    Code(
        "IB262",
        ERROR,
        "A field that follows from other settings",
        why="imgbuild or kubeadm sets this field, and other parts of the node have to agree with it.",
        fix="Remove the field, and set the key that the message names.",
        bad="kubernetes: {kubelet: {cgroupDriver: systemd}}",
        good="containerd: {cgroup_driver: systemd}",
    ),
    Code(
        "IB263",
        ERROR,
        "The kubelet does not start with this value",
        why=(
            "The kubelet checks its configuration when it starts (ValidateKubeletConfiguration and what follows it), "
            "and ends if a value or a combination is not allowed."
        ),
        fix="Write a value that it accepts.",
        bad="kubernetes: {kubelet: {evictionSoft: {memory.available: 500Mi}}}",
        good="kubernetes: {kubelet: {evictionSoft: {memory.available: 500Mi}, evictionSoftGracePeriod: {memory.available: 90s}}}",  # noqa: E501
    ),
    Code(
        "IB264",
        WARNING,
        "A value of the kubelet with a surprise",
        why="The kubelet starts with it, but the node or the cluster does not behave as the value promises.",
        fix="Do what the message tells.",
        bad="kubernetes: {kubelet: {maxPods: 500}}",
        good="kubernetes: {kubelet: {maxPods: 250}}",
    ),
    Code(
        "IB265",
        ERROR,
        "kubeadm refuses this value",
        why="kubeadm checks its configuration before it does anything, on the node (its package validation).",
        fix="Write a value that it accepts.",
        bad="kubernetes: {kubeadm: {etcd: {external: {endpoints: [10.0.0.21]}}}}",
        good="kubernetes: {kubeadm: {etcd: {external: {endpoints: ['http://10.0.0.21:2379']}}}}",
    ),
    Code(
        "IB266",
        WARNING,
        "Settings of Kubernetes that are not used",
        why="The node does not run Kubernetes (`kubernetes.enabled` is `false`), or no program reads the file.",
        fix="Remove them, or set what the message names.",
        bad="""
            extends: [centos7-efi, container-host]
            kubernetes: {kubelet: {maxPods: 200}}
        """,
        good="extends: [centos7-efi, container-host]",
    ),
    Code(
        "IB267",
        ERROR,
        "The control plane cannot read this file",
        why=(
            "API server, controller manager and scheduler run in containers, and see only what is mounted into them. "
            "Without its file such a program does not start, and `kubeadm init` ends after four minutes."
        ),
        fix="Put the file into `kubernetes.control_plane_files`, or mount its folder.",
        bad="kubernetes: {kubeadm: {apiServer: {extraArgs: {audit-policy-file: /etc/audit.yaml}}}}",
        good="""
            kubernetes:
              control_plane_files:
                audit.yaml: "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}"
              kubeadm: {apiServer: {extraArgs: {audit-policy-file: /etc/imgbuild/control-plane/audit.yaml}}}
        """,
    ),
    Code(
        "IB268",
        ERROR,
        "kubeadm does not apply this patch",
        why="A file's name tells kubeadm what to patch, and it silently ignores a name that it does not know.",
        fix="Use a name that it knows: `TARGET[SUFFIX][+TYPE].yaml`.",
        bad='kubernetes: {patches: {apiserver.yaml: "spec: {priority: 1}"}}',
        good='kubernetes: {patches: {kube-apiserver.yaml: "spec: {priority: 1}"}}',
    ),
    Code(
        "IB269",
        ERROR,
        "A file that its reader cannot read",
        why=(
            "The text is not YAML, or not what a patch of this type is. Or the API server does not start with it: an "
            "audit policy of a version that is gone or without rules, an encryption key of the wrong length."
        ),
        fix="Correct the text.",
        bad='kubernetes: {patches: {kube-apiserver.yaml: "spec: {priority: 1"}}',
        good='kubernetes: {patches: {kube-apiserver.yaml: "spec: {priority: 1}"}}',
    ),
    Code(
        "IB548",
        WARNING,
        "ECDSA certificates on CentOS 7",
        why=(
            "`imgbuild-reset` of a control plane asks etcd to remove its member, with curl and a certificate that "
            "kubeadm made. curl of CentOS 7 is built with NSS, which reads RSA keys alone from files. The cluster's "
            "authorities may be ECDSA: only their certificates are read."
        ),
        fix="Use an RSA algorithm.",
        bad="kubernetes: {kubeadm: {encryptionAlgorithm: ECDSA-P256}}",
        good="kubernetes: {kubeadm: {encryptionAlgorithm: RSA-3072}}",
    ),
)
"""The rows of this family."""
