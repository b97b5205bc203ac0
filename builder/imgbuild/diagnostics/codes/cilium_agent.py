"""What Cilium's agent refuses."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB630",
        ERROR,
        "Direct node routes with tunnelling",
        why="The agent refuses to start: they are for native routing.",
        fix="Set `routingMode: native`, or use the layer `tunnel`.",
        bad="""
            cilium: {values: {routingMode: tunnel, loadBalancer: {mode: snat}, installNoConntrackIptablesRules: false, enableIPv4BIGTCP: false}}
        """,
        good="extends: [centos7-efi, tunnel]",
    ),
    Code(
        "IB631",
        ERROR,
        "DSR with a tunnel that cannot carry it",
        why="The agent refuses to start. Geneve has room for the address of the client's node; VXLAN has none.",
        fix="Set `routingMode: native`, or geneve with `dsrDispatch: geneve`.",
        bad="""
            cilium: {values: {routingMode: tunnel, autoDirectNodeRoutes: false, installNoConntrackIptablesRules: false, enableIPv4BIGTCP: false}}
        """,
        good="""
            cilium: {values: {routingMode: tunnel, autoDirectNodeRoutes: false, installNoConntrackIptablesRules: false, enableIPv4BIGTCP: false, tunnelProtocol: geneve, loadBalancer: {dsrDispatch: geneve}}}
        """,
    ),
    Code(
        "IB632",
        ERROR,
        "`installNoConntrackIptablesRules` without what it requires",
        why=(
            "It requires native routing, kube-proxy's replacement, BPF masquerading and IPv4, or the agent "
            "refuses to start."
        ),
        fix="Set those, or set it to false.",
        bad="""
            cilium: {values: {bpf: {masquerade: false}, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
        good="""
            cilium: {values: {bpf: {masquerade: false}, installNoConntrackIptablesRules: false, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
    ),
    Code(
        "IB633",
        ERROR,
        "BPF masquerading without kube-proxy's replacement",
        why=(
            "Agents from 1.15 to 1.18 refuse to start; 1.14 masquerades with iptables, and from 1.19 on the setting "
            "silently has no effect."
        ),
        fix="Set `kubernetes.kube_proxy: false`.",
        bad="""
            kubernetes: {kube_proxy: true}
            cilium: {values: {installNoConntrackIptablesRules: false, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
        good="""
            kubernetes: {kube_proxy: true}
            cilium: {values: {installNoConntrackIptablesRules: false, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}, bpf: {masquerade: false}}}
        """,
    ),
    Code(
        "IB634",
        ERROR,
        "BBR or BIG TCP with what they exclude",
        why=(
            "Tunnelling, IPsec, legacy host routing and tunnel devices exclude them; the agent refuses to start, "
            "or its data path never comes up."
        ),
        fix="Change what is named.",
        bad="cilium: {values: {bpf: {hostLegacyRouting: true}}}",
        good="""
            cilium: {values: {bpf: {hostLegacyRouting: true}, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
    ),
    Code(
        "IB635",
        ERROR,
        "The egress gateway without what it requires",
        why=(
            "It requires IPv4 masquerading in BPF, kube-proxy's replacement and identities in CRDs, and does not "
            "work with endpoint slices."
        ),
        fix="Set those.",
        bad="""
            cilium: {values: {egressGateway: {enabled: true}, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
        good="""
            cilium: {values: {egressGateway: {enabled: true}, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}, ciliumEndpointSlice: {enabled: false}}}
        """,
    ),
    Code(
        "IB636",
        ERROR,
        "Endpoint slices without endpoints",
        why="The agent refuses to start.",
        fix="Use one of the two.",
        bad="cilium: {values: {disableEndpointCRD: true}}",
        good="cilium: {values: {disableEndpointCRD: true, ciliumEndpointSlice: {enabled: false}}}",
    ),
    Code(
        "IB637",
        ERROR,
        "netkit where it does not work",
        why="It needs a kernel with CONFIG_NETKIT, host routing and masquerading in BPF, and excludes tproxy.",
        fix="Use `veth`.",
        bad="cilium: {values: {bpf: {datapathMode: netkit, tproxy: false}}}",
        good="cilium: {values: {bpf: {datapathMode: veth}}}",
    ),
    Code(
        "IB638",
        ERROR,
        "Both `k8sServiceHost` and `k8sServiceHostRef`",
        why="The chart refuses two addresses of the API server.",
        fix="Use one of the two.",
        bad="cilium: {values: {k8sServiceHostRef: {name: x}, k8sServiceHost: 10.0.0.1}}",
        good="cilium: {values: {k8sServiceHost: 10.0.0.1}}",
    ),
    Code(
        "IB639",
        ERROR,
        "Native routing with IPv6 without `ipv6NativeRoutingCIDR`",
        why="The agent cannot know which traffic stays in the cluster, and refuses to start.",
        fix="Set it.",
        bad="cilium: {values: {ipv6: {enabled: true}}}",
        good="cilium: {values: {ipv6: {enabled: true}, ipv6NativeRoutingCIDR: 'fd00::/48'}}",
    ),
    Code(
        "IB640",
        ERROR,
        "Cilium refuses this cluster name",
        why=(
            "Since 1.16 it takes at most 32 of a-z, 0-9 and -. Without `cilium.values.cluster.name` it is the "
            "cluster file's `name`."
        ),
        fix="Use such a name, or one of Cilium's own in `cilium.values.cluster.name`.",
        bad="cilium: {values: {cluster: {name: My_Cluster}}}",
        good="cilium: {values: {cluster: {name: my-cluster}}}",
    ),
    Code(
        "IB641",
        ERROR,
        "Hubble's relay without Hubble, or its UI without the relay",
        why="The chart refuses it.",
        fix="Turn both on, or both off.",
        bad="cilium: {values: {hubble: {relay: {enabled: true}}}}",
        good="cilium: {values: {hubble: {enabled: true, relay: {enabled: true}}}}",
    ),
    Code(
        "IB642",
        ERROR,
        "An interface in Cilium's values is not on a node",
        why=(
            "With `devices` the agent refuses to start there; for the other keys the message explains the effect. "
            "The direct routing device must be one of `devices`."
        ),
        fix="Use a name that every node has, or a pattern such as `eth+`.",
        bad="cilium: {values: {devices: [enp7s0]}}",
        good="cilium: {values: {devices: [eth+]}}",
    ),
    Code(
        "IB643",
        WARNING,
        "A node has only some of the interfaces in `devices`",
        why="The agent uses fewer devices there.",
        fix="Use names that every node has, or a pattern such as `eth+`.",
        bad="cilium: {values: {devices: [eth0, lan0]}}",
        good="cilium: {values: {devices: [eth0]}}",
    ),
    Code(
        "IB644",
        ERROR,
        "Native XDP where it cannot work",
        why=(
            "A VLAN, a bond with the wrong mode or kernel, and Google's cloud have no native XDP, and the agent "
            "does not start."
        ),
        fix="Use `best-effort`, `disabled`, or other `devices`.",
        bad="""
            extends: centos8-efi
            cilium: {values: {loadBalancer: {acceleration: native, mode: snat}}}
            cloud: {providers: [gcp]}
        """,
        good="""
            extends: centos8-efi
            cilium: {values: {loadBalancer: {acceleration: best-effort, mode: snat}}}
            cloud: {providers: [gcp]}
        """,
        also=("IB652",),
    ),
    Code(
        "IB645",
        WARNING,
        "Native XDP on an interface with a large MTU",
        why="Most drivers want a packet in one page, which leaves 3498 bytes.",
        fix="Use a smaller MTU, or `best-effort`.",
        bad="""
            extends: centos8-efi
            cilium: {values: {loadBalancer: {acceleration: native}}}
        """,
        good="""
            extends: centos8-efi
            cilium: {values: {loadBalancer: {acceleration: native}}}
        """,
        bad_cluster="""
            nodes: [{name: cp1, role: control-plane, network: {dns: [1.1.1.1], interfaces: [{name: eth0, mac: '52:54:00:00:00:01', mtu: 9000, addresses: [192.168.1.10/24], gateway: 192.168.1.1}]}}]
        """,
        good_cluster="""
            nodes: [{name: cp1, role: control-plane, network: {dns: [1.1.1.1], interfaces: [{name: eth0, mac: '52:54:00:00:00:01', mtu: 3498, addresses: [192.168.1.10/24], gateway: 192.168.1.1}]}}]
        """,
    ),
    Code(
        "IB646",
        ERROR,
        "Masquerading in BPF with what it excludes",
        why=(
            "The agent refuses to start where there is nothing to masquerade, or interfaces or route sources are "
            "named; 1.14 does something else, which is named."
        ),
        fix="Change what is named.",
        lesser=WARNING,
        when="the agent goes on without it",
        bad="cilium: {values: {enableIPv4Masquerade: false}}",
        good="cilium: {values: {enableIPv4Masquerade: true}}",
    ),
    Code(
        "IB647",
        ERROR,
        "A DSR dispatch that the agent does not accept",
        why=(
            "`loadBalancer.dsrDispatch` and `bpf.lbModeAnnotation` go with certain modes, tunnel protocols and "
            "accelerations only."
        ),
        fix="Set `dsrDispatch: opt`, or what is named.",
        bad="""
            cilium: {values: {loadBalancer: {dsrDispatch: geneve}, enableIPv4BIGTCP: false, bandwidthManager: {bbr: false}}}
        """,
        good="cilium: {values: {loadBalancer: {dsrDispatch: opt}}}",
    ),
    Code(
        "IB648",
        ERROR,
        "`nat46x64Gateway` without both families, or no family at all",
        why="The agent refuses to start.",
        fix="Turn both families on, or set it to false.",
        bad="cilium: {values: {nat46x64Gateway: {enabled: true}}}",
        good="cilium: {values: {nat46x64Gateway: {enabled: false}}}",
    ),
    Code(
        "IB649",
        ERROR,
        "Encryption or the host firewall with what the agent excludes",
        why="The agent refuses to start.",
        fix="Change what is named.",
        bad="""
            cilium: {values: {encryption: {enabled: true, type: ipsec}, hostFirewall: {enabled: true}, enableIPv4BIGTCP: false, bandwidthManager: {enabled: false, bbr: false}}}
        """,
        good="""
            cilium: {values: {encryption: {enabled: true, type: ipsec}, enableIPv4BIGTCP: false, bandwidthManager: {enabled: false, bbr: false}}}
        """,
    ),
    Code(
        "IB650",
        ERROR,
        "Other values that the agent refuses to start with",
        why="The rules are in profiles/versions/cilium-agent.yaml, each with the versions that have it.",
        fix="Change what is named.",
        bad="cilium: {values: {cluster: {id: 3, name: default}}}",
        good="cilium: {values: {cluster: {id: 3, name: lab}}}",
    ),
)
"""The rows of this family."""
