"""Cilium and Helm."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB601",
        ERROR,
        "Cilium without Kubernetes",
        why="Cilium is the network of a cluster.",
        fix="Set `cilium.enabled: false`.",
        bad="""
            extends: [debian12-efi, container-host]
            cilium: {enabled: true}
            helm: {enabled: true}
        """,
        good="extends: [debian12-efi, container-host]",
    ),
    Code(
        "IB602",
        ERROR,
        "Cilium without helm",
        why="First boot installs its chart with helm.",
        fix="Set `helm.enabled: true`.",
        bad="helm: {enabled: false}",
        good="helm: {enabled: true}",
    ),
    Code(
        "IB603",
        ERROR,
        "helm's version, URLs and sha256 are not of one release",
        why="One of them was changed without the others, so another helm would be installed, or none.",
        fix="Give all three.",
        bad="helm: {version: 3.17.3}",
        good="""
            helm: {version: 3.17.3, urls: ['https://get.helm.sh/helm-v3.17.3-linux-amd64.tar.gz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
        """,
    ),
    Code(
        "IB604",
        WARNING,
        "A chart that was not tried",
        why="The charts 1.14 to 1.20 were. Each minor version adds and removes keys.",
        fix="Use one of those.",
        bad="cilium: {version: 1.21.0}",
        good="cilium: {version: 1.20.0}",
    ),
    Code(
        "IB605",
        ERROR,
        "helm is too old for the chart",
        why="The charts use functions of later helm releases.",
        fix="Use a later helm.",
        bad="""
            helm: {version: 3.9.4, urls: ['https://get.helm.sh/helm-v3.9.4-linux-amd64.tar.gz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
        """,
        good="""
            helm: {version: 3.17.3, urls: ['https://get.helm.sh/helm-v3.17.3-linux-amd64.tar.gz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
        """,
    ),
    Code(
        "IB606",
        ERROR,
        "The kernel is too old for this Cilium",
        why="Cilium's documentation lists the oldest kernel of each release (System Requirements).",
        fix="Use another `kernel.flavour`, or an older Cilium.",
        bad="""
            kernel: {flavour: kernel-lt}
            cilium: {values: {enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
        good="""
            kernel: {flavour: kernel-lt}
            cilium: {version: 1.16.19, values: {localRedirectPolicies: null, localRedirectPolicy: true, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
    ),
    Code(
        "IB607",
        ERROR,
        "BBR or BIG TCP on a kernel without it",
        why=(
            "For BBR the agent refuses to start; BIG TCP it leaves off. IPv4 BIG TCP alone does nothing on "
            "kernels from 6.7 to before 6.11.3."
        ),
        fix="Set it to false, or use another kernel.",
        bad="""
            extends: centos8-efi
            kernel: {flavour: kernel-lt, cgroup: v2}
        """,
        good="""
            extends: centos8-efi
            kernel: {flavour: kernel-lt, cgroup: v2}
            cilium: {values: {enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
    ),
    Code(
        "IB610",
        ERROR,
        "A key with dots",
        why="Only helm's `--set` takes dots apart; in a file of values it is one key that no chart has.",
        fix="Write it nested.",
        bad="cilium: {values: {'bpf.masquerade': true}}",
        good="cilium: {values: {bpf: {masquerade: true}}}",
    ),
    Code(
        "IB611",
        WARNING,
        "Cilium's chart does not read this key",
        why=(
            "helm takes any key silently. profiles/versions/cilium-keys.yaml lists every key with the charts "
            "that read it."
        ),
        fix="Use the nearest key, which is named, or one of the charts that have this one.",
        bad="cilium: {values: {rolloutCiliumPods: true}}",
        good="cilium: {values: {rollOutCiliumPods: true}}",
    ),
    Code(
        "IB612",
        ERROR,
        "This chart does not have this key yet",
        why="It ignores the key silently.",
        fix="Use the older key, or a later chart.",
        bad="cilium: {values: {nativeRoutingCIDRFromClusterPool: true}}",
        good="cilium: {version: 1.20.0, values: {nativeRoutingCIDRFromClusterPool: true}}",
    ),
    Code(
        "IB613",
        ERROR,
        "This chart refuses the key, or ignores it silently",
        why="Keys are removed after a release or two with both names.",
        fix="Use the key that is named.",
        bad="cilium: {values: {tunnel: disabled}}",
        good="cilium: {values: {tunnelProtocol: geneve}}",
    ),
    Code(
        "IB614",
        WARNING,
        "A key that does nothing",
        why="It does nothing any more, or not without another key, or it is an old name.",
        fix="Remove it, or use the new name.",
        bad="cilium: {values: {sessionAffinity: true}}",
        good="cilium: {values: {rollOutCiliumPods: true}}",
    ),
    Code(
        "IB615",
        ERROR,
        "A value that the agent does not know",
        why="The chart renders it as it is, and the agent ends with an error.",
        fix="Use one of those that are named.",
        bad="cilium: {values: {loadBalancer: {mode: dsrr}}}",
        good="cilium: {values: {loadBalancer: {mode: hybrid}}}",
    ),
    Code(
        "IB616",
        ERROR,
        "A value of the wrong type in Cilium's values",
        why='A chart\'s template reads `"no"` as true.',
        fix="Write true or false, a number, or a mapping.",
        bad="cilium: {values: {hubble: {enabled: 'no'}}}",
        good="cilium: {values: {hubble: {enabled: true}}}",
    ),
    Code(
        "IB617",
        ERROR,
        "The native routing network does not hold the pods'",
        why="Cilium would masquerade their traffic as if it left the cluster.",
        fix="Remove it: imgbuild sets it.",
        bad="cilium: {values: {ipv4NativeRoutingCIDR: 192.168.31.254/32}}",
        good="cilium: {values: {ipv4NativeRoutingCIDR: 10.0.0.0/8}}",
    ),
    Code(
        "IB618",
        ERROR,
        "Cilium's pool is not `kubernetes.pod_cidr`",
        why="Two parts of the cluster would have different networks of pods.",
        fix="Remove it: imgbuild sets it.",
        bad="cilium: {values: {ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.0.0.0/8]}}}}",
        good="cilium: {values: {ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.244.0.0/16]}}}}",
    ),
    Code(
        "IB619",
        ERROR,
        "`-generic` at the end of the operator's image",
        why="The chart adds it once more.",
        fix="Write it without that.",
        bad="cilium: {values: {operator: {image: {repository: example.org/cilium/operator-generic}}}}",
        good="cilium: {values: {operator: {image: {repository: example.org/cilium/operator}}}}",
    ),
    Code(
        "IB620",
        WARNING,
        "A mirror's image with quay.io's digest",
        why="A mirror that builds or repacks the image has another digest.",
        fix="Set `useDigest: false`.",
        bad="cilium: {values: {image: {repository: example.org/cilium, useDigest: true}}}",
        good="cilium: {values: {image: {repository: example.org/cilium}}}",
    ),
    Code(
        "IB621",
        ERROR,
        "The chart's URL is of another version than `cilium.version`",
        why="The keys and the images that imgbuild writes are those of `cilium.version`.",
        fix="Use the chart of that version, with its sha256.",
        bad="""
            cilium: {chart: {urls: ['https://example.org/cilium-1.18.6.tgz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}
        """,
        good="""
            cilium: {chart: {urls: ['https://example.org/cilium-1.19.6.tgz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}
        """,
    ),
    Code(
        "IB622",
        WARNING,
        "A chart, and `cilium.enabled` is false",
        why="It would be downloaded and not used.",
        fix="Remove it.",
        bad="""
            kubernetes: {kube_proxy: true}
            cilium: {enabled: false, chart: {urls: ['https://example.org/cilium-1.19.6.tgz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}
        """,
        good="""
            kubernetes: {kube_proxy: true}
            cilium: {enabled: false}
        """,
    ),
    Code(
        "IB623",
        WARNING,
        "`bpf.tproxy` from Cilium 1.19.6 on",
        why="DNS and HTTP policies, L7 load balancing, Ingress and Gateway API time out (cilium#47896).",
        fix="Set `bpf.tproxy: false`.",
        bad="""
            extends: debian12-efi
            cilium: {values: {bpf: {tproxy: true}}}
        """,
        good="""
            extends: debian12-efi
            cilium: {values: {bpf: {tproxy: false}}}
        """,
    ),
    Code(
        "IB624",
        ERROR,
        "The agent does not accept this cluster id",
        why="It takes 0 to 255, or to 511 with `clustermesh.maxConnectedClusters`.",
        fix="Use one of those.",
        bad="cilium: {values: {cluster: {id: 256}}}",
        good="cilium: {values: {cluster: {id: 255, name: lab}}}",
    ),
    Code(
        "IB625",
        ERROR,
        "A number that the agent refuses",
        why="Sizes of BPF maps, their ratio and the MTU have limits (pkg/option/config.go).",
        fix="Use one in the range that is named.",
        bad="cilium: {values: {bpf: {natMax: 16777217}}}",
        good="cilium: {values: {bpf: {natMax: 16777216}}}",
    ),
    Code(
        "IB626",
        ERROR,
        "IPv6 on a kernel without ip6table_raw",
        why=(
            "With IPv6 the agent loads the tables of ip6tables, and ends if one is missing "
            "(pkg/datapath/iptables/iptables.go). ELRepo's kernel-ml has had no raw table since 6.17."
        ),
        fix="Use `kernel.flavour: kernel-lt`, or an older kernel.",
        bad="""
            extends: centos8-efi
            kubernetes: {pod_cidr: '10.244.0.0/16,fd00:10:244::/56', service_cidr: '10.96.0.0/12,fd00:10:96::/112'}
            cilium: {values: {ipv6: {enabled: true}}}
        """,
        good="""
            extends: centos8-efi
            kernel: {flavour: kernel-lt}
            kubernetes: {pod_cidr: '10.244.0.0/16,fd00:10:244::/56', service_cidr: '10.96.0.0/12,fd00:10:96::/112'}
            cilium: {values: {ipv6: {enabled: true}, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
    ),
)
"""The rows of this family."""
