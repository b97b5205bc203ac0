"""What a node reaches without its site's proxy.

Programs read NO_PROXY differently. Go (golang.org/x/net/http/httpproxy, proxy.go): names, which include their
subdomains; with a leading dot the subdomains alone; addresses; networks in CIDR form. curl before 7.86 (lib/url.c,
check_noproxy), and so yum and dnf: names and their subdomains, with or without the dot, and single addresses; it knows
no networks. apt (methods/http.cc, CheckDomainList): ends of names. So every address is listed by itself that a program
of a node asks for.

A worker is none of these: its network is listed, and a new one changes no other node's seed. Kubespray's
no_proxy_exclude_workers is for the same: a changed list restarts containerd on all nodes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from urllib.parse import urlsplit

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.profile import Profile
from imgbuild.facts.derive import networks, read_interface
from imgbuild.facts.endpoint import Reach

METADATA = "169.254.169.254"
"""Where clouds serve their metadata: link-local, and no proxy can reach it."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "127.0.0.0/8")


def no_proxy(profile: Profile, cluster: Cluster, where: Reach) -> list[str]:
    """The parts of NO_PROXY for nodes with this profile, without duplicates."""
    found = [*_LOOPBACK, METADATA]
    for node in cluster.nodes:
        if node.role == "control-plane":
            found += [node.name, *(_interface(written)[0] for written in _static(node))]
        else:
            found += (_interface(written)[1] for written in _static(node))
    found += [address for address in where.control_planes.values() if address]
    if where.endpoint:
        found.append(where.endpoint.rpartition(":")[0].strip("[]"))
    if cluster.vip is not None:
        found.append(cluster.vip.address)
    kubernetes = profile.kubernetes
    if kubernetes.enabled:
        found += map(str, (*networks(kubernetes.pod_cidr), *networks(kubernetes.service_cidr)))
        found += [".svc", f".{kubernetes.dns_domain}"]
    found = list(dict.fromkeys([*found, *profile.proxy.no_proxy]))
    names = {node.name for node in cluster.nodes}
    return list(dict.fromkeys([*found, *_named(found, names, _urls(profile.model_dump()))]))


def _static(node: Node) -> list[str]:
    """The node's static addresses with their prefix lengths."""
    return [address for part in (node.network.devices if node.network else []) for address in part.addresses]


@cache  # each node's list has all nodes
def _interface(written: str) -> tuple[str, str]:
    """The address, and its network."""
    interface = read_interface(written)
    return str(interface.ip), str(interface.network)


def _urls(value: object) -> Iterator[str]:
    """Every address of a profile that something is fetched from."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key != "proxy":
                yield from _urls(child)
    elif isinstance(value, list):
        for child in value:
            yield from _urls(child)
    elif isinstance(value, str) and value.startswith(("http://", "https://")):
        yield value


def _named(found: Iterable[str], names: Collection[str], urls: Iterable[str]) -> Iterator[str]:
    """The hosts of ``urls`` that are nodes, or addresses in one of the networks: for programs that know no networks."""
    known = [ipaddress.ip_network(part) for part in found if "/" in part]
    for url in urls:
        host = urlsplit(url).hostname or ""
        if host in names:
            yield host
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            continue
        if any(address.version == network.version and address in network for network in known):
            yield str(address)
