"""Kubernetes, helm and Cilium."""

import re
from typing import Annotated, Literal

from pydantic import Field

from imgbuild.config.cluster_fields import NodeIp
from imgbuild.config.fields import (
    Address,
    CertificateName,
    ClusterCidr,
    DnsName,
    Image,
    KubernetesVersion,
    Model,
    PlainFileName,
    Sha256,
    Url,
    Version,
)
from imgbuild.config.profile.containers import Binary
from imgbuild.config.reference import Reference
from imgbuild.config.setting import IN_THE_PROFILE, Listed, Setting


def _has_secret(text: str) -> bool:
    """A private key, a key of an EncryptionConfiguration, or a token of a kubeconfig."""
    return (
        "PRIVATE KEY-----" in text or re.search(r"(?m)^[ -]*(secret|token|password|client-key-data):", text) is not None
    )


class Kubernetes(Model):
    """Recipe: kubelet, kubeadm, kubectl and kubeadm init."""

    enabled: Annotated[
        bool,
        Setting(
            "Whether this is a Kubernetes node. The layer `container-host` sets `false`.",
            scope="cluster",
            instead=IN_THE_PROFILE,
            recipe="yum install -y kubelet kubeadm kubectl --disableexcludes=kubernetes;",
        ),
    ]
    version: Annotated[
        KubernetesVersion,
        Setting(
            "Kubernetes version, pinned. [Why CentOS 7 is not on 1.34](../explanation/centos7.md#why-kubernetes-135).",
            example="1.34.11",
            scope="cluster",
            instead=IN_THE_PROFILE,
            recipe="--kubernetes-version=stable",
        ),
    ]
    source: Annotated[
        Literal["packages", "binaries"],
        Setting("`packages` from `repositories.kubernetes`, or the `binaries` that you pin in `kubernetes.binaries`."),
    ]
    binaries: Annotated[
        dict[Literal["kubeadm", "kubelet", "kubectl", "crictl"], Binary],
        Setting(
            "Files for `source: binaries`, or tar.gz archives with the program at their top. NAME is kubeadm, kubelet, "
            "kubectl or crictl. [`imgbuild lock`](../how-to/lock.md) finds them.",
            example={"kubectl": {"urls": ["file:///srv/files/kubectl"], "sha256": "0" * 64}},
        ),
    ]
    image_repository: Annotated[
        Image,
        Setting(
            "Repository that kubeadm pulls its images from.",
            example="registry.aliyuncs.com/google_containers",
            scope="cluster",
            instead=IN_THE_PROFILE,
            recipe="kubeadm init --image-repository registry.aliyuncs.com/google_containers",
        ),
    ]
    pod_cidr: Annotated[
        ClusterCidr,
        Setting(
            "Network of the pods, IPv4 or IPv6, or one of each with a comma for [dual stack]"
            "(../how-to/network.md#dual-stack); Cilium gets the same.",
            example="10.32.0.0/16",
            scope="cluster",
            instead=IN_THE_PROFILE,
            recipe="--pod-network-cidr=10.244.0.0/16",
        ),
    ]
    service_cidr: Annotated[
        ClusterCidr,
        Setting(
            "Network of the Services, of the same families as the pods'. It must not overlap with the pods' network or "
            "a node's. With two, the first is the family of the nodes' main addresses and of the API server.",
            example="10.97.0.0/16",
            scope="cluster",
            instead=IN_THE_PROFILE,
        ),
    ]
    dns_domain: Annotated[
        DnsName,
        Setting("DNS domain of the cluster.", example="cluster.example.com", scope="cluster", instead=IN_THE_PROFILE),
    ]
    advertise_address: Annotated[
        Address | None,
        Setting(
            "Address that other nodes reach the node at: its API server's and its kubelet's. `null`: the node's first "
            "static address, else the address of the default route. In a profile it is the control plane's; in a "
            "node's settings it is that node's, also a worker's.",
            example="10.0.0.11",
            scope="seed",
            recipe="--apiserver-advertise-address=$(ifconfig eth0",
        ),
    ]
    node_ip: Annotated[
        NodeIp | None,
        Setting(
            "Interface whose address is the node's in Kubernetes, for nodes with several cards, or that address: the "
            "kubelet's `--node-ip`. With DHCP first boot looks it up. The API server is there too, unless "
            "`advertise_address` is set. `null`: as for `advertise_address`.",
            example="eth1",
            scope="seed",
        ),
    ]
    api_port: Annotated[
        int,
        Field(ge=1, le=65535),
        Setting("Port of the API server.", example=8443, scope="cluster", instead=IN_THE_PROFILE),
    ]
    kube_proxy: Annotated[
        bool,
        Setting(
            "Whether kube-proxy runs. `false`: Cilium replaces it.",
            scope="cluster",
            instead=IN_THE_PROFILE,
            recipe="--skip-phases=addon/kube-proxy",
        ),
    ]
    schedulable_control_plane: Annotated[
        bool,
        Setting(
            "Whether pods may run on a control plane.",
            scope="seed",
            recipe="kubectl taint nodes --all node-role.kubernetes.io/control-plane-",
        ),
    ]
    cgroup_v1: Annotated[
        Literal["refuse", "accept"],
        Setting(
            "`accept` runs Kubernetes 1.35 to 1.37 on cgroup v1, against Kubernetes' advice. From 1.38 on it has no "
            "effect: cgroup v1 does not work there.",
            scope="cluster",
            instead=IN_THE_PROFILE,
        ),
    ]
    certificate_validity: Annotated[
        Annotated[int, Field(ge=1, le=3650)] | None,
        Setting(
            "How long the certificates that kubeadm makes are valid; works from 1.31 on. `null`: kubeadm's own 365 "
            "days. They are [renewed](../how-to/certificates.md) in time.",
            example=730,
            unit="days",
            scope="cluster",
            instead=IN_THE_PROFILE,
        ),
    ]
    cert_sans: Annotated[
        list[CertificateName],
        Setting(
            "More names and addresses that the certificate of each API server is valid for: of a load balancer, a NAT "
            "address, a name in your DNS. kubeadm adds the node's own, the endpoint and the names of the Service "
            "`kubernetes`. `*.` may be the first part.",
            example=["203.0.113.9", "k8s.corp.example"],
            scope="cluster",
            instead=IN_THE_PROFILE,
        ),
    ]
    kubelet: Annotated[
        dict[str, object],
        Listed("kubelet-types", "kubernetes-secret"),
        Setting(
            "Fields of the kubelet's KubeletConfiguration, under their own names: [how-to]"
            "(../how-to/kubernetes-settings.md#the-kubelet). They are checked against the types of this "
            "Kubernetes. What another key sets is refused. `null` removes a field. A node's own fields travel as a "
            "patch of kubeadm, which it has from 1.25 on.",
            example={"maxPods": 200, "systemReserved": {"memory": "1Gi"}},
            scope="seed",
        ),
    ]
    kubeadm: Annotated[
        dict[str, object],
        Listed("kubeadm-types", "kubernetes-secret"),
        Setting(
            "Fields of kubeadm's ClusterConfiguration, under their own names, and `timeouts`: [how-to]"
            "(../how-to/kubernetes-settings.md#api-server-controller-manager-scheduler-etcd). They are checked as "
            "`kubernetes.kubelet` is. `extraArgs` may be a mapping, or a list of name and value, for each version.",
            example={"apiServer": {"extraArgs": {"audit-log-path": "-"}}},
            scope="cluster",
            instead=IN_THE_PROFILE,
        ),
    ]
    node_registration: Annotated[
        dict[str, object],
        Listed("kubeadm-types", "kubernetes-secret"),
        Setting(
            "Fields of kubeadm's nodeRegistration: `kubeletExtraArgs`, `ignorePreflightErrors`, `imagePullPolicy`, "
            "`imagePullSerial`.",
            example={"kubeletExtraArgs": {"v": "4"}},
            scope="seed",
        ),
    ]
    control_plane_files: Annotated[
        dict[PlainFileName, Annotated[str, Reference(_has_secret)]],
        Setting(
            "Files that the API server, the controller manager or the scheduler reads, by name: an audit policy, keys "
            "for encryption, a CA. Each is a text, or `{file: PATH}`. They travel in the seeds of the control planes "
            "alone, as `/etc/imgbuild/control-plane/NAME`. The folder is mounted into each of them "
            "whose `extraArgs` name a file in it.",
            example={"audit-policy.yaml": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"},
            scope="cluster",
            instead=IN_THE_PROFILE,
            secret=True,
        ),
    ]
    patches: Annotated[
        dict[PlainFileName, Annotated[str, Reference(private=None)]],
        Setting(
            "Patches of kubeadm by file name, `TARGET[SUFFIX][+TYPE].yaml` or `.json`: [how-to]"
            "(../how-to/kubernetes-settings.md#patches). They are in `/etc/imgbuild/patches` on the node; workers get "
            "those of the kubelet.",
            example={"kube-apiserver+merge.yaml": "spec: {priorityClassName: system-node-critical}\n"},
            scope="seed",
            secret=True,
        ),
    ]


class Helm(Model):
    """Recipe: helm 3.9.2 from a mirror; Cilium's charts from 1.16 need a newer one."""

    enabled: Annotated[bool, Setting("Whether helm is installed. Cilium requires it.")]
    version: Annotated[
        Version,
        Setting(
            "Version of helm. helm 3.9 cannot render Cilium's charts from 1.16 on.",
            example="3.18.3",
            recipe="curl https://mirrors.huaweicloud.com/helm/v3.9.2/helm-v3.9.2-linux-amd64.tar.gz |tar zx;",
        ),
    ]
    urls: Annotated[
        list[Url],
        Field(min_length=1),
        Setting(
            "Addresses that helm's archive is fetched from, in order.",
            example=["https://mirror.example.com/helm-v4.3.0-linux-amd64.tar.gz"],
        ),
    ]
    sha256: Annotated[Sha256, Setting("Checksum of the archive. It is always verified.", example="0" * 64)]


class Cilium(Model):
    """Recipe: the chart and its 51 values. ``values`` are the chart's, under the names of that chart."""

    enabled: Annotated[bool, Setting("Whether Cilium is the network of the cluster.")]
    version: Annotated[Version, Setting("Version of the chart.", example="1.19.5")]
    repository: Annotated[
        Url,
        Setting(
            "Repository of the chart.",
            example="https://charts.example.com",
            recipe="helm repo add cilium https://helm.cilium.io",
        ),
    ]
    chart: Annotated[
        Binary | None,
        Setting(
            "The chart as a file on the node, `cilium-VERSION.tgz`. `null`: first boot gets it from the repository.",
            example={"urls": ["file:///srv/files/cilium-1.19.6.tgz"], "sha256": "0" * 64},
        ),
    ]
    values: Annotated[
        dict[str, object],
        Listed("cilium-keys", "cilium-secret"),
        Setting(
            "Values of the chart, nested, under the chart's names: [the recipe's 51](../recipe.md#cilium). imgbuild "
            "adds known values: pod network, API server, kube-proxy, the cluster's name, one operator for a "
            "single node. `null` removes a value.",
            example={"routingMode": "tunnel"},
            recipe="helm upgrade -i cilium cilium/cilium --namespace kube-system",
        ),
    ]
