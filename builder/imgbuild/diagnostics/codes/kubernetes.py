"""Kubernetes and its networks."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB201",
        ERROR,
        "No package repository has this Kubernetes any longer",
        why='The repositories at pkgs.k8s.io begin with 1.24 (kubernetes.io/blog, "pkgs.k8s.io").',
        fix="Use a later version.",
        bad="kubernetes: {version: 1.23.17}",
        good="kubernetes: {version: 1.35.8}",
    ),
    Code(
        "IB202",
        WARNING,
        "imgbuild does not know this minor version of Kubernetes",
        why=(
            "The pause image, kubeadm's API and cgroup rules of a minor version are facts that imgbuild takes "
            "from tables."
        ),
        fix="Use a known version, or check the pause image and kubeadm's API yourself.",
        bad="""
            extends: debian12-efi
            kubernetes: {version: 1.39.0}
        """,
        good="""
            extends: debian12-efi
            kubernetes: {version: 1.38.0}
        """,
    ),
    Code(
        "IB203",
        WARNING,
        "Mirrors in China may not have this Kubernetes",
        why="The mirrors in China were seen with the new repositories from 1.28 on.",
        fix="Set `repositories.kubernetes`, or use a later version.",
        bad="""
            extends: [centos7-efi, china]
            kubernetes: {version: 1.27.16}
        """,
        good="""
            extends: [centos7-efi, china]
            kubernetes: {version: 1.28.2}
        """,
    ),
    Code(
        "IB204",
        ERROR,
        "This Kubernetes never runs on cgroup v1",
        why="Kubernetes 1.38 removes support for cgroup v1 (KEP-5573).",
        fix="Set `kernel.cgroup: v2`, or use Kubernetes 1.37 or older with `kubernetes.cgroup_v1: accept`.",
        bad="kubernetes: {version: 1.38.0}",
        good="kubernetes: {version: 1.34.1}",
        also=("IB229",),
    ),
    Code(
        "IB205",
        ERROR,
        "The kubelet refuses cgroup v1",
        why="From 1.35 on the kubelet does not start on cgroup v1 unless `failCgroupV1` is false (KEP-5573).",
        fix="Use Kubernetes 1.34 or older, `kernel.cgroup: v2`, or `kubernetes.cgroup_v1: accept`.",
        bad="kubernetes: {cgroup_v1: refuse}",
        good="kubernetes: {cgroup_v1: accept}",
    ),
    Code(
        "IB206",
        ERROR,
        "kubeadm's preflight does not know this kernel",
        why=(
            "kubeadm from 1.32 on knows the kernels 5.4, 5.10, 5.15 and 6 and later (cmd/kubeadm, system "
            "validators); from 1.34 on it only warns."
        ),
        fix="Use another `kernel.flavour`.",
        lesser=WARNING,
        when="this kubeadm only warns",
        bad="""
            extends: centos8-efi
            kubernetes: {version: 1.33.12, kube_proxy: true}
            kernel: {flavour: distribution, cgroup: v2}
            cilium: {enabled: false}
        """,
        good="""
            extends: centos8-efi
            kubernetes: {version: 1.31.14, kube_proxy: true}
            kernel: {flavour: distribution, cgroup: v2}
            cilium: {enabled: false}
        """,
    ),
    Code(
        "IB207",
        ERROR,
        "This containerd lacks what the kubelet needs",
        why="The kubelet needs CRI v1 from 1.26 on (containerd 1.6) and RuntimeConfig from 1.38 on (containerd 2.0).",
        fix="Use a later nerdctl-full.",
        bad="""
            extends: debian12-efi
            containerd: {nerdctl_full: {containerd: 1.5.18}}
        """,
        good="extends: debian12-efi",
    ),
    Code(
        "IB208",
        WARNING,
        "The kubelet warns about containerd 1.x",
        why=(
            "From 1.34 on it asks for RuntimeConfig, which containerd has from 2.0 on and the kubelet needs from "
            "1.38 on."
        ),
        fix="Use a later nerdctl-full.",
        bad="""
            extends: debian12-efi
            containerd: {nerdctl_full: {containerd: 1.7.28}}
        """,
        good="""
            extends: debian12-efi
            containerd: {nerdctl_full: {containerd: 2.3.3}}
        """,
    ),
    Code(
        "IB209",
        WARNING,
        "This containerd does not work with this Kubernetes",
        why=(
            "containerd lists the Kubernetes versions that each release line supports (RELEASES.md, Kubernetes "
            "Support)."
        ),
        fix="Use a later nerdctl-full.",
        bad="""
            extends: debian12-efi
            containerd: {nerdctl_full: {containerd: 2.1.4}}
        """,
        good="""
            extends: debian12-efi
            containerd: {nerdctl_full: {containerd: 2.2.0}}
        """,
    ),
    Code(
        "IB210",
        ERROR,
        "`kubernetes.source: binaries` without all four binaries",
        why="A node needs kubeadm, kubelet, kubectl and crictl; each is downloaded and checked on its own.",
        fix="Give urls and sha256 for each of them.",
        bad="kubernetes: {source: binaries}",
        good="kubernetes: {source: packages}",
    ),
    Code(
        "IB211",
        WARNING,
        "Binaries are given and not used",
        why="With `kubernetes.source` packages they are not downloaded.",
        fix="Set `kubernetes.source: binaries`, or remove them.",
        bad="""
            kubernetes: {binaries: {kubectl: {urls: [https://dl.k8s.io/v1.35.8/bin/linux/amd64/kubectl], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}}
        """,
        good="kubernetes: {binaries: {}}",
    ),
    Code(
        "IB212",
        ERROR,
        "A sysctl that kubeadm's preflight requires is not 1",
        why=(
            "kubeadm refuses `net.ipv4.ip_forward` other than 1, and with IPv6 networks "
            "`net.ipv6.conf.default.forwarding` (cmd/kubeadm/app/preflight)."
        ),
        fix="Set it to 1.",
        bad="kernel: {sysctl: {net.ipv4.ip_forward: 0}}",
        good="kernel: {sysctl: {net.ipv4.ip_forward: 1}}",
    ),
    Code(
        "IB213",
        ERROR,
        "kubeadm up to 1.29 requires `bridge-nf-call` to be 1",
        why="Its preflight reads `net.bridge.bridge-nf-call-iptables`; 1.30 dropped that (kubernetes#123464).",
        fix="Set it to 1.",
        bad="""
            kubernetes: {version: 1.29.15}
            kernel: {sysctl: {net.bridge.bridge-nf-call-iptables: 0}}
        """,
        good="kernel: {sysctl: {net.bridge.bridge-nf-call-iptables: 0}}",
    ),
    Code(
        "IB214",
        ERROR,
        "Swap is on",
        why=(
            "The kubelet does not start with swap on unless it is configured to (`failSwapOn`), and kubeadm's "
            "preflight refuses it."
        ),
        fix="Set `swap.enabled: false`.",
        bad="swap: {enabled: true}",
        good="swap: {enabled: false}",
    ),
    Code(
        "IB215",
        WARNING,
        "cgroupfs beside systemd",
        why='Two managers of one cgroup tree disagree under load (kubernetes.io, "Container Runtimes").',
        fix="Set `containerd.cgroup_driver: systemd`.",
        bad="containerd: {cgroup_driver: cgroupfs}",
        good="containerd: {cgroup_driver: systemd}",
    ),
    Code(
        "IB216",
        ERROR,
        "kube-proxy and Cilium both serve Services, or neither does",
        why="Cilium replaces kube-proxy only where kube-proxy is not installed.",
        fix="Remove `kubeProxyReplacement`: imgbuild sets it.",
        bad="""
            kubernetes: {kube_proxy: true}
            cilium: {values: {kubeProxyReplacement: true}}
        """,
        good="cilium: {values: {kubeProxyReplacement: true}}",
    ),
    Code(
        "IB217",
        WARNING,
        "No Service will be reachable",
        why="A Service is an address that kube-proxy or Cilium must serve on each node.",
        fix="Set `kubernetes.kube_proxy: true`, or `cilium.enabled: true`.",
        bad="cilium: {enabled: false}",
        good="""
            cilium: {enabled: false}
            kubernetes: {kube_proxy: true}
        """,
    ),
    Code(
        "IB218",
        ERROR,
        "IPv6 is switched off on the nodes of an IPv6 cluster",
        why="With `disable_ipv6` or `ipv6.disable=1` no interface has an IPv6 address.",
        fix="Remove it.",
        bad="""
            kubernetes: {pod_cidr: "fd00::/48", service_cidr: "fd01::/112"}
            cilium: {values: {ipv6: {enabled: true}, installNoConntrackIptablesRules: false}}
            kernel: {sysctl: {net.ipv6.conf.all.disable_ipv6: 1}}
        """,
        good="kernel: {sysctl: {net.ipv6.conf.all.disable_ipv6: 1}}",
    ),
    Code(
        "IB219",
        ERROR,
        "This kubeadm cannot set how long certificates are valid",
        why="`certificateValidityPeriod` is in kubeadm's v1beta4, from 1.31 on.",
        fix="Set `kubernetes.certificate_validity: null`, or use 1.31 or later.",
        bad="kubernetes: {version: 1.30.14, certificate_validity: 90}",
        good="kubernetes: {version: 1.31.14, certificate_validity: 90}",
    ),
    Code(
        "IB220",
        ERROR,
        "The networks of pods and Services overlap",
        why="kubeadm accepts that, and an address then means a pod and a Service.",
        fix="Use two networks that share no address.",
        bad="kubernetes: {service_cidr: 10.244.0.0/20}",
        good="kubernetes: {service_cidr: 10.243.0.0/16}",
    ),
    Code(
        "IB221",
        ERROR,
        "A node is in the network of pods or Services",
        why="The node's own address would be routed to a pod or a Service.",
        fix="Use another network for pods or Services.",
        bad_cluster="""
            nodes: [{name: cp1, role: control-plane, network: {dns: [1.1.1.1], interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [10.244.7.10/24], gateway: 10.244.7.1}]}}]
        """,
        good_cluster="""
            nodes: [{name: cp1, role: control-plane, network: {dns: [1.1.1.1], interfaces: [{name: eth0, mac: '52:54:00:00:00:01', addresses: [192.168.1.10/24], gateway: 192.168.1.1}]}}]
        """,
    ),
    Code(
        "IB222",
        ERROR,
        "The network of pods has the wrong size",
        why="kube-controller-manager gives each node a /24 (IPv6 a /64) of it, and takes no larger network than a /8.",
        fix="Use a /16 or so.",
        bad="kubernetes: {pod_cidr: 10.244.0.0/25}",
        good="kubernetes: {pod_cidr: 10.244.0.0/16}",
    ),
    Code(
        "IB223",
        ERROR,
        "The network of Services has the wrong size",
        why="kube-apiserver takes at most 20 bits of host addresses, and kubeadm needs a few (IPv4 /12 to /28).",
        fix="Use 10.96.0.0/12.",
        bad="kubernetes: {service_cidr: 10.128.0.0/11}",
        good="kubernetes: {service_cidr: 10.96.0.0/12}",
    ),
    Code(
        "IB224",
        ERROR,
        "Pods and Services are of different address families",
        why="A Service of one family cannot reach pods of the other.",
        fix="Use the same family for both, or a pair of both families for each, in the same order.",
        lesser=WARNING,
        when="both are pairs, in different orders",
        bad="""
            kubernetes: {service_cidr: "fd00:1::/112"}
            cilium: {values: {ipv6: {enabled: true}, ipv6NativeRoutingCIDR: "fd00::/48"}}
        """,
        good="kubernetes: {service_cidr: 10.96.0.0/12}",
    ),
    Code(
        "IB225",
        ERROR,
        "An IPv6 network, and Cilium has IPv6 off",
        why="Cilium's chart has `ipv6.enabled` false by default, so no pod would get an address.",
        fix="Set `cilium.values.ipv6.enabled: true`.",
        bad="""
            kubernetes: {pod_cidr: "fd00::/48", service_cidr: "fd01::/112"}
            cilium: {values: {installNoConntrackIptablesRules: false}}
        """,
        good="""
            kubernetes: {pod_cidr: "fd00::/48", service_cidr: "fd01::/112"}
            cilium: {values: {ipv6: {enabled: true}, installNoConntrackIptablesRules: false}}
        """,
    ),
    Code(
        "IB226",
        ERROR,
        "The advertised address cannot be right",
        why="Other nodes reach the API server at this address, so it must be the node's own.",
        fix="Use an address of the node's own, or null.",
        bad="kubernetes: {advertise_address: 127.0.0.1}",
        good="kubernetes: {advertise_address: 192.168.1.4}",
    ),
    Code(
        "IB227",
        ERROR,
        "The network of pods or Services is a special one",
        why="Loopback, link-local, multicast and reserved addresses are not routed (RFC 6890).",
        fix="Use a private network.",
        bad="kubernetes: {pod_cidr: 127.0.0.0/16}",
        good="kubernetes: {pod_cidr: 100.64.0.0/16}",
    ),
    Code(
        "IB228",
        WARNING,
        "A version is past its end of life, or will be within 60 days",
        why=(
            "From that day on it gets no fixes. The dates are in [the versions' "
            "pages](../../how-to/versions.md#how-long-a-version-lasts). With Helm, releases with known "
            "vulnerabilities are named too."
        ),
        fix="Use a later version, which is named with its own last day.",
        bad="""
            extends: debian12-efi
            kubernetes: {version: 1.34.11}
        """,
        good="""
            extends: debian12-efi
            kubernetes: {version: 1.36.4}
        """,
    ),
    Code(
        "IB229",
        WARNING,
        "This kubelet may not start on this target",
        why=(
            "The kubelet is linked against the glibc of the system it was built on. A patch after the last one "
            "that is known to be built on an older system may need a newer glibc (kubernetes/release#4522)."
        ),
        fix="Use the last patch that is known to start, which is named.",
        bad="kubernetes: {version: 1.35.9}",
        good="kubernetes: {version: 1.35.8}",
    ),
    Code(
        "IB236",
        ERROR,
        "A pre-release of Kubernetes is in no repository of releases",
        why="The repositories `core:/stable:` and their mirrors have releases alone: nothing would be installed.",
        fix="Use a release, or `kubernetes.source: binaries`.",
        bad="kubernetes: {version: 1.35.0-rc.1}",
        good="kubernetes: {version: 1.35.8}",
    ),
    Code(
        "IB239",
        ERROR,
        "This machine's clock is wrong",
        why="It shows a day before this imgbuild was released, so certificates and tokens would be made for the past.",
        fix="Set the clock.",
        bad="swap: {enabled: false}",
        good="swap: {enabled: false}",
        day="2015-06-01",
        good_day="2026-11-29",
    ),
)
"""The rows of this family."""
