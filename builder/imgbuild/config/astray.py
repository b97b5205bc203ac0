"""Keys in the wrong section or file, and other tools' names that mean something else in each section: what to write.

A value is shown only if the key that it is for is public, and accepts it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from imgbuild.config import declared, in_place, replacement
from imgbuild.config.data import versions
from imgbuild.config.fields import Url
from imgbuild.config.flow import flow
from imgbuild.config.layers import value_at
from imgbuild.config.redact import is_private
from imgbuild.config.source import parse
from imgbuild.diagnostics.findings import Findings, Path, format_path

_LONGEST = 200


@dataclass(frozen=True)
class Key:
    """An unknown key. ``above``: where the settings are that it is in, in a cluster file; empty: in none."""

    kind: str
    path: Path
    data: Mapping[str, Any]
    above: Path = ()

    @cached_property
    def beside(self) -> Mapping[str, Any]:
        """The section that it is in."""
        here = value_at(self.data, self.section)
        return here if isinstance(here, dict) else {}

    @property
    def value(self) -> Any:
        """What it is set to."""
        return self.beside.get(self.word)

    @property
    def word(self) -> str:
        """Its name."""
        return str(self.path[-1])

    @property
    def section(self) -> Path:
        """Where it is."""
        return self.path[:-1]


def advice(key: Key) -> str:
    """What to write in place of the key, and where; empty if unknown."""
    rule = _RULES.get((pattern(key.section), key.word))
    return (rule(key) if rule is not None else "") or _in_settings(key) or _spelled(key) or _split(key)


def pattern(path: Path) -> str:
    here = declared.anywhere(path)
    return here.key if here is not None else ""


def written(path: Path, value: Any) -> str:
    """``key: value`` for the key at ``path``, with the nearest valid value; empty if it is not known or not shown."""
    here = declared.anywhere(path)
    if here is None or value is None or is_private(path):
        return ""
    if not replacement.fits(here.hint, value):
        found = replacement.find(here, value, str(value))
        if found is None:
            return ""
        value = found.value
    text = f"{path[-1]}: {flow(value)}"
    return text if len(text) <= _LONGEST and "\n" not in text else ""


def _lines(lines: Iterable[str]) -> str:
    return ", ".join(filter(None, lines))


def with_value(text: str, key: Key) -> str:
    """``text`` (``write kubernetes: {pod_cidr: NETWORK}``) with the key's own value in place of the example."""
    document = parse(text.removeprefix("write "), "", Findings()) if text.startswith("write ") else None
    if document is None or len(document.data) != 1:
        return text
    for section in (key.section, ()):
        path, here = section, dict(document.data)
        while len(here) == 1 and pattern((*path, next(iter(here)))):
            path = (*path, next(iter(here)))
            inner = here[str(path[-1])]
            here = inner if isinstance(inner, dict) and _sections(path) else {}
        line = written(path, key.value) if path != section and not here and not _takes_any(path) else ""
        if line:
            for part in reversed(path[len(key.section) if path[:-1] == key.section else len(section) : -1]):
                line = f"{part}: {{{line}}}"
            return f"write {line}"
    within = re.fullmatch(r"write (\w+): \{(.*)\}", text)
    return f"write {within[2]}" if within is not None and key.section == (within[1],) else text


def _sections(path: Path) -> bool:
    here = declared.anywhere(path)
    return here is not None and here.model is not None


def _takes_any(path: Path) -> bool:
    """Whether a key takes any text, so that fitting tells nothing."""
    here = declared.anywhere(path)
    return here is None or replacement.fits(here.hint, "no such value: ☃")


# The network of a node

CARDS = tuple(f"nodes[].network.{name}[]" for name in ("interfaces", "bonds", "vlans"))
_DNS = ("dns", "nameservers", "nameserver", "dns_servers", "resolvers")
_SEARCH = ("search", "search_domains", "domains", "dns_search", "searchdomains")
_IP = ("ip", "ips", "ipaddr", "ip_address", "ipaddress", "ipv4", "address", "address4", "addr")
_GATEWAY = ("gateway", "gateway4", "gw", "default_gateway")
_MASKS = ("netmask", "mask", "prefix", "prefixlen", "prefix_length")


def _dns(key: Key) -> str:
    network = key.path[:3]
    servers: Any = None if key.word in _SEARCH else key.value
    search: Any = key.value if key.word in _SEARCH else None
    if isinstance(servers, dict):  # netplan's
        servers, search = servers.get("addresses"), servers.get("search")
    said = _lines(
        written((*network, name), in_place.items(value) or None)
        for name, value in (("dns", servers), ("search", search))
    )
    what = said or ("search: [DOMAIN]" if key.word in _SEARCH else "dns: [ADDRESS]")
    return f"write {what} in {format_path(network)}, beside interfaces: name servers are the node's, not a card's"


def _interface_address(value: Any, mask: Any) -> str:
    """An address with its prefix length; empty if it is none."""
    if not isinstance(value, str):
        return ""
    text = value if "/" in value else f"{value}/{str(mask).lstrip('/') if mask is not None else 24}"
    try:
        return str(ipaddress.ip_interface(text)) if "%" not in text else ""
    except ValueError:
        return ""


def _given(key: Key) -> tuple[list[str], bool]:
    """The addresses beside a key, each with its prefix length, and whether one of these is a guess."""
    mask = next((key.beside[name] for name in _MASKS if name in key.beside), None)
    given = in_place.items(next((key.beside[name] for name in (*_IP, "addresses") if name in key.beside), None))
    found = [_interface_address(one, mask) for one in given]
    return found if all(found) else [], mask is None and any("/" not in str(one) for one in given)


_GUESSED = ", with the prefix length of your network"


def _addresses(key: Key) -> str:
    found, guessed = _given(key)
    if not found:
        return "write addresses: [ADDRESS/LENGTH]"
    both = {*_MASKS} & key.beside.keys() and {*_IP} & key.beside.keys()
    return f"write addresses: {flow(found)}{' in place of both' if both else ''}{_GUESSED if guessed else ''}"


def _vip_address(key: Key) -> str:
    return f"write {written((*key.section, 'address'), key.value) or 'address: ADDRESS'}"


def _node_address(key: Key) -> str:
    found, guessed = _given(key)
    text = f"addresses: {flow(found) if found else '[ADDRESS/LENGTH]'}"
    note = _GUESSED if guessed and found else ""
    if "network" in key.beside:
        return f"write {text} in network.interfaces{note}: addresses are a card's"
    network = ("nodes", 0, "network")
    gateway = next((key.beside[name] for name in _GATEWAY if name in key.beside), None)
    servers = next((key.beside[name] for name in _DNS if name in key.beside), None)
    inner = f"name: eth0, {text}, {written((*network, 'interfaces', 0, 'gateway'), gateway) or 'gateway: ADDRESS'}"
    dns = written((*network, "dns"), in_place.items(servers) or None) or "dns: [ADDRESS]"
    return f"write network: {{interfaces: [{{{inner}}}], {dns}}}{note}"


def _of_node_address(key: Key) -> str:
    return _node_address(key) if {*_IP, "addresses"} & key.beside.keys() else ""


def _role(key: Key) -> str:
    return f"write {written((*key.section, 'role'), key.value) or 'role: control-plane or worker'}"


# containerd


def _registry_mirrors(key: Key) -> str:
    found = in_place.urls(key.value)
    valid = found and all(isinstance(one, str) and replacement.fits(Url, one) for one in found)
    return f"write mirrors: {flow(found) if valid else '[URL]'}"


def _registry_server(key: Key) -> str:
    found = in_place.urls(key.value)
    valid = len(found) == 1 and isinstance(found[0], str) and replacement.fits(Url, found[0])
    return f"write server: {found[0] if valid else 'URL'}"


def _skip_verify(key: Key) -> str:
    return f"write {written((*key.section, 'skip_verify'), key.value) or 'skip_verify: true'}"


def _override_path(key: Key) -> str:
    return "remove it: a path in the URL is read as with override_path, with or without /v2"


def _containerd_version(key: Key) -> str:
    if key.beside.get("source") == "distribution":
        return "remove it: containerd is the distribution's, with source: distribution"
    known, wanted = versions("nerdctl-full")["versions"], str(key.value)
    archive: Any = key.beside.get("nerdctl_full")
    now = str(archive.get("version", "")) if isinstance(archive, dict) else ""
    of_now = known.get(now, {}).get("containerd", "")
    if of_now == wanted:
        return f"remove it: nerdctl-full {now}, where containerd comes from, has containerd {wanted}"
    other = next((name for name in reversed(known) if known[name]["containerd"] == wanted), None)
    if other is not None:
        return (
            f"write nerdctl_full: {{version: {other}}}, where containerd {wanted} comes from, and run imgbuild lock, "
            "which finds its address and checksum"
        )
    has = f" {now}, which has containerd {of_now}" if of_now else ""
    return f"remove it: containerd comes from nerdctl-full{has}; another archive is nerdctl_full"


def _cgroup_driver(key: Key) -> str:
    driver = {True: "systemd", False: "cgroupfs"}.get(key.value) if isinstance(key.value, bool) else key.value
    return f"write {written(('containerd', 'cgroup_driver'), driver) or 'cgroup_driver: systemd'}"


# Kubernetes, the site, files


def _networking(key: Key) -> str:
    given = key.value if isinstance(key.value, dict) else {}
    names = {"podSubnet": "pod_cidr", "serviceSubnet": "service_cidr", "dnsDomain": "dns_domain"}
    said = _lines(written(("kubernetes", name), given.get(theirs)) for theirs, name in names.items())
    return f"write {said or 'pod_cidr: NETWORK, service_cidr: NETWORK'} in kubernetes, in its place"


def _of_cluster(key: Key) -> str:
    line = written((key.word,), key.value) or f"{key.word}: …"
    where = "at the top of this file, not below settings" if key.above else "in the cluster file (--cluster)"
    return f"write {line} {where}"


def _certificates(key: Key) -> str:
    given = key.value.get("trusted", key.value) if isinstance(key.value, dict) else key.value  # cloud-init's ca_certs
    files = [one.get("file") if isinstance(one, dict) else one for one in in_place.items(given)]
    named = files and all(isinstance(one, str) and in_place.FILE.fullmatch(one) for one in files)
    return f"write certificates: {flow([{'file': one} for one in files]) if named else '[{file: PATH}]'}"


def _file_mode(key: Key) -> str:
    return f"write {written(('files', 0, 'mode'), key.value) or 'mode: the octal digits in quotes'}"


# Settings in a cluster file


def _in_settings(key: Key) -> str:
    """A key of the cluster file or of its nodes that is below ``settings``."""
    if not key.above:
        return ""
    of_node = ("nodes", 0, *key.path)
    cluster, node = pattern(key.path) if key.path[0] in _top("cluster") else "", pattern(of_node)
    own = len(key.above) > 1
    if key.word == "settings" and len(key.path) == 1:
        return "remove the inner settings, and write its keys one level up"
    if node and own:
        line = written(of_node, key.value) or f"{key.word}: …"
        for part in reversed(key.path[:-1]):
            line = f"{part}: {{{line}}}"
        return f"it is a key of the node itself: set {line} beside settings, not in it"
    if key.path in (("name",), ("nodes",)) and not own:
        return f"remove it: {key.word} is set at the top of this file"
    if cluster:
        return _of_cluster(key)
    if node:
        return f"it is a key of each node: write it there, as {pattern(of_node)}"
    return ""


# Any section


def snake(word: str) -> str:
    """``vipInterface`` and ``vip-interface`` as keys are written here."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).replace("-", "_").lower()


def _siblings(key: Key) -> Mapping[str, declared.Place]:
    here = declared.place(declared.documents()[key.kind], key.section)
    if here is None or here.model is None:
        return {}
    names = here.model.model_fields
    return {name: below for name in names if (below := here.below(name)) is not None}


def _spelled(key: Key) -> str:
    """One or several, and other forms of the same words."""
    word = snake(key.word)
    forms = (word, f"{word}s", f"{word}es", word.removesuffix("s"), word.removesuffix("es"))
    found = next((name for name in _siblings(key) if name in forms), None)
    if found is None:
        return ""
    line = written((*key.section, found), key.value)
    return f"write {line}" if line else f"did you mean {format_path((*key.section, found))}?"


def _split(key: Key) -> str:
    """``vip_interface`` for ``interface`` in ``vip``."""
    word = snake(key.word)
    siblings = _siblings(key)
    for at in [found.start() for found in re.finditer("_", word)]:
        head, tail = word[:at], word[at + 1 :]
        inner = siblings[head].below(tail) if head in siblings else None
        if inner is None or siblings[head].model is None:
            continue
        line = written((*key.section, head, tail), key.value)
        if not line:
            return f"did you mean {format_path((*key.section, head, tail))}?"
        return f"write {line} in {head}" if head in key.beside else f"write {head}: {{{line}}}"
    return ""


@cache
def _top(kind: str) -> frozenset[str]:
    return frozenset(declared.documents()[kind].model_fields)


_Rule = Callable[[Key], str]
_RULES: Mapping[tuple[str, str], _Rule] = {
    **{(card, word): _dns for card in CARDS for word in (*_DNS, *_SEARCH)},
    **{(card, word): _addresses for card in CARDS for word in (*_IP, *_MASKS)},
    **{("vip", word): _vip_address for word in (*_IP, "addresses", "vip", "virtual_ip")},
    **{("nodes[]", word): _node_address for word in (*_IP, "addresses")},
    **{("nodes[]", word): _of_node_address for word in (*_GATEWAY, *_DNS, *_MASKS)},
    **{("nodes[]", word): _role for word in ("type", "kind", "roles")},
    **{(in_place.REGISTRY, word): _registry_mirrors for word in ("endpoint", "endpoints", "mirror")},
    **{(in_place.REGISTRY, word): _registry_server for word in ("url", "host", "address")},
    **{
        (f"{in_place.REGISTRY}.{place}", word): rule
        for place in ("server", "mirrors[]")
        for word, rule in (
            ("override_path", _override_path),
            ("insecure", _skip_verify),
            ("insecure_skip_verify", _skip_verify),
        )
    },
    ("containerd", "version"): _containerd_version,
    **{("containerd", word): _cgroup_driver for word in ("SystemdCgroup", "systemd_cgroup", "cgroupDriver")},
    **{("kubernetes", word): _networking for word in ("networking", "network", "networks")},
    **{("kubernetes", word): _of_cluster for word in ("endpoint", "vip", "balancer")},
    **{
        ("trust", word): _certificates
        for word in ("ca", "cas", "ca_certs", "ca_certificates", "certs", "cert", "trusted", "ca_cert", "cacerts")
    },
    **{("files[]", word): _file_mode for word in ("permissions", "permission", "perms", "chmod")},
}
"""By the section, as the reference writes it, and the word."""
