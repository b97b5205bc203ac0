"""Which nodes make the control plane, how the others reach it, and their labels and taints."""

from __future__ import annotations

from imgbuild.checks import balancer
from imgbuild.checks.context import Context, cluster_networks, inside, parts
from imgbuild.config.clouds import LIMITS
from imgbuild.config.cluster import Node
from imgbuild.diagnostics.findings import Path, few, listing
from imgbuild.facts.derive import read_interface
from imgbuild.facts.endpoint import own_address, reach


def check(context: Context) -> None:
    """All findings about roles, endpoint, virtual address, labels and taints."""
    _roles(context)
    _vip(context)
    balancer.check(context)
    _labels(context)


def _roles(context: Context) -> None:
    cluster = context.cluster
    masters = [n for n, node in enumerate(cluster.nodes) if node.role == "control-plane"]
    if not context.profile.kubernetes.enabled:
        return
    say = context.cluster_finding
    unknown = {part for path in context.cluster_recovered for part in path}
    if "role" in unknown:
        return
    if not masters:
        say("IB410", ("nodes", 0, "role"), "no node is a control plane", "set role: control-plane on one of them")
        return
    found = reach(context.profile, cluster)
    where = found.endpoint
    no_card = any(each.code == "IB486" for each in context.findings.items)  # its address follows from that
    if len(cluster.nodes) > 1 and where is None and not no_card and not unknown & {"endpoint", "vip", "network"}:
        other = next(n for n in range(len(cluster.nodes)) if n != masters[0])
        say(
            "IB411", ("nodes", other),
            "could never join: the address of the control plane is not known",
            f"set endpoint: HOST:PORT, vip:, or a static address on {cluster.nodes[masters[0]].name}",
        )  # fmt: skip
    if len(masters) > 1 and len(masters) % 2 == 0:
        say(
            "IB412", ("nodes", masters[-1], "role"),
            f"{len(masters)} control planes tolerate no more failures than {len(masters) - 1}",
            "use an odd number",
        )  # fmt: skip
    if cluster.endpoint is not None and not 0 < int(cluster.endpoint.rpartition(":")[2]) < 65536:
        say("IB413", ("endpoint",), f"{cluster.endpoint} has no valid port", "use a port from 1 to 65535")
    if len(masters) > 1 and where is not None:
        _single(context, masters, where, unknown)


def _single(context: Context, masters: list[int], where: str, unknown: set[str | int]) -> None:
    """One node's address as the endpoint of several control planes.

    Without that node the API cannot be reached. If it is rebuilt, nothing answers at the endpoint, and it has to ask
    the others whether the cluster is there, or it would make a second one.
    """
    cluster, say = context.cluster, context.cluster_finding
    host = where.rpartition(":")[0].strip("[]")
    own = next((n for n in masters if host in (cluster.nodes[n].name, *_own(context, cluster.nodes[n]))), None)
    nameless = [n for n in masters if own_address(context.profile, cluster.nodes[n]) is None]
    fix = f"set {balancer.WAYS}"
    if cluster.single_endpoint and (cluster.vip is not None or cluster.balancer is not None):
        what = f"the vip {cluster.vip.address}" if cluster.vip else "each node's own balancer"
        say(
            "IB462", ("single_endpoint",),
            f"the endpoint is {what}, not a single node's address",
            "remove single_endpoint",
        )  # fmt: skip
    elif cluster.single_endpoint:
        # If no node in the file has the endpoint's address, a node gets it from DHCP.
        holder = own if own is not None else next(iter(nameless), masters[0])
        for number in nameless:
            if number != holder and "network" not in unknown:
                name = cluster.nodes[number].name
                say(
                    "IB461", ("nodes", number),
                    f"the address of {name} is not known: if {cluster.nodes[holder].name}, whose address is the "
                    f"endpoint, is rebuilt, it cannot ask {name} whether the cluster is there",
                    f"give {name} a static address, or settings: {{kubernetes: {{advertise_address: ADDRESS}}}} with "
                    f"the one that DHCP gives it; or {fix}",
                )  # fmt: skip
    elif own is not None:
        known = [cluster.nodes[n].name for n in nameless if n != own]
        also = f" (with a static address for {few(known, 3)})" if known else ""
        say(
            "IB414", ("endpoint",) if cluster.endpoint else ("nodes", own),
            f"the endpoint {where} is {cluster.nodes[own].name}'s own address: the API cannot be reached without it",
            f"{fix}; single_endpoint: true accepts it{also}",
        )  # fmt: skip


def _own(context: Context, node: Node) -> list[str]:
    """Every address of a node that is known."""
    static = [str(read_interface(a).ip) for _, _, carried in parts(node) for a in carried.addresses]
    own = own_address(context.profile, node)
    return static if own is None or own in static else [own, *static]


def _reaches(node: Node, address: str) -> bool:
    """Whether a node has a network with that address; what it gets from DHCP is not known."""
    carriers = [carried for _, _, carried in parts(node)]
    return any(carried.dhcp for carried in carriers) or not carriers or any(
        inside(address, read_interface(own).network) for carried in carriers for own in carried.addresses
    )  # fmt: skip


def _vip(context: Context) -> None:
    cluster, vip = context.cluster, context.cluster.vip
    if vip is None:
        return
    say, path = context.cluster_finding, ("vip", "address")
    for node in cluster.nodes:
        if vip.address in _own(context, node):
            say("IB415", path, f"{vip.address} is {node.name}'s own address", "give one that no machine has")
    for node in cluster.nodes:
        if node.role == "control-plane" and not _reaches(node, vip.address):
            say(
                "IB416", path, f"{vip.address} is not in a network of the control plane {node.name}",
                "give a free address of a network that all control planes are in",
            )  # fmt: skip
            break
    if vip.interface is not None:
        _vip_beside(context, vip.address, vip.interface)
    _vip_in_a_cloud(context, vip.address)
    for name, network in cluster_networks(context.profile):
        if inside(vip.address, network):
            say("IB416", path, f"{vip.address} is in the {name} network {network}", "give a free address of the nodes'")
    if cluster.endpoint is not None and cluster.endpoint.rpartition(":")[0].strip("[]") != vip.address:
        host = cluster.endpoint.rpartition(":")[0]
        say(
            "IB417", ("endpoint",), f"the nodes connect to {host}, not to the vip {vip.address}",
            "remove endpoint:, or let that name resolve to the vip",
            lesser=host[-1].isalpha(),
        )  # fmt: skip


def _vip_beside(context: Context, address: str, interface: str) -> None:
    """kube-vip announces the address on an interface, although the network of another one has it."""
    for node in context.cluster.nodes:
        carriers = {name: carried for _, name, carried in parts(node)}
        chosen = carriers.get(interface)
        if node.role != "control-plane" or chosen is None or chosen.dhcp:
            continue
        having = [
            name
            for name, carried in carriers.items()
            if any(inside(address, read_interface(own).network) for own in carried.addresses)
        ]
        if having and interface not in having:
            context.cluster_finding(
                "IB416", ("vip", "interface"),
                f"{address} is in the network of {listing(having)} of {node.name}, not in that of {interface}: nobody "
                "there would ask for it",
                f"set vip.interface to {having[0]}, or leave it out",
            )  # fmt: skip
            return


def _vip_in_a_cloud(context: Context, address: str) -> None:
    """A virtual address is announced by ARP, which the networks of public clouds ignore."""
    providers = context.profile.cloud.providers
    refused = [LIMITS[name].title for name in providers if not LIMITS[name].address_pairs]
    path: Path = ("vip",)
    if refused:
        context.cluster_finding(
            "IB671", path,
            f"kube-vip announces {address} by ARP, and the network of {listing(refused)} delivers nothing to it: the "
            "API would never answer there",
            "remove vip:, and set balancer: local, or endpoint: to a load balancer of the cloud",
        )  # fmt: skip
    elif providers:
        context.cluster_finding(
            "IB671", path,
            f"OpenStack drops what goes to {address} unless the port of each control plane allows this address",
            f"openstack port set --allowed-address ip-address={address} PORT, once for each control plane; or set "
            "balancer: local in place of vip:", lesser=True,
        )  # fmt: skip


# The labels below kubernetes.io and k8s.io that the kubelet may give itself
# (staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go).
_OWN_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KNOWN_LABELS = frozenset(
    {
        "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "kubernetes.io/instance-type",
        "beta.kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    }
)  # fmt: skip


def _labels(context: Context) -> None:
    for number, node in enumerate(context.cluster.nodes):
        for label in node.labels:
            domain = label.rpartition("/")[0]
            reserved = domain.endswith(("kubernetes.io", "k8s.io")) and (
                domain in ("kubernetes.io", "k8s.io") or domain.endswith((".kubernetes.io", ".k8s.io"))
            )
            ours = any(domain == own or domain.endswith(f".{own}") for own in _OWN_DOMAINS)
            if reserved and not ours and label not in _KNOWN_LABELS:
                context.cluster_finding(
                    "IB418", ("nodes", number, "labels", label), f"the kubelet refuses to start with the label {label}",
                    "use your own domain; set node-role… with kubectl label once the node has joined",
                )  # fmt: skip
        seen: set[tuple[str, str]] = set()
        for index, taint in enumerate(node.taints):
            if (taint.key, taint.effect) in seen:
                path: Path = ("nodes", number, "taints", index)
                context.cluster_finding(
                    "IB419", path, f"duplicate taint {taint.key}:{taint.effect}", "keep one of them"
                )
            seen.add((taint.key, taint.effect))
