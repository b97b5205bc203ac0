"""The agent's own rules, chart by chart: what ends it is an error where its source has the rule, and nowhere else."""

# ruff: noqa: E501  (a table: long lines read better than wrapped rows)

from __future__ import annotations

from dataclasses import dataclass

import pytest
from packaging.version import Version

from imgbuild.checks.cilium_keys import reads
from imgbuild.config.data import versions
from tests.support.checking import findings, well_formed

CHARTS = ("1.14.19", "1.15.19", "1.16.19", "1.17.18", "1.18.12", "1.19.6", "1.20.0")
TABLE = versions("cilium-agent")
CODES = {rule["code"] for rule in TABLE["rules"]}
NO_BIG = ("enableIPv4BIGTCP=false",)
NO_BBR = ("bandwidthManager={enabled: false, bbr: false}",)
NO_SLICES = ("ciliumEndpointSlice.enabled=false",)
TUNNEL = ("routingMode=tunnel", "autoDirectNodeRoutes=false", "installNoConntrackIptablesRules=false")
SIX = ("ipv6.enabled=true", "ipv6NativeRoutingCIDR=fd00::/48")
IPSEC = ("encryption={enabled: true, type: ipsec}", *NO_BIG, *NO_BBR)
PROXY = ("kubeProxyReplacement=false", "installNoConntrackIptablesRules=false", *NO_BIG, *NO_BBR)
"""With kubernetes.kube_proxy: true."""


@dataclass(frozen=True)
class Case:
    """``says`` is in the one finding of the charts from ``since`` to ``until``; the others have none of the table."""

    values: tuple[str, ...]
    code: str
    says: str
    since: str = "1.14"
    until: str = "1.20"
    kube_proxy: bool = False


HIGH = (*NO_BIG, "highScaleIPcache.enabled=true")
CASES = [
    # Direct node routes
    Case((*TUNNEL[::2], *NO_BIG, "loadBalancer.mode=snat"), "IB630", "auto-direct-node-routes cannot be used", until="1.19"),
    Case((*TUNNEL[::2], *NO_BIG, "loadBalancer.mode=snat"), "IB630", "requires native or hybrid", "1.20"),
    Case(("autoDirectNodeRoutes=false", "directRoutingSkipUnreachable=true"), "IB630",
         "auto-direct-node-routes is not enabled", "1.16"),
    # DSR
    Case((*TUNNEL, *NO_BIG), "IB631", "with vxlan tunneling"),
    Case((*TUNNEL, *NO_BIG, "tunnelProtocol=geneve"), "IB631", "requires geneve dispatch"),
    Case((*TUNNEL, *NO_BIG, "loadBalancer.mode=hybrid", "loadBalancer.dsrDispatch=geneve"), "IB631", "vxlan"),
    Case(("loadBalancer.dsrDispatch=geneve", *NO_BIG), "IB647", "requires geneve tunnel protocol", "1.15"),
    Case(("loadBalancer={mode: hybrid, dsrDispatch: geneve}", *NO_BIG), "IB647", "requires geneve tunnel protocol", "1.15"),
    Case(("loadBalancer.dsrDispatch=ipip", *NO_BIG), "IB647", "lb-only", until="1.17"),
    Case(("loadBalancer.dsrDispatch=ipip", *NO_BIG), "IB647", "XDP", "1.18", "1.18"),
    Case(("loadBalancer={mode: hybrid, dsrDispatch: ipip, acceleration: best-effort}", *NO_BIG), "IB647",
         "Invalid value for --bpf-lb-dsr-dispatch", until="1.17"),
    Case(("loadBalancer={mode: hybrid, dsrDispatch: ipip, acceleration: best-effort}", "bpf.lbModeAnnotation=true", *NO_BIG),
         "IB647", "under annotation mode", "1.17"),
    Case(("loadBalancer.mode=snat", "bpf.lbModeAnnotation=true"), "IB647", "ipip dispatch", "1.17", "1.17"),
    Case((*TUNNEL, *NO_BIG, "loadBalancer.mode=snat", "bpf.lbModeAnnotation=true"), "IB631", "by annotation", "1.17"),
    Case((*TUNNEL, *NO_BIG, "tunnelProtocol=geneve", "loadBalancer.mode=snat", "bpf.lbModeAnnotation=true"), "IB631",
         "requires geneve dispatch", "1.17", "1.19"),
    Case((*TUNNEL, *NO_BIG, "loadBalancer={mode: snat, dsrDispatch: ipip}", "bpf.lbModeAnnotation=true"), "IB631",
         "by annotation", "1.17", "1.19"),
    # No connection tracking
    Case(("routingMode=tunnel", "autoDirectNodeRoutes=false", "loadBalancer.mode=snat", *NO_BIG), "IB632", "direct routing mode"),
    Case(("kubeProxyReplacement=false", "bpf.masquerade=false", "enableIPv4Masquerade=false", *NO_BIG, *NO_BBR), "IB632",
         "kube-proxy-replacement", kube_proxy=True),
    Case(("bpf.masquerade=false", *NO_BIG, *NO_BBR), "IB632", "enable-bpf-masquerade"),
    Case(("ipv4.enabled=false", *SIX), "IB632", "requires IPv4 support"),
    # Masquerading
    Case(PROXY, "IB633", "Falling back to iptables", until="1.14", kube_proxy=True),
    Case(PROXY, "IB633", "BPF masquerade requires NodePort", "1.15", "1.18", kube_proxy=True),
    Case(PROXY, "IB633", "starts and reports nothing", "1.19", kube_proxy=True),
    Case(("enableIPv4Masquerade=false",), "IB646", "Auto-disabling", until="1.14"),
    Case(("enableIPv4Masquerade=false",), "IB646", "BPF masquerade requires", "1.15"),
    Case(("ipv4.enabled=false", "installNoConntrackIptablesRules=false", "enableIPv6Masquerade=false", *SIX), "IB646",
         "BPF masquerade requires", "1.15"),
    Case(("egressMasqueradeInterfaces=eth0",), "IB646", "Falling back to iptables", until="1.14"),
    Case(("egressMasqueradeInterfaces=eth0",), "IB646", "does not allow to specify devices", "1.15"),
    Case(("enableMasqueradeRouteSource=true",), "IB646", "route source", "1.15"),
    Case((*PROXY, *TUNNEL, "nodePort.enabled=true", "socketLB.enabled=false", "loadBalancer.mode=snat"), "IB646", "socket-LB", "1.15", "1.16",
         kube_proxy=True),
    Case(("ipMasqAgent.enabled=true", "bpf.masquerade=false", "installNoConntrackIptablesRules=false", *NO_BIG, *NO_BBR),
         "IB646", "ip-masq-agent requires"),
    # BIG TCP and BBR
    Case((*TUNNEL, "loadBalancer.mode=snat"), "IB634", "not supported in tunneling mode", until="1.18"),
    Case((*TUNNEL, "loadBalancer.mode=snat"), "IB634", "pending kernel support", "1.19"),
    Case(("egressGateway.enabled=true", *NO_SLICES), "IB634", "data path never comes up", "1.19", "1.19"),
    Case(("egressGateway.enabled=true", *NO_SLICES), "IB634", "pending kernel support", "1.20"),
    Case(("loadBalancer.dsrDispatch=geneve", "tunnelProtocol=geneve"), "IB634", "data path never comes up", "1.19", "1.19"),
    Case(("loadBalancer.dsrDispatch=geneve", "tunnelProtocol=geneve"), "IB634", "pending kernel support", "1.20"),
    Case(("loadBalancer.dsrDispatch=ipip",), "IB634", "IPIP tunnels", "1.20"),
    Case(("bpf.hostLegacyRouting=true", *NO_BBR), "IB634", "BIG TCP is not supported with legacy host routing"),
    Case(("bpf.hostLegacyRouting=true", *NO_BIG), "IB634", "requires BPF host routing"),
    Case(("bpf.masquerade=false", "installNoConntrackIptablesRules=false", *NO_BBR), "IB634", "Falling back"),
    Case(("bpf.masquerade=false", "installNoConntrackIptablesRules=false", *NO_BIG), "IB634", "Falling back"),
    Case(("enableIPv4BIGTCP=true", "encryption={enabled: true, type: ipsec}", *NO_BBR), "IB634", "encryption enabled"),
    Case(("encryption={enabled: true, type: wireguard}",), "IB634", "WireGuard", until="1.18"),
    Case(("encryption={enabled: true, type: ipsec}", *NO_BIG), "IB634", "bandwidth manager cannot be used with IPSec"),
    Case(("loadBalancer.standalone=true",), "IB634", "veth datapath mode", until="1.17"),
    Case(("bandwidthManager={enabled: true, bbr: false, bbrHostNamespaceOnly: true}",), "IB634", "without enabling --enable-bbr",
         "1.18"),
    Case(("bandwidthManager={enabled: false, bbr: true}",), "IB634", "leaves BBR off"),
    # The egress gateway
    Case(("egressGateway.enabled=true", *NO_BIG), "IB635", "finds no pod", until="1.14"),
    Case(("egressGateway.enabled=true", *NO_BIG), "IB635", "CiliumEndpointSlice feature", "1.15"),
    Case(("egressGateway.enabled=true", *NO_SLICES, *NO_BIG, "enableIPv4Masquerade=false", *SIX), "IB635",
         "enable-ipv4-masquerade", "1.16"),
    Case(("egressGateway.enabled=true", *NO_SLICES, *NO_BIG, *NO_BBR, "bpf.masquerade=false",
          "installNoConntrackIptablesRules=false"), "IB635", "enable-bpf-masquerade"),
    Case(("egressGateway.enabled=true", *NO_SLICES, *NO_BIG, "identityAllocationMode=kvstore"), "IB635", "KV store", until="1.16"),
    Case(("egressGateway.enabled=true", *NO_SLICES, *NO_BIG, "identityAllocationMode=kvstore"), "IB635", "this identity", "1.17"),
    Case(("egressGateway.enabled=true", *NO_SLICES, *NO_BIG, "underlayProtocol=ipv6"), "IB635", "IPv4 underlay", "1.19"),
    Case((*PROXY, "egressGateway.enabled=true", *NO_SLICES, "nodePort.enabled=true"), "IB635", "in kube-proxy's place", kube_proxy=True),
    # Endpoints, families, encryption, and what is left
    Case(("disableEndpointCRD=true",), "IB636", "disable-endpoint-crd"),
    Case(("bpf={datapathMode: netkit, hostLegacyRouting: true, tproxy: false}", *NO_BIG, *NO_BBR), "IB637", "host-legacy-routing",
         "1.20"),
    Case(("bpf={datapathMode: netkit, masquerade: false, tproxy: false}", "installNoConntrackIptablesRules=false", *NO_BIG,
          *NO_BBR), "IB637", "BPF masquerade", "1.20"),
    Case((*PROXY, "bpf={datapathMode: netkit, masquerade: false, tproxy: false}", "enableIPv4Masquerade=false"), "IB637",
         "kube-proxy-replacement", "1.20", kube_proxy=True),
    Case(("nat46x64Gateway.enabled=true",), "IB648", "requires both"),
    Case(("ipv4.enabled=false", "installNoConntrackIptablesRules=false"), "IB648", "Either IPv4 or IPv6"),
    Case(IPSEC, "IB649", "BPF NodePort", until="1.15"),
    Case((*IPSEC, "hostFirewall.enabled=true"), "IB649", "host firewall"),
    Case((*IPSEC, "dnsProxy.enableTransparentMode=false"), "IB649", "DNS proxy transparent mode"),
    Case((*IPSEC, *SIX, "ipv4.enabled=false", "installNoConntrackIptablesRules=false"), "IB649", "IPv4 addressing", until="1.17"),
    Case(("hostFirewall.enabled=true", *SIX), "IB649", "IPv6 BPF masquerade", until="1.15"),
    Case(("encryption={enabled: true, type: wireguard}", *NO_BIG, "underlayProtocol=ipv6"), "IB649", "IPv4 underlay", "1.18", "1.18"),
    Case((*IPSEC, *TUNNEL, "loadBalancer.mode=snat", "encryption.strictMode={ingress: {enabled: true}}"), "IB649",
         "strict ingress", "1.19"),
    Case(("encryption={enabled: true, type: wireguard, strictMode: {ingress: {enabled: true}}}", *NO_BIG), "IB649",
         "requires tunneling", "1.19", "1.19"),
    Case((*HIGH, "loadBalancer={mode: dsr, dsrDispatch: geneve}", *TUNNEL, "tunnelProtocol=geneve"), "IB650", "native routing",
         until="1.17"),
    Case(HIGH, "IB650", "geneve dispatch", until="1.17"),
    Case((*HIGH, "loadBalancer={mode: dsr, dsrDispatch: geneve}", "tunnelProtocol=geneve", "wellKnownIdentities.enabled=false"),
         "IB650", "well-known", until="1.17"),
    Case((*HIGH, "loadBalancer={mode: dsr, dsrDispatch: geneve}", "tunnelProtocol=geneve", "egressGateway.enabled=true",
          *NO_SLICES), "IB635", "high scale", until="1.17"),
    Case((*TUNNEL, *NO_BIG, "loadBalancer.mode=snat", "ipam.mode=multi-pool"), "IB650", "in tunnel mode", until="1.17"),
    Case((*IPSEC, "ipam.mode=multi-pool"), "IB650", "multi-pool with enable-ipsec", until="1.18"),
    Case(("l2podAnnouncements={enabled: true}",), "IB650", "enable-l2-pod-announcements", "1.19"),
    Case(("bpf.tproxy=true",), "IB623", "cilium#47896", "1.19"),
    Case(("vtep={enabled: true, endpoint: 10.1.1.1}",), "IB650", "VTEP"),
    Case(("loadBalancer.algorithm=maglev", "maglev.tableSize=16384"), "IB650", "maglev-table-size"),
    Case(("cluster={id: 3, name: default}",), "IB650", "default cluster name"),
]  # fmt: skip


def of_the_table(case: Case, chart: str) -> list[str]:
    """The messages of the table's codes, ``code message``."""
    proxy = ["kubernetes.kube_proxy=true"] if case.kube_proxy else []
    found = findings(
        "debian12-efi", [f"cilium.version={chart}", *proxy, *(f"cilium.values.{value}" for value in case.values)]
    )
    well_formed(found)
    return [f"{f.code} {f.message}" for f in found if f.code in CODES]


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code} {case.says[:20]} {' '.join(case.values)[:50]}")
def test_a_value_that_ends_the_agent_is_found_in_the_charts_with_that_rule(case: Case, chart: str) -> None:
    told = of_the_table(case, chart)
    release = Version(chart.rpartition(".")[0])
    hit = [text for text in told if text.startswith(case.code) and case.says in text]
    assert len(hit) == (Version(case.since) <= release <= Version(case.until)), told


@pytest.mark.parametrize(
    ("chart", "told"), [("1.19.5", False), ("1.19.6", True), ("1.19.10", True), ("1.18.12", False)]
)
def test_a_rule_may_begin_with_a_patch_release(chart: str, told: bool) -> None:
    found = of_the_table(Case(("bpf.tproxy=true",), "", ""), chart)
    assert [text[:5] for text in found] == (["IB623"] if told else [])
    assert of_the_table(Case(("bpf.tproxy=true", "l7Proxy=false"), "", ""), chart) == []


def test_every_rule_has_a_case() -> None:
    texts = {text for case in CASES for chart in CHARTS for text in of_the_table(case, chart)}
    assert [rule["why"] for rule in TABLE["rules"] if not any(rule["why"] in text for text in texts)] == []


@pytest.mark.parametrize("chart", CHARTS)
def test_the_values_as_shipped_start_every_agent(chart: str) -> None:
    assert of_the_table(Case((), "", ""), chart) == []


@pytest.mark.parametrize(
    "values",
    [
        ("egressGateway.enabled=true", *NO_SLICES, *NO_BIG),
        ("loadBalancer.dsrDispatch=geneve", "tunnelProtocol=geneve", *NO_BIG),
        ("nat46x64Gateway.enabled=true", *SIX),
        ("enableIPv4Masquerade=false", "bpf.masquerade=false", *NO_BIG),
        ("egressMasqueradeInterfaces=eth0", "bpf.masquerade=false", "installNoConntrackIptablesRules=false", *NO_BIG, *NO_BBR),
        ("bpf.hostLegacyRouting=true", *NO_BIG, *NO_BBR),
        ("disableEndpointCRD=true", *NO_SLICES),
        ("ipMasqAgent.enabled=true",),
        ("hostFirewall.enabled=true",),
        ("cluster={id: 3, name: lab}",),
        ("loadBalancer.algorithm=maglev", "maglev.tableSize=16381"),
        ("vtep={enabled: true, endpoint: 10.1.1.1, cidr: 10.1.5.0/24, mask: 255.255.255.0, mac: 'x'}",),
        ("cluster.id=3",),  # by the name of the cluster file
    ],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("chart", CHARTS)
def test_what_a_fix_says_leads_into_no_other_error(values: tuple[str, ...], chart: str) -> None:
    assert of_the_table(Case(values, "", ""), chart) == []


def test_the_table_names_only_keys_and_facts_that_are_there() -> None:
    def walk(condition: object) -> None:
        if isinstance(condition, str):
            assert condition in TABLE["facts"]
        elif isinstance(condition, list):
            for one in condition:
                walk(one)
        else:
            assert isinstance(condition, dict)
            for key, value in condition.items():
                if key in ("any", "not"):
                    walk(value)
                else:
                    read(key)

    def read(key: str) -> None:
        assert any(reads(Version(chart.rpartition(".")[0]), tuple(key.split("."))) for chart in CHARTS), key

    for key in TABLE["defaults"]:
        read(key)
    for fact in TABLE["facts"].values():
        walk(fact)
    for rule in TABLE["rules"]:
        assert set(rule) <= {
            "code",
            "since",
            "until",
            "lesser",
            "when",
            "requires",
            "at",
            "why",
            "does",
            "prints",
            "fix",
        }
        assert "prints" in rule or "does" in rule
        walk(rule["when"])
        walk(rule.get("requires", []))
        for key in rule["at"]:
            read(key)


@pytest.mark.parametrize(
    ("value", "code", "message", "hint"),
    [
        (
            "bandwidthManager=true",
            "IB616",
            "bandwidthManager is a mapping in the chart, not true",
            "write {enabled: true}",
        ),
        ("kubeProxyReplacement=partial", "IB616", "not 'partial'", "write true or false"),
        ("routingMode=vxlan", "IB615", "'vxlan' is not a valid routingMode", "write one of native, tunnel"),
        (
            '"hubble.relay.enabled"=true',
            "IB610",
            "hubble.relay.enabled is not a key",
            "write hubble: {relay: {enabled: …}}, nested",
        ),
    ],
)
def test_a_value_that_is_wrong_by_itself_has_one_finding(value: str, code: str, message: str, hint: str) -> None:
    (found,) = findings("centos8-efi", [f"cilium.values.{value}"])
    assert found.code == code
    assert message in found.message
    assert found.hint == hint
