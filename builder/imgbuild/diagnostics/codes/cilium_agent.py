"""Codes: What Cilium's agent refuses."""

# ruff: noqa: E501  (a table)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code(
        "IB630",
        ERROR,
        "Direct node routes with tunnelling, or what belongs to them without them: the agent refuses to start",
        fix="`routingMode: native`",
    ),
    Code(
        "IB631",
        ERROR,
        "DSR with a tunnel that cannot carry it: the agent refuses to start",
        fix="`routingMode: native`, or geneve with `dsrDispatch: geneve`",
    ),
    Code(
        "IB632",
        ERROR,
        "`installNoConntrackIptablesRules` without native routing, kube-proxy's replacement, BPF masquerading or IPv4: the agent refuses to start",
        fix="Set those",
    ),
    Code(
        "IB633",
        ERROR,
        "BPF masquerading without kube-proxy's replacement: agents from 1.15 to 1.18 refuse to start, 1.14 masquerades by iptables",
        fix="`kubernetes.kube_proxy: false`",
    ),
    Code(
        "IB634",
        ERROR,
        "BBR or BIG TCP with what they exclude (tunnelling, IPsec, legacy host routing, a tunnel device beside native routing): the agent refuses to start, or its data path never comes up",
        fix="What is named",
    ),
    Code(
        "IB635",
        ERROR,
        "The egress gateway with endpoint slices, or without IPv4 masquerading in BPF, kube-proxy's replacement or identities in CRDs",
        fix="Set those",
    ),
    Code("IB636", ERROR, "Endpoint slices without endpoints: the agent refuses to start", fix="One of the two"),
    Code(
        "IB637", ERROR, "netkit on a kernel without it, with tproxy, or without what its agent requires", fix="`veth`"
    ),
    Code("IB638", ERROR, "Both `k8sServiceHost` and `k8sServiceHostRef`", fix="One of the two"),
    Code("IB639", ERROR, "Native routing with IPv6 without `ipv6NativeRoutingCIDR`", fix="Give it"),
    Code(
        "IB640",
        ERROR,
        "A cluster name, in `cilium.values.cluster.name` or else the cluster file's `name`, that Cilium refuses since 1.16",
        fix="At most 32 of a-z, 0-9 and -; or a name of Cilium's own in `cilium.values.cluster.name`",
    ),
    Code(
        "IB641",
        ERROR,
        "Hubble's relay without Hubble, or its UI without the relay: the chart refuses",
        fix="Both on, or both off",
    ),
    Code(
        "IB642",
        ERROR,
        "An interface in Cilium's values (`devices`, `nodePort.directRoutingDevice`, `egressMasqueradeInterfaces`, `encryption.ipsec.interface`) is not on a node, and nothing else of `devices` is (up to chart 1.15: whatever else is). With `devices` the agent refuses to start there; what comes of the others is said. The direct routing device must be one of `devices`",
        fix="A name that every node has, or a pattern such as `eth+`",
    ),
    Code("IB643", WARNING, "An interface in `devices` is not on a node that has another one of them", fix="The same"),
    Code(
        "IB644",
        ERROR,
        "`loadBalancer.acceleration: native` on a VLAN, on a bond whose mode or kernel cannot, or in Google's cloud",
        fix="`best-effort`, `disabled`, or other `devices`",
    ),
    Code(
        "IB645",
        WARNING,
        "Native XDP on an interface with an MTU over 3498: most drivers want a packet in one page",
        fix="A smaller MTU, or as above",
    ),
    Code(
        "IB646",
        ERROR,
        "Masquerading in BPF with nothing to masquerade, with `egressMasqueradeInterfaces` or `enableMasqueradeRouteSource`, or `ipMasqAgent` without it: the agent refuses to start; 1.14 does something else, which is named",
        fix="What is named",
        lesser=WARNING,
    ),
    Code(
        "IB647",
        ERROR,
        "`loadBalancer.dsrDispatch` or `bpf.lbModeAnnotation` with a mode, tunnel protocol or acceleration that the agent does not take with it",
        fix="`dsrDispatch: opt`, or what is named",
    ),
    Code(
        "IB648",
        ERROR,
        "`nat46x64Gateway` without both families, or no family at all: the agent refuses to start",
        fix="Both, or false",
    ),
    Code("IB649", ERROR, "Encryption or the host firewall with what its agent excludes", fix="What is named"),
    Code(
        "IB650",
        ERROR,
        "Other values that the agent of this version refuses to start with: the high-scale ipcache, several address pools, pod announcements without an interface, a cluster id with the default name",
        fix="What is named",
    ),
    Code(
        "IB651",
        ERROR,
        "Two nodes reach each other only through a gateway, and `autoDirectNodeRoutes` is on: Cilium's agent installs no route to the other's pods, and reports Ok. A node by DHCP gives none: nobody knows its network",
        fix="The layer `tunnel`, or `directRoutingSkipUnreachable: true` (charts from 1.16 on) with routes of your own",
    ),
    Code(
        "IB652",
        WARNING,
        "`autoDirectNodeRoutes` with a cloud provider named: nodes of different zones, and every node in Google's cloud, are behind a gateway",
        fix="The same",
    ),
    Code(
        "IB670",
        WARNING,
        "`loadBalancer.mode` is `dsr` or `hybrid` with a cloud provider named: its network drops the answers, and no check on a node sees it",
        fix="`snat`, or the check of source addresses off and [a try from outside](node.md#dsr)",
    ),
)
