"""The site: its proxy, its certificate authorities, its names; and the same done by hand."""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imgbuild.checks import early
from imgbuild.checks.context import Context
from imgbuild.config import certificates
from imgbuild.config.cluster import Node
from imgbuild.facts.derive import as_address

if TYPE_CHECKING:
    from imgbuild.config.openssl import Certificate

# What sets a proxy in an environment file, a drop-in, a shell script, yum.conf and apt.conf.
_PROXY = re.compile(r"(?im)\bhttps?_proxy\s*=|^\s*proxy\s*=\s*\S|Acquire::https?::proxy")
_ANCHORS = ("/etc/pki/ca-trust/source/", "/usr/share/pki/ca-trust-source/", "/usr/local/share/ca-certificates/")
_UPDATE = re.compile(r"\bupdate-ca-(trust|certificates)\b")


def check(context: Context) -> None:
    """All findings about ``proxy``, ``trust`` and ``hosts``, what is too early for them, and what does their work."""
    _proxy(context)
    _certificates(context)
    _hosts(context)
    _include(context)
    for index, file in enumerate(context.profile.files):
        path = ("files", index, "path")
        if _PROXY.search(file.text):
            context.report(
                "IB493", path, f"{file.path} sets a proxy, also for the cluster's own addresses",
                "remove it, and write proxy: {http: URL, https: URL}: imgbuild derives what is reached without it",
            )  # fmt: skip
        if file.path.startswith(_ANCHORS):
            context.report(
                "IB494", path, f"{file.path} is trusted only after the first packages are fetched",
                "remove it, and write trust: {certificates: [{file: PATH}]}",
            )  # fmt: skip
    for index, command in enumerate(context.profile.run):
        if _UPDATE.search(command):
            context.report(
                "IB494", ("run", index), "run comes after set-up, which fetches packages without these certificates",
                "remove it, and write trust: {certificates: [{file: PATH}]}",
            )  # fmt: skip


def _include(context: Context) -> None:
    """A node fetches its files in cloud-init's bootcmd, before names and certificates are written (cloudinit/)."""
    profile, path = context.profile, ("cloud", "include_url")
    if profile.mode == "baked" or profile.cloud.include_url is None:
        return
    url = urlsplit(profile.cloud.include_url)
    if profile.hosts.get(url.hostname or "") is not None:
        context.report(
            "IB497", path, f"nodes fetch this before hosts has told them where {url.hostname} is",
            "write its address in place of the name, or add the name to your DNS",
        )  # fmt: skip
    if url.scheme == "https" and profile.trust.certificates:
        context.report(
            "IB498", path, "nodes fetch this before they trust the certificates of trust",
            "publish it under http://, since its sha256 is compared; nothing to do if the image trusts that server",
        )  # fmt: skip


def check_endpoint(context: Context) -> None:
    """An endpoint by a name that nodes cannot resolve: no DNS server, and no line in /etc/hosts."""
    cluster = context.cluster
    if cluster.endpoint is None:
        return
    host = cluster.endpoint.rpartition(":")[0].strip("[]")
    if as_address(host) is not None or host in context.profile.hosts:
        return
    lost = [node.name for _, node in context.nodes if _without_dns(node)]
    if lost:
        context.cluster_finding(
            "IB495", ("endpoint",),
            f"no DNS server can tell what {host} is, and hosts does not: these nodes would never reach the "
            "control plane",
            f"write settings: {{hosts: {{{host}: ADDRESS}}}} in the cluster file, or dns: in the nodes' network",
            who=lost,
        )  # fmt: skip


def _without_dns(node: Node) -> bool:
    network = node.network
    if network is None or network.dns:
        return False
    return not any(device.dhcp for device in network.devices)


def _proxy(context: Context) -> None:
    proxy = context.profile.proxy
    if proxy.http is not None and proxy.https is None:
        context.report(
            "IB490", ("proxy", "http"), "images, charts and most packages come from https addresses, without a proxy",
            "write the same address as proxy.https",
        )  # fmt: skip
    elif proxy.https is not None and proxy.http is None:
        context.report(
            "IB490", ("proxy", "https"), "packages from http addresses are fetched without a proxy",
            "write the same address as proxy.http",
        )  # fmt: skip
    elif proxy.no_proxy and proxy.http is None:
        context.report(
            "IB490", ("proxy", "no_proxy"), "there is no proxy that this could be an exception of",
            "write proxy.http and proxy.https, or remove it",
        )  # fmt: skip


def _certificates(context: Context) -> None:
    now = datetime.datetime.fromtimestamp(context.moment.now, datetime.UTC)
    seen: set[bytes] = set()
    for index, text in enumerate(context.profile.trust.certificates):
        for pem in certificates.split(text):
            certificate = certificates.parsed(pem)
            _expiry(context, index, certificate, now)
            if certificate.der in seen:
                context.report(
                    "IB492", ("trust", "certificates", index), f"{certificate.name} is given twice",
                    "remove one of them",
                )  # fmt: skip
            seen.add(certificate.der)


def _expiry(context: Context, index: int, certificate: Certificate, now: datetime.datetime) -> None:
    path = ("trust", "certificates", index)
    end, start, name = certificate.end, certificate.start, certificate.name
    if end <= now:
        context.report(
            "IB491", path, f"{name} has expired on {end:%Y-%m-%d}", "give the authority's current certificate"
        )
    elif end <= now + early.CERTIFICATE:
        context.report(
            "IB491", path, f"{name} expires on {end:%Y-%m-%d}", "give the authority's next certificate too", lesser=True
        )
    elif start > now:
        context.report("IB491", path, f"{name} is valid only from {start:%Y-%m-%d} on", "check this machine's clock")


def _hosts(context: Context) -> None:
    nodes = {node.name for _, node in context.nodes}
    for name, address in context.profile.hosts.items():
        path = ("hosts", name)
        if name == "localhost" or name.endswith(".localhost"):
            context.report("IB496", path, f"{name} is the node itself", "remove it", of_key=True)
        elif address is not None and ipaddress.ip_address(address).is_unspecified:
            context.report(
                "IB496", path, f"{address} is not the address of a machine", "write the address of the machine"
            )
        elif address is not None and ipaddress.ip_address(address).is_loopback and name not in nodes:
            context.report(
                "IB496", path, f"{name} would be each node itself", "write the address of the machine", lesser=True
            )
