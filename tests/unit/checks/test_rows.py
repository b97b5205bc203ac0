"""More inputs for findings about a profile: one that gives it (and nothing else), and one close by that does not.

The examples of the table of codes (tests/unit/diagnostics/test_codes.py) are the first pair of each; these are the
limits and the other cases.
"""

# ruff: noqa: E501  (a table: long lines read better than wrapped rows)

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from imgbuild.diagnostics.severity import Severity
from tests.support.checking import KEY, codes, findings, well_formed

C7, C8, D12 = "centos7-efi", "centos8-efi", "debian12-efi"
SHA = "a" * 64
BIN = "{{urls: ['https://x.org/v1.34.11/{0}'], sha256: {1}}}"
BINARIES = ", ".join(f"{b}: {BIN.format(b, SHA)}" for b in ("kubeadm", "kubelet", "kubectl", "crictl"))
TAR = f"{{name: a, urls: ['https://x.org/a.tar'], sha256: {SHA}}}"
CHART = f"{{urls: ['https://x.org/cilium-1.19.6.tgz'], sha256: {SHA}}}"
V17 = "kubernetes.version=1.37.0"


@dataclass(frozen=True)
class Row:
    """``bad`` gives ``code`` and ``also``; ``good`` gives nothing."""

    code: str
    on: str
    bad: tuple[str, ...]
    good: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    good_on: str = ""
    layers: tuple[str, ...] = ()
    severity: Severity = Severity.ERROR
    good_codes: tuple[str, ...] = ()


def values(*pairs: str) -> tuple[str, ...]:
    """--set arguments below cilium.values."""
    return tuple(f"cilium.values.{pair}" for pair in pairs)


def mirror(items: str) -> str:
    """--set with mirrors of docker.io: a URL, or items of a list in YAML."""
    return f'containerd.registries."docker.io".mirrors=[{items}]'


def runtimes(items: str) -> str:
    """--set with runtimes beside runc."""
    return f"containerd.runtimes={{{items}}}"


def drop_in(text: str) -> str:
    """--set with a drop-in of containerd."""
    return f"files=[{{path: /etc/containerd/conf.d/1.toml, content: {json.dumps(text)}}}]"


W = Severity.WARNING
DISTRIBUTION = ("distro-containerd", "container-host")
OVERLAY = "containerd.buildkit.snapshotter=overlayfs"
"""So that IB525 keeps quiet: the stargz snapshotter cannot use a mirror with a path."""
IPV6 = (
    "kubernetes.pod_cidr=fd00::/48",
    "kubernetes.service_cidr=fd01::/112",
    *values("ipv6.enabled=true", "installNoConntrackIptablesRules=false"),
)
DUAL = (
    "kubernetes.pod_cidr=10.244.0.0/16,fd00::/48",
    "kubernetes.service_cidr=10.96.0.0/16,fd01::/112",
    *values("ipv6.enabled=true"),
)
OLD_KERNEL = (
    "kernel.flavour=distribution",
    "kubernetes.version=1.31.14",
    "cilium.enabled=false",
    "kubernetes.kube_proxy=true",
)
STOCK_KERNEL = ("kernel.flavour=distribution", "kernel.cgroup=v2", "cilium.enabled=false", "kubernetes.kube_proxy=true")
NO_BIG = values("enableIPv4BIGTCP=false", "bandwidthManager.bbr=false")
BY_TAG = values("envoy.image.useDigest=false")
"""So that IB520 keeps quiet: an image by digest is not found in an archive."""
NERDCTL = "containerd.nerdctl_full"

ROWS = [
    Row("IB201", C7, ("kubernetes.version=1.23.17",), ("kubernetes.version=1.24.17",)),
    Row("IB229", C8, ("kubernetes.version=1.38.0",), ("kubernetes.version=1.31.14",), severity=W),
    Row("IB229", C8, ("kubernetes.version=1.36.5",), ("kubernetes.version=1.36.5",), good_on=D12, severity=W),
    Row("IB205", C7, (V17, "kubernetes.cgroup_v1=refuse"), (V17,)),
    Row("IB205", C8, ("kernel.flavour=kernel-lt", "kernel.cgroup=v1", *NO_BIG), ("kernel.flavour=kernel-lt", *NO_BIG)),
    Row("IB205", D12, ("kernel.cgroup=v1",), ("kernel.cgroup=v2",)),
    Row("IB206", C8, ("kubernetes.version=1.34.11", *STOCK_KERNEL), ("kernel.flavour=kernel-lt", *NO_BIG), severity=W),
    Row("IB206", C8, ("kernel.version=5.19.0", *NO_BIG), ("kernel.version=5.15.0", *NO_BIG), also=("IB302",), good_codes=("IB302",), severity=W),
    Row("IB206", C8, ("kernel.version=5.19.0", *NO_BIG), ("kernel.version=5.19.0", "kubernetes.version=1.33.12", *NO_BIG), also=("IB302",), good_codes=("IB302",), severity=W),
    Row("IB207", D12, ("kubernetes.version=1.38.0", f"{NERDCTL}.containerd=1.7.28"), ("kubernetes.version=1.38.0",)),
    Row("IB208", D12, (f"{NERDCTL}.containerd=1.7.28",), (f"{NERDCTL}.containerd=2.1.5",), severity=W),
    Row("IB209", D12, (f"{NERDCTL}.containerd=2.0.9",), (f"{NERDCTL}.containerd=2.4.0",), severity=W),
    Row("IB210", C7, ("kubernetes.source=binaries",), ("kubernetes.source=binaries", f"kubernetes.binaries={{{BINARIES}}}")),
    Row("IB211", C7, (f"kubernetes.binaries={{{BINARIES}}}",), (), severity=W),
    Row("IB212", C7, ('kernel.sysctl."net.ipv4.ip_forward"=null',), ('kernel.sysctl."net.ipv4.ip_forward"="1"',)),
    Row("IB212", C7, (*IPV6, 'kernel.sysctl."net.ipv6.conf.default.forwarding"=0'), IPV6),
    Row("IB212", D12, (*IPV6, "kernel.sysctl.net/ipv6/conf/default/forwarding=null"),
        (*IPV6, 'kernel.sysctl.net/ipv6/conf/default/forwarding="1"')),
    Row("IB218", C7, (*IPV6, 'kernel.sysctl."net.ipv6.conf.default.disable_ipv6"=1'),
        (*IPV6, 'kernel.sysctl."net.ipv6.conf.default.disable_ipv6"=0')),
    Row("IB218", D12, (*IPV6, "kernel.arguments[2]=ipv6.disable=1"), ("kernel.arguments[2]=ipv6.disable=1",)),
    Row("IB216", C7, values("kubeProxyReplacement=false", "installNoConntrackIptablesRules=false", "bpf.masquerade=false",
        "enableIPv4BIGTCP=false", "bandwidthManager.bbr=false")),
    Row("IB222", C7, ("kubernetes.pod_cidr=10.244.0.0/25",), ("kubernetes.pod_cidr=10.244.0.0/24",)),
    Row("IB222", C7, ("kubernetes.pod_cidr=32.0.0.0/7",), ("kubernetes.pod_cidr=33.0.0.0/8",)),
    Row("IB223", C7, ("kubernetes.service_cidr=10.128.0.0/11",), ("kubernetes.service_cidr=10.128.0.0/12",)),
    Row("IB223", C7, ("kubernetes.service_cidr=10.96.0.0/29",), ("kubernetes.service_cidr=10.96.0.0/28",)),
    Row("IB226", C7, ("kubernetes.advertise_address=10.244.3.4",), ("kubernetes.advertise_address=192.168.1.4",)),
    Row("IB226", C7, ("kubernetes.advertise_address=10.96.0.4",), ("kubernetes.advertise_address=10.95.0.4",)),
    Row("IB226", C7, ("kubernetes.advertise_address='::1'",)),
    Row("IB227", C7, ("kubernetes.service_cidr=169.254.0.0/16",), ("kubernetes.service_cidr=172.16.0.0/16",)),
    Row("IB302", C7, ("kernel.version=6.9.10",), (), severity=W),
    Row("IB304", C8, ("kernel.cgroup=v1", "kubernetes.cgroup_v1=accept"),
        ("kernel.cgroup=v1", "kubernetes.cgroup_v1=accept", "kernel.flavour=kernel-lt", *NO_BIG)),
    Row("IB307", C7, ("kernel.sysctl.net/ipv4/ip_forward=1",), ('kernel.sysctl."vm.swappiness"=1',)),
    Row("IB308", C7, ('kernel.sysctl."net.ipv4.conf.all.rp_filter"=1',), ('kernel.sysctl."net.ipv4.conf.all.rp_filter"=0',)),
    Row("IB309", C7, ("kernel.modules=[overlay]",), ("kernel.modules=[br_netfilter, overlay]",)),
    Row("IB309", C7, ('kernel.sysctl."net.netfilter.nf_conntrack_max"=2310720',),
        ('kernel.sysctl."net.netfilter.nf_conntrack_max"=2310720', "kernel.modules=[overlay, br_netfilter, ip_vs_rr]")),
    Row("IB309", C7, ('kernel.sysctl."net.ipv4.vs.conn_reuse_mode"=0',),
        ('kernel.sysctl."net.ipv4.vs.conn_reuse_mode"=0', "kernel.modules=[overlay, br_netfilter, ip_vs]")),
    Row("IB240", C8, ("kernel.modules=[overlay, br_netfilter, wireguard]", *OLD_KERNEL),
        ("kernel.modules=[overlay, br_netfilter, wireguard]",)),
    Row("IB240", C8, ("kernel.modules=[overlay, br_netfilter, nf_conntrack_ipv4]", *OLD_KERNEL),
        ("kernel.modules=[overlay, br_netfilter, nf_nat_ipv4]", *OLD_KERNEL)),
    *(Row("IB241", C7, (f'kernel.sysctl."{gone}"=1',), (f'kernel.sysctl."{gone}"=null',)) for gone in (
        "net.ipv4.tcp_tw_recycle", "fs.may_detach_mounts", "net.ipv4.ip_conntrack_max", "kernel.sched_latency_ns",
        "net.ipv4.netfilter.ip_conntrack_tcp_timeout_established", "net.ipv4.tcp_tw_timeout")),
    Row("IB241", C7, ("kernel.sysctl.net/ipv4/tcp_tw_recycle=1",)),
    Row("IB241", C7, ('kernel.sysctl."net.ipv6.conf.all.disable_ipv6"=1', "kernel.arguments[2]=ipv6.disable=1"),
        ('kernel.sysctl."net.ipv6.conf.all.disable_ipv6"=1',)),
    Row("IB241", C8, ('kernel.sysctl."kernel.sched_latency_ns"=1',),
        ('kernel.sysctl."kernel.sched_latency_ns"=1', *OLD_KERNEL)),
    Row("IB310", C7, ("kernel.arguments[2]=root=/dev/sda1",), ("kernel.arguments[2]=quiet",)),
    Row("IB310", C7, ("kernel.arguments[2]=net.ifnames=1",), ("kernel.interface_names=predictable",)),
    Row("IB311", C7, ("kernel.arguments[2]=console=tty0",), severity=W),
    Row("IB312", D12, ("selinux.mode=permissive",), ("selinux.mode=permissive",), good_on=C7),
    Row("IB313", C7, ("image.size_mib=1024",), ("image.size_mib=2048",)),
    Row("IB316", D12, ("mode=stock", "image.esp_mib=128"), ("mode=baked", "image.esp_mib=128"), severity=W),
    Row("IB315", C7, ("image.formats=[raw, raw]",), ("image.formats=[raw, raw.xz]",)),
    Row("IB314", C7, ("kernel.modules=[br_netfilter]",), severity=W),
    Row("IB501", C7, (), (), layers=("distro-containerd",), good_on=D12, good_codes=("IB208", "IB209")),
    Row("IB502", C7, (f"{NERDCTL}.version=2.9.9", f"{NERDCTL}.urls=[https://x.org/nerdctl-full-2.9.9.tar.gz]", f"{NERDCTL}.sha256={SHA}"),
        (f"{NERDCTL}.version=2.9.9", f"{NERDCTL}.urls=[https://x.org/nerdctl-full-2.9.9.tar.gz]", f"{NERDCTL}.sha256={SHA}",
         f"{NERDCTL}.containerd=2.5.0")),
    Row("IB503", C7, (f"{NERDCTL}.version=0.20.0", f"{NERDCTL}.urls=[https://x.org/nerdctl-full-0.20.0.tar.gz]",
        f"{NERDCTL}.sha256={SHA}", "kubernetes.version=1.28.2"),
        (f"{NERDCTL}.version=0.20.0", f"{NERDCTL}.urls=[https://x.org/nerdctl-full-0.20.0.tar.gz]",
         f"{NERDCTL}.sha256={SHA}", "kubernetes.version=1.28.2"), good_on=D12),
    Row("IB504", D12, ("containerd.source=distribution", "containerd.buildkit.enabled=false"),
        ("containerd.source=distribution", "containerd.buildkit.enabled=false", "containerd.stargz.enabled=false"),
        also=("IB208", "IB209"), good_codes=("IB208", "IB209")),
    Row("IB505", C7, (f"{NERDCTL}.version=2.3.3",), (f"{NERDCTL}.version=2.3.5",)),
    Row("IB505", C7, (f"{NERDCTL}.version=2.3.3", f"{NERDCTL}.urls=[https://x.org/nerdctl-full-2.3.3.tar.gz]"),
        (f"{NERDCTL}.version=2.3.3", f"{NERDCTL}.urls=[https://x.org/nerdctl-full-2.3.3.tar.gz]", f"{NERDCTL}.sha256={SHA}")),
    Row("IB506", C7, (f"{NERDCTL}.urls=[https://x.org/nerdctl-2.3.5-linux-amd64.tar.gz]",)),
    Row("IB507", C7, ("containerd.stargz.enabled=false",),
        ("containerd.stargz.enabled=false", "containerd.buildkit.snapshotter=overlayfs")),
    Row("IB508", C7, ("containerd.state=/var/lib/containerd",), ("containerd.state=/run/containerd2",)),
    Row("IB510", C7, (mirror("https://a.org?ns=x"),), (mirror("https://a.org/v2/"),)),
    Row("IB510", C7, ('containerd.registries."docker.io".server=file:///srv',), ('containerd.registries."docker.io"=null',)),
    Row("IB524", C7, (mirror("https://a.org, {url: 'https://a.org', path: b, skip_verify: true}"), OVERLAY),
        (mirror("https://a.org, 'http://a.org:8080'"),), also=("IB523",), good_codes=("IB512",)),
    Row("IB525", C7, (mirror("https://a.org/hub"),), (mirror("https://a.org/hub"), OVERLAY), severity=Severity.INFO),
    Row("IB525", C7, (mirror("{url: 'https://a.org', skip_verify: true}"),),
        (mirror("https://a.org/hub"), OVERLAY, "containerd.stargz.enabled=false"), also=("IB523",), severity=Severity.INFO),
    Row("IB512", C7, ('containerd.registries."docker.io".mirrors[0]=http://a.org:5000',), severity=W),
    Row("IB514", C7, ("kernel.flavour=distribution",), ("kernel.flavour=kernel-lt",), layers=("container-host",)),
    Row("IB507", C7, (runtimes("k: {snapshotter: stargz}"), "containerd.stargz.enabled=false", OVERLAY), (runtimes("k: {snapshotter: stargz}"),)),
    Row("IB528", C7, (runtimes("n: {options: {SystemdCgroup: 'true'}}"),), (runtimes("n: {options: {SystemdCgroup: true}}"),)),
    Row("IB528", C7, (runtimes("n: {options: {SystemdCgroup: false}}"),),
        (runtimes("k: {type: io.containerd.kata.v2, options: {SystemdCgroup: false}}"),)),
    Row("IB528", C7, (runtimes("n: {options: {IoUid: '1'}}"),), (runtimes("k: {type: io.containerd.kata.v2, options: {IoUid: '1'}}"),)),
    Row("IB529", C7, (drop_in("version = 2\noom_score = -5"),), (drop_in("version = 2\noom_score = -5").replace("conf.d/", "other/"),)),
    Row("IB529", C7, (drop_in("version = = 4"),)),
    Row("IB530", D12, (drop_in('version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nenable_cdi = true'),),
        (drop_in('version = 2\n[plugins."io.containerd.gc.v1.scheduler"]\npause_threshold = 0.1'),), layers=DISTRIBUTION),
    Row("IB601", D12, ("cilium.enabled=true", "helm.enabled=true"), (), layers=("container-host",)),
    Row("IB516", C7, (f"containerd.images=[{TAR.replace('a.tar', 'a.tar.zst')}]", *BY_TAG), (f"containerd.images=[{TAR.replace('a.tar', 'a.tgz')}]", *BY_TAG)),
    Row("IB835", D12, ("images.preload=true",), ("images.preload=false",), layers=("container-host",)),
    Row("IB517", C7, (f"containerd.images=[{TAR}]",), ("containerd.images=[]",), layers=("container-host",), severity=W),
    Row("IB603", C7, ("helm.version=3.17.3",), ("helm.version=3.17.3", f"helm.sha256={SHA}",
        "helm.urls=[https://x.org/helm-v3.17.3-linux-amd64.tar.gz]")),
    # IPv4 BIG TCP alone on a kernel of 6.7 to 6.11: CentOS 7's default kernel-ml is one, and its default is off.
    Row("IB607", C8, ("kernel.version=6.7.0",), ("kernel.version=6.6.9",), also=("IB302",), good_codes=("IB302",)),
    Row("IB611", C7, values("rolloutCiliumPods=true"), values("rollOutCiliumPods=true"), severity=W),
    Row("IB611", C7, values("hubble.relay.enable=true"), values("hubble.relay.enabled=false"), severity=W),
    Row("IB611", C7, ("cilium.version=1.19.6", *values("externalWorkloads.enabled=false")),
        ("cilium.version=1.16.19", *values("externalWorkloads.enabled=false")), severity=W),
    # Keys of the templates alone, and what is the user's own below a key.
    Row("IB611", C7, values("devises=[eth0]"), values("devices=[eth0]", "loadBalancer.algorithm=maglev",
        "socketLB={enabled: true, hostNamespaceOnly: true, tracing: false, terminatePodConnections: true}",
        "nodePort.range='30000,31000'", "l2announcements.leaseDuration=3s", "resources.limits.memory=1Gi",
        "podLabels.a=b", "extraConfig.enable-x=y", "affinity.nodeAffinity.requiredX.y=z", "labels=x"), severity=W),
    Row("IB611", C7, ("cilium.version=1.15.19", *values("socketLB.tracing=false")), ("cilium.version=1.15.19", *values("socketLB.hostNamespaceOnly=true")), severity=W),
    Row("IB612", C7, ("cilium.version=1.15.19", *values("ciliumEndpointSlice.sliceMode=fcfs")),
        ("cilium.version=1.16.19", *values("ciliumEndpointSlice.sliceMode=fcfs"))),
    Row("IB613", C7, values("ciliumEndpointSlice.sliceMode=fcfs")),
    Row("IB614", C7, ("cilium.version=1.18.12", *values("l2podAnnouncements.interface=eth0")), severity=W),
    Row("IB614", C7, values("l2podAnnouncements.interfacePattern=eth0"),
        values("l2podAnnouncements.interfacePattern=eth0", "l2podAnnouncements.enabled=true"), severity=W),
    Row("IB614", C7, ("kubernetes.kube_proxy=true", "cilium.values.bpf.masquerade=false", "cilium.values.installNoConntrackIptablesRules=false", *NO_BIG,
        *values("loadBalancer.acceleration=best-effort")), ("cilium.values.loadBalancer.acceleration=best-effort",), severity=W),
    Row("IB614", C7, ("cilium.version=1.16.19", *values("nodePort.enabled=false")), severity=W),
    Row("IB614", C7, ("cilium.version=1.14.19", *values("externalIPs.enabled=true")), severity=W),
    Row("IB614", C7, ("cilium.version=1.14.19", *values("tunnel=vxlan")),
        ("cilium.version=1.14.19", *values("tunnel=disabled", "routingMode=null")), severity=W),
    Row("IB614", C7, ("cilium.version=1.17.18", *values("enableCiliumEndpointSlice=false")),
        ("cilium.version=1.17.18", *values("enableCiliumEndpointSlice=true", "ciliumEndpointSlice=null")), severity=W),
    Row("IB615", C7, values("loadBalancer.mode=annotation"), values("loadBalancer.mode=hybrid")),
    Row("IB615", C7, values("bpf.datapathMode=auto"), ("cilium.version=1.20.0", *values("bpf.datapathMode=auto"))),
    Row("IB616", C7, values("hubble.relay=true"), values("hubble.relay={enabled: false}")),
    Row("IB632", C7, values("ipv4.enabled=false", "ipv6={enabled: true}", "ipv6NativeRoutingCIDR=fd00::/48"),
        values("ipv4.enabled=false", "ipv6={enabled: true}", "ipv6NativeRoutingCIDR=fd00::/48", "installNoConntrackIptablesRules=false")),
    Row("IB641", C7, values("hubble.relay.enabled=true"), values("hubble={enabled: true, relay: {enabled: true}}")),
    Row("IB641", C7, values("hubble={enabled: true, ui: {enabled: true}}"),
        values("hubble={enabled: true, relay: {enabled: true}, ui: {enabled: true}}")),
    Row("IB612", C7, values("nativeRoutingCIDRFromClusterPool=true"),
        (*values("nativeRoutingCIDRFromClusterPool=true"), "cilium.version=1.20.0")),
    Row("IB613", C7, values("routing-mode=native"), values("routingMode=native")),
    Row("IB613", C7, values("tunnel=disabled"), values("tunnelProtocol=geneve")),
    Row("IB613", C7, values("enableCiliumEndpointSlice=true"), values("ciliumEndpointSlice.enabled=true")),
    Row("IB613", C7, values("enableK8sEventHandover=true"), values("enableK8sEventHandover=null")),
    Row("IB613", C7, values("l2podAnnouncements={enabled: true, interface: eth0}"), also=("IB650",), good=values("l2podAnnouncements={enabled: true, interfacePattern: eth0}")),
    Row("IB613", C7, values("ipam.operator.clusterPoolIPv4PodCIDR=10.244.0.0/16")),
    Row("IB614", C7, values("sessionAffinity=true"), severity=W),
    Row("IB615", C7, values("loadBalancer.mode=dsrr"), values("loadBalancer.mode=hybrid")),
    Row("IB615", C7, values("routingMode=hybrid", "autoDirectNodeRoutes=false", "loadBalancer.mode=snat", "installNoConntrackIptablesRules=false", "enableIPv4BIGTCP=false"),
        ("cilium.version=1.20.0", *values("routingMode=hybrid", "loadBalancer.mode=snat", "installNoConntrackIptablesRules=false", "enableIPv4BIGTCP=false"))),
    Row("IB616", C7, values('hubble.enabled="no"'), values("hubble.enabled=true")),
    Row("IB616", C7, values("k8sClientRateLimit.qps=many"), values("k8sClientRateLimit.qps=50")),
    Row("IB616", C7, values("nodeinit=true"), values("nodeinit={enabled: true}")),
    Row("IB617", C7, values("ipv4NativeRoutingCIDR=192.168.31.254/32"), values("ipv4NativeRoutingCIDR=10.0.0.0/8")),
    Row("IB618", C7, values("ipam.operator.clusterPoolIPv4PodCIDRList=[10.0.0.0/8]"),
        values("ipam.operator.clusterPoolIPv4PodCIDRList=[10.244.0.0/16]")),
    Row("IB621", C7, (f"cilium.chart={CHART.replace('19.6', '18.6')}",), (f"cilium.chart={CHART}",)),
    Row("IB622", C7, (f"cilium.chart={CHART}", "cilium.enabled=false", "kubernetes.kube_proxy=true"), ("cilium.enabled=false", "kubernetes.kube_proxy=true"), severity=W),
    Row("IB620", C7, values("image.repository=a.org/cilium", "image.useDigest=true"), values("image.repository=a.org/cilium"),
        severity=W),
    Row("IB631", C7, values("routingMode=tunnel", "autoDirectNodeRoutes=false", "installNoConntrackIptablesRules=false",
        "enableIPv4BIGTCP=false"),
        values("routingMode=tunnel", "autoDirectNodeRoutes=false", "installNoConntrackIptablesRules=false",
               "enableIPv4BIGTCP=false", "tunnelProtocol=geneve", "loadBalancer.dsrDispatch=geneve")),
    Row("IB632", C7, values("routingMode=tunnel", "autoDirectNodeRoutes=false", "loadBalancer.mode=snat",
        "enableIPv4BIGTCP=false")),
    Row("IB633", C7, ("kubernetes.kube_proxy=true", *NO_BIG, *values("installNoConntrackIptablesRules=false")),
        ("kubernetes.kube_proxy=true", *NO_BIG, *values("installNoConntrackIptablesRules=false", "bpf.masquerade=false"))),
    Row("IB638", C7, values("k8sServiceHostRef={name: x}", "k8sServiceHost=10.0.0.1"), values("k8sServiceHost=10.0.0.1")),
    Row("IB640", C7, values("cluster.name=a-"), ("cilium.version=1.15.19", *values("cluster.name=My.Cluster"))),
    Row("IB624", C7, values("cluster.id=256"), values("cluster.id=255")),
    Row("IB624", C7, values("cluster.id=-1"), values("cluster={id: 511}", "clustermesh.maxConnectedClusters=511")),
    Row("IB615", C7, ("cilium.version=1.16.19", *values("identityAllocationMode=doublewrite-readcrd")),
        values("identityAllocationMode=doublewrite-readcrd")),
    Row("IB625", C7, values("bpf.natMax=16777217"), values("bpf.natMax=16777216")),
    Row("IB625", C7, values("bpf.policyMapMax=255"), values("bpf.policyMapMax=100000")),
    Row("IB625", C7, values("bpf.mapDynamicSizeRatio=1.5"), values("bpf.mapDynamicSizeRatio=0.0025")),
    Row("IB625", C7, values("MTU=-1"), values("MTU=9000")),
    Row("IB616", C7, values("cluster.id=one"), values("cluster.id=0")),
    Row("IB650", C7, values("cluster={id: 3, name: default}"), values("cluster={id: 3, name: lab}")),
    Row("IB430", C7, ("base.source=https://x.org/base.qcow2",), ("base.source=https://x.org/base.qcow2", f"base.sha256={SHA}")),
    Row("IB430", C7, ("base.source=/srv/base.tar.xz",), ("base.source=/srv/base",)),
    Row("IB431", C7, (f"base.sha256={SHA}",)),
    Row("IB432", D12, ("base.source=/srv/base",), ("base.source=/srv/base",), good_on=C7, severity=W),
    Row("IB433", D12, ("repositories.epel_enabled=true",), ("repositories.epel_enabled=true",), good_on=C7),
    Row("IB434", C7, ("repositories.elrepo=[]",), ("repositories.elrepo=null",)),
    Row("IB435", C7, ("repositories.elrepo=[https://x.org/, https://x.org/]",), severity=W),
    Row("IB436", C7, ("time.zone=Europe/Kyiv",), ("time.zone=Europe/Kiev",), severity=W),
    Row("IB436", C8, ("time.zone=America/Ciudad_Juarez",), ("time.zone=America/Denver",), severity=W),
    Row("IB436", C7, ("time.zone=Asia/Shanghi",), ("time.zone=Asia/Shanghai",), severity=W),
    Row("IB452", C7, ("users[1]={name: root}",), ("users[1]={name: roots}",)),
    Row("IB452", D12, ("users[1]={name: default}",)),
    Row("IB458", C7, ("files=[{path: /etc/yum.repos.d/imgbuild.repo, content: x}]",),
        ("files=[{path: /etc/yum.repos.d/mine.repo, content: x}]",)),
    Row("IB460", C7, ("files=[{path: /etc/fstab, content: x}]",), ("files=[{path: /etc/fstab.d, content: x}]",)),
    Row("IB453", C7, (f"users[0].ssh_keys=['{KEY}', '{KEY}']",), severity=W),
    Row("IB454", C7, ("files=[{path: /etc/a, content: x}, {path: /etc/a, content: y}]",),
        ("files=[{path: /etc/a, content: x}, {path: /etc/ab, content: y}]",)),
    Row("IB454", C7, ("files=[{path: /etc/a, content: x}, {path: /etc/a/b, content: y}]",)),
    Row("IB455", C7, ("files=[{path: /run/a, content: x}]",), ("files=[{path: /opt/a, content: '{{x}} ${y}'}]",)),
    Row("IB455", C7, ("files=[{path: /etc/cloud/cloud.cfg, content: x}]",)),
    Row("IB456", C7, ("files=[{path: /opt/a, content: x, mode: '4755'}]",), severity=W),
    Row("IB458", C7, ("files=[{path: /etc/containerd/config.toml, content: version = 3}]",),
        ("files=[{path: /etc/containerd/other.toml, content: x}]",), severity=W),
    Row("IB458", C7, ("files=[{path: /etc/containerd, content: x}]",)),
    Row("IB458", C7, ("files=[{path: /etc/localtime/x, content: x}]",)),
    Row("IB458", C7, ("files=[{path: /usr/libexec/imgbuild/more, content: x}]",)),
    Row("IB459", C7, ("users[0].hashed_password='$y$j9T$abcdefghijklmnopqrstuv'",), ("users[0].hashed_password='$6$abcdefghijklmnopqrstuv'",)),
    Row("IB457", C7, ('run=["echo a\\r"]',), ('run=["echo a\\n"]',)),
    Row("IB457", C7, ('files=[{path: /opt/a, content: "#!/bin/sh\\r\\ntrue\\r\\n"}]',),
        ('files=[{path: /opt/a, content: "a\\r\\n"}]',)),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code} {' '.join(row.bad)[:60]}")
def test_the_bad_input_gives_this_finding_and_no_other(row: Row) -> None:
    found = findings(row.on, row.bad, row.layers)
    assert codes(found) == {row.code, *row.also}
    assert all(f.severity is row.severity for f in found if f.code == row.code)
    well_formed(found)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code} {' '.join(row.good)[:60]}")
def test_the_good_input_close_by_does_not(row: Row) -> None:
    found = findings(row.good_on or row.on, row.good, row.layers if not row.good_on or row.code == "IB501" else ())
    assert codes(found) == set(row.good_codes)
