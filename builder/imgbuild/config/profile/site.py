"""The place where nodes run: its proxy, its certificate authorities, its names."""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from imgbuild.config.certificates import authorities
from imgbuild.config.fields import Address, DnsName, Model, dns_name
from imgbuild.config.reference import Reference
from imgbuild.config.setting import Setting, Words

_PROXY = re.compile(
    r"http://((?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})+(:(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})*)?@)?"
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}/?"
)


def _proxy(value: str) -> str:
    if value.startswith("https://"):
        raise ValueError(
            "write http://HOST:PORT: it is how the proxy itself is reached, also for https addresses; CentOS 7's curl "
            "cannot reach one over https"
        )
    if value.startswith("socks"):
        raise ValueError("write http://HOST:PORT of an HTTP proxy: apt, yum and dnf do not all know SOCKS")
    if not _PROXY.fullmatch(value):
        raise ValueError(
            "write http://HOST:PORT, with the port, because programs differ in their default; a login is USER:PASSWORD "
            "and @ before HOST, with its special characters as in a URL: %40 for @, %3A for a colon, %25 for %"
        )
    try:
        port = urlsplit(value).port
    except ValueError:
        port = None
    if not port:
        raise ValueError("write a port from 1 to 65535")
    return value.rstrip("/")


def has_login(url: str) -> bool:
    """Whether a proxy's address has a user or a password in it."""
    return "@" in url


def _unproxied(value: str) -> str:
    if value == "*" or value.startswith("*."):
        fix = f"write {value[1:]}: curl does not know *" if value != "*" else "leave proxy.http and proxy.https out"
        raise ValueError(fix)
    if "/" in value:
        try:
            return str(ipaddress.ip_network(value, strict=False))
        except ValueError as error:
            raise ValueError("write a network in CIDR form, such as 10.20.0.0/16") from error
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        if re.fullmatch("[0-9.]+", value):
            raise ValueError("write a whole IP address, such as 10.20.0.7") from None
        dns_name(value.removeprefix("."))
    return value


ProxyUrl = Annotated[str, AfterValidator(_proxy), Reference(private=has_login), Words("`http://HOST:PORT`")]
Unproxied = Annotated[str, AfterValidator(_unproxied), Words("name, .domain, address or network")]
Certificates = Annotated[
    str, AfterValidator(authorities), Reference(private=None), Words("certificate in PEM, or several")
]


class Proxy(Model):
    """How nodes and the image build reach the internet."""

    http: Annotated[
        ProxyUrl | None,
        Setting("Proxy for http addresses. `null`: none.", example="http://proxy.example.com:3128", secret=True),
    ]
    https: Annotated[
        ProxyUrl | None,
        Setting(
            "Proxy for https addresses, usually the same. `null`: none. It may have a login, "
            "`http://USER:PASSWORD@HOST:PORT`, which then is in the seeds alone.",
            example="http://proxy.example.com:3128",
            secret=True,
        ),
    ]
    no_proxy: Annotated[
        list[Unproxied],
        Setting(
            "What is reached without the proxy, in addition to what imgbuild [derives]"
            "(../how-to/proxy.md#what-is-reached-without-the-proxy): the nodes, the control plane, the cluster's own "
            "networks and names.",
            example=[".corp.example.com", "10.20.0.0/16"],
        ),
    ]


class Trust(Model):
    """Certificate authorities of your own."""

    certificates: Annotated[
        list[Certificates],
        Setting(
            "Certificates of authorities that the nodes and the image build trust, in addition to the distribution's: "
            "for mirrors, registries and a proxy that inspects traffic.",
            example=[{"file": "corp-ca.pem"}],
        ),
    ]


def _names_first(value: object) -> object:
    """Raises ValueError for the order of /etc/hosts, where the address comes first."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        pairs = [(line.split()[0], line.split()[1:]) for line in value if len(line.split()) > 1]
    elif isinstance(value, dict):
        pairs = [(str(key), names) for key, names in value.items()]
    else:
        return value
    for address, names in pairs:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            continue
        listed = names.split() if isinstance(names, str) else names if isinstance(names, list) else []
        written = [f"{name}: {address}" for name in listed if isinstance(name, str)] or [f"NAME: {address}"]
        raise ValueError(f"write each name before its address: {', '.join(written)}")
    return value


Hosts = Annotated[dict[DnsName, Address | None], BeforeValidator(_names_first)]
