"""Codes: Kubernetes and its networks."""

# ruff: noqa: E501  (a table)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code("IB201", ERROR, "Kubernetes older than 1.24: no package repository has it any more", fix="A later one"),
    Code(
        "IB202",
        WARNING,
        "A minor that imgbuild does not know",
        fix="A known one, or look at the pause image and kubeadm's API yourself",
    ),
    Code(
        "IB203",
        WARNING,
        "Mirrors in China were seen with Kubernetes from 1.28 on",
        fix="`repositories.kubernetes`, or a later one",
    ),
    Code(
        "IB204",
        ERROR,
        "Kubernetes 1.38 and later never run on cgroup v1",
        fix="`kernel.cgroup: v2`, or 1.37 and older with `kubernetes.cgroup_v1: accept`",
    ),
    Code(
        "IB205",
        ERROR,
        "The kubelet refuses cgroup v1 from 1.35 on",
        fix="1.34 and older, `kernel.cgroup: v2`, or `kubernetes.cgroup_v1: accept`",
    ),
    Code(
        "IB206",
        ERROR,
        "kubeadm does not know this kernel: 1.32 and 1.33 refuse those before 4.19; from 1.34 on it warns about all but 5.4, 5.10, 5.15, and 6 and later",
        fix="Another `kernel.flavour`",
        lesser=WARNING,
    ),
    Code(
        "IB207",
        ERROR,
        "This containerd lacks what the kubelet needs (CRI v1 from 1.26, RuntimeConfig from 1.38)",
        fix="A later nerdctl-full",
    ),
    Code("IB208", WARNING, "The kubelet warns about containerd 1.x from 1.34 on", fix="A later nerdctl-full"),
    Code(
        "IB209",
        WARNING,
        "This containerd does not go with this Kubernetes, by containerd's own table (up to 1.36)",
        fix="A later nerdctl-full",
    ),
    Code("IB210", ERROR, "`kubernetes.source: binaries` without all four binaries", fix="Give urls and sha256 of each"),
    Code("IB211", WARNING, "Binaries are given and not used", fix="`kubernetes.source: binaries`"),
    Code(
        "IB212",
        ERROR,
        "A sysctl that kubeadm's preflight requires: `net.ipv4.ip_forward`, with IPv6 networks also `net.ipv6.conf.default.forwarding`, is not 1",
        fix="Set it to 1",
    ),
    Code("IB213", ERROR, "kubeadm up to 1.29 wants `bridge-nf-call` to be 1", fix="Set it to 1"),
    Code("IB214", ERROR, "Swap is on, and the kubelet would not start", fix="`swap.enabled: false`"),
    Code(
        "IB215", WARNING, "cgroupfs beside systemd: two managers of cgroups", fix="`containerd.cgroup_driver: systemd`"
    ),
    Code(
        "IB216",
        ERROR,
        "kube-proxy and Cilium both serve Services, or neither does",
        fix="Take `kubeProxyReplacement` out: imgbuild sets it",
    ),
    Code(
        "IB217",
        WARNING,
        "Neither kube-proxy nor Cilium: no Service is reachable",
        fix="`kubernetes.kube_proxy: true`, or `cilium.enabled: true`",
    ),
    Code(
        "IB218",
        ERROR,
        "IPv6 is switched off (`disable_ipv6`, `ipv6.disable=1`) on the nodes of an IPv6 cluster",
        fix="Remove it",
    ),
    Code(
        "IB219",
        ERROR,
        "`kubernetes.certificate_validity` with a kubeadm before 1.31, which has no such setting",
        fix="null",
    ),
    Code(
        "IB220", ERROR, "The networks of pods and services overlap; kubeadm takes that", fix="Two that share no address"
    ),
    Code("IB221", ERROR, "A node stands in the network of pods or services", fix="Another network for them"),
    Code(
        "IB222",
        ERROR,
        "The pods' network is too small or too large for kubeadm, or for the nodes of the cluster",
        fix="A /16 or so",
    ),
    Code(
        "IB223",
        ERROR,
        "The services' network is not of a size that kubeadm takes (IPv4: /12 to /28)",
        fix="10.96.0.0/12",
    ),
    Code("IB224", ERROR, "Pods and services are of different address families", fix="The same family for both"),
    Code("IB225", ERROR, "An IPv6 network, and Cilium has IPv6 off", fix="`cilium.values.ipv6.enabled: true`"),
    Code(
        "IB226",
        ERROR,
        "No other node reaches the advertised address, several nodes share it, or the node does not have it",
        fix="An address of the node's own, or null",
    ),
    Code(
        "IB227",
        ERROR,
        "The pods' or services' network holds loopback, link-local, multicast or reserved addresses",
        fix="A private network",
    ),
    Code(
        "IB228",
        WARNING,
        "A version is past its end of life, or within 60 days of it; one warning a version. With Helm also: a release with known vulnerabilities",
        fix="A later one, which is named with its own last day; [the dates](../how-to/versions.md#how-long-a-version-lasts)",
    ),
    Code(
        "IB229",
        WARNING,
        "On a target with a glibc older than 2.34: a patch of Kubernetes that may have been built on a newer system than this one, so that its kubelet would not start. The installation starts it and fails if it cannot",
        fix="The last patch that is known to be older, which is named",
    ),
    Code(
        "IB239",
        ERROR,
        "This machine's clock is earlier than the release of this imgbuild, so certificates and tokens would be made for the past. With `SOURCE_DATE_EPOCH` and without a cluster file the clock is not used",
        fix="Set the clock",
    ),
    Code(
        "IB240",
        ERROR,
        "A kernel module that this kernel no longer has, or does not have yet (`profiles/versions/kernel.yaml`): loading it fails",
        fix="The name that is given",
    ),
    Code(
        "IB241",
        ERROR,
        "The same for a sysctl, and for IPv6's with `ipv6.disable=1`",
        fix="The name that is given, or remove it",
    ),
)
