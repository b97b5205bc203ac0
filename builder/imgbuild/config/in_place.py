"""Values in place of a section, or of a list: the name of a registry or of a mirror, a file, a word for DHCP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imgbuild.config import declared, replacement
from imgbuild.config.fields import Url
from imgbuild.config.flow import flow
from imgbuild.diagnostics.findings import Path

REGISTRY = "containerd.registries.NAME"
"""The key of one registry, as the reference writes it."""
FILE = re.compile(r"[\w./~-]{1,100}\.(?:pem|crt|cer|cert|ca-bundle)", re.ASCII)
"""The name of a file of certificates."""
# A host's name with a dot or a port, an address of one; neither a login nor a query.
_HOST = re.compile(
    r"(?:https?://)?(?:[\w-]+(?:\.[\w-]+)+|(?<=://)[\w-]+|[\w-]+(?=:[0-9]))(?::[0-9]{1,5})?(?:/[\w./-]*)?", re.ASCII
)
_REGISTRIES = ("docker.io", "quay.io", "gcr.io", "ghcr.io", "registry.k8s.io", "k8s.gcr.io", "mcr.microsoft.com")
_HUB = "registry-1.docker.io"


def items(value: Any) -> list[Any]:
    """A value as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def urls(value: Any) -> list[Any]:
    """Addresses as a list, with https:// where a host alone is given."""
    return [f"https://{one}" if isinstance(one, str) and "://" not in one else one for one in items(value)]


def is_host(value: object) -> bool:
    """Whether a value is the name or the address of a host, or a list of them: nothing private."""
    return all(isinstance(one, str) and _HOST.fullmatch(one) for one in items(value)) and value not in (None, [])


def _mirrored(value: Any, name: str = "docker.io") -> str:
    """A registry with these mirrors."""
    found = urls(value)
    mirrors = flow(found) if is_host(value) and all(replacement.fits(Url, one) for one in found) else "[URL]"
    return f"{{server: https://{_HUB if name == 'docker.io' else name}, mirrors: {mirrors}}}"


def of_registry(path: Path, data: Mapping[str, Any]) -> str:
    """What to write if the mirrors of files name a registry; empty if they do not."""
    if len(path) < 2 or path[0] != "mirrors" or not isinstance(path[1], str):
        return ""
    name = re.sub(r"^https?://|/+$", "", path[1])
    name = "docker.io" if name in (_HUB, "index.docker.io", "hub.docker.com") else name
    if name not in _REGISTRIES:
        return ""
    given = data.get("mirrors", {}).get(path[1])
    given = given.get("endpoint") if isinstance(given, dict) else given  # k3s's registries.yaml
    return f"images have containerd: {{registries: {{{name}: {_mirrored(given, name)}}}}}: write that in its place"


def of_proxy(path: Path, value: object) -> str:
    """What to write if the address of a proxy, which may have a login, is in place of the section."""
    return "write {http: URL, https: URL}, with the proxy's address in both" if path == ("proxy",) and value else ""


def section(place: declared.Place | None, path: Path, value: Any) -> str:
    """What to write in place of a text where a section belongs, if that is not the value of one of its keys."""
    if place is not None and place.key == "mirrors" and is_host(value):
        registries = f"containerd: {{registries: {{docker.io: {_mirrored(value)}}}}}"
        return f"{registries} for images; mirrors of files have their origins: {{https://get.helm.sh/: [URL]}}"
    if place is not None and place.key == REGISTRY and is_host(value):
        return _mirrored(value, str(path[-1]))
    if place is not None and place.path[-1:] == ("network",) and str(value).lower() in ("dhcp", "dhcp4", "auto"):
        return "remove it: a node without network in the cluster file uses DHCP"
    if place is not None and place.key == "trust" and isinstance(value, str) and FILE.fullmatch(value):
        return f"{{certificates: [{{file: {flow(value)}}}]}}"
    return ""
