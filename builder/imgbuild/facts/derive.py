"""What the tables of profiles/versions/ say, and how versions and names are read; resolved.py has what follows."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from packaging.version import InvalidVersion, Version

from imgbuild.config.data import versions

if TYPE_CHECKING:
    from imgbuild.config.openssl import Kind


@cache
def since(table: str, fact: str) -> Version:
    """The first version with a feature, from the section ``since`` of a table of profiles/versions/."""
    return Version(str(versions(table)["since"][fact]))


@cache
def version(text: str) -> Version:
    """``text`` as a comparable version; suffixes of distributions (``~rc1``, ``+dfsg``) are cut off."""
    try:
        return Version(text.split("~")[0].split("+")[0])
    except InvalidVersion:  # 6.9.7-1.el7
        digits = re.match(r"[0-9]+(\.[0-9]+)*", text)
        return Version(digits[0] if digits else "0")


def key_kind(kubernetes: str) -> Kind:
    """The kind of keys that a new cluster of this version gets."""
    return "ecdsa" if version(kubernetes) >= since("kubernetes", "ecdsa_keys") else "rsa"


def minor(text: str) -> str:
    """ "1.34.11" -> "1.34"."""
    return ".".join(text.split(".")[:2])


@dataclass(frozen=True)
class KubernetesFacts:
    """One minor of Kubernetes (profiles/versions/kubernetes.yaml)."""

    pause: str
    kubeadm_api: Literal["v1beta3", "v1beta4"]
    cgroup_v1: Literal["yes", "override", "never"]
    end_of_life: str | None
    built_on_glibc: str | None
    built_until: str | None


def kubernetes_facts(release: str) -> KubernetesFacts | None:
    """The facts of that release's minor; None if imgbuild does not know it."""
    row = versions("kubernetes")["minors"].get(minor(release))
    return KubernetesFacts(**row) if row else None


def containerd_line(release: str) -> tuple[str, dict[str, Any]]:
    """The row of versions/containerd.yaml for this containerd: its own release line, else the nearest older."""
    lines: dict[str, dict[str, Any]] = versions("containerd")["lines"]
    older = [name for name in lines if version(name) <= version(release)]
    name = max(older, key=version) if older else min(lines, key=version)
    return name, lines[name]


def preflight(release: str, section: str) -> list[dict[str, Any]]:
    """The rows of one section of versions/kubeadm-preflight.yaml that kubeadm of that release has."""
    now = version(minor(release))
    return [
        row for row in versions("kubeadm-preflight")[section]
        if version(row.get("since", "0")) <= now < version(row.get("until", "99"))
    ]  # fmt: skip


def sysctl_name(key: str) -> str:
    """A key with dots between its parts. sysctl.d(5): where the first separator is a slash, dots belong to a part."""
    first = next((c for c in key if c in "./"), ".")
    return key if first == "." else key.translate(str.maketrans("./", "/."))


def sysctl_path(key: str) -> str:
    """The file below /proc/sys. sysctl.d(5): if the first separator is a dot, dots and slashes are swapped."""
    first = next(c for c in key if c in "./")
    return key if first == "/" else key.translate(str.maketrans("./", "/."))


@cache
def networks(written: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """The networks in kubernetes.pod_cidr or service_cidr: one, or one of each family. The first family is the main."""
    return tuple(map(ipaddress.ip_network, written.split(",")))


@cache
def read_interface(address: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """An address with the length of its prefix. Each node's is read for a dozen purposes.

    Raises:
        ValueError: it is not one.
    """
    return ipaddress.ip_interface(address)


def as_address(value: object) -> str | None:
    """An address in its usual form; None for null, a name, and an invalid address, which is reported elsewhere."""
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def device_names(value: object) -> list[str]:
    """The interfaces that a value of Cilium's chart names: a list, or text with blanks or commas. eth+ is a pattern."""
    return [str(name) for name in value] if isinstance(value, list) else re.findall(r"[^\s,{}]+", str(value or ""))
