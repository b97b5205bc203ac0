"""The site of a node, as files of its seed: proxy, certificate authorities, names."""

from __future__ import annotations

from collections.abc import Iterator

from imgbuild.config.certificates import split
from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.profile import Profile
from imgbuild.config.profile.site import has_login
from imgbuild.facts.endpoint import Reach, own_address
from imgbuild.facts.no_proxy import no_proxy
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeFile, SeedFiles
from imgbuild.render.paths import SYSTEM
from imgbuild.render.templates import render, static

PROXY = "/etc/imgbuild/proxy.env"
"""NAME=value lines, as systemd's EnvironmentFile, a shell and sudo's env_file read them alike."""
_ANCHORS = {"el": "/etc/pki/ca-trust/source/anchors", "debian": "/usr/local/share/ca-certificates"}
_UPDATE = {"el": "update-ca-trust", "debian": "update-ca-certificates --fresh"}
_HOSTS = "/etc/imgbuild/hosts"
_OWN = "/etc/imgbuild/proxy-own"


def proxy_variables(profile: Profile, without: list[str]) -> dict[str, str]:
    """The variables that programs take a proxy from; none without a proxy. ``without``: the parts of NO_PROXY."""
    proxy = profile.proxy
    if proxy.http is None and proxy.https is None:
        return {}
    given = {"HTTP_PROXY": proxy.http, "HTTPS_PROXY": proxy.https, "NO_PROXY": ",".join(without)}
    upper = {name: value for name, value in given.items() if value is not None}
    # curl reads http_proxy in lower case alone, Go and others read both.
    return upper | {name.lower(): value for name, value in upper.items()}


def proxy_files(resolved: Resolved, cluster: Cluster, node: Node, where: Reach) -> Iterator[SeedFiles]:
    """The proxy's variables, and what takes them: units, login shells, sudo."""
    profile = resolved.profile
    if profile.proxy.http is None and profile.proxy.https is None:
        return  # before NO_PROXY, which asks all nodes and is made for each of them
    variables = proxy_variables(profile, no_proxy(profile, cluster, where))
    login = any(has_login(url) for url in (profile.proxy.http, profile.proxy.https) if url)
    content = render("node", f"{PROXY[1:]}.j2", variables=variables)
    # The script's text, not a file: it also runs for the last time, when the files of the seed are gone.
    own = [static("node", _OWN[1:]).decode()] if profile.kubernetes.enabled and not own_address(profile, node) else []
    yield SeedFiles([NodeFile(PROXY, content, 0o600 if login else 0o644)], own)
    yield SeedFiles([_plain("etc/profile.d/imgbuild-proxy.sh"), _plain("etc/sudoers.d/60-imgbuild-proxy", 0o440)])
    for unit in proxy_units(resolved, where):
        drop_in = NodeFile(
            f"/{SYSTEM}/{unit}.d/20-imgbuild-proxy.conf", static("node", f"{SYSTEM}/unit.d/20-imgbuild-proxy.conf")
        )
        yield SeedFiles([drop_in], units=[unit], also=[PROXY])


def proxy_units(resolved: Resolved, where: Reach) -> list[str]:
    """The units that reach the internet."""
    profile = resolved.profile
    out = ["containerd.service"]
    if profile.containerd.buildkit.enabled:
        out.append("buildkit.service")
    if profile.containerd.stargz.enabled:
        out.append("stargz-snapshotter.service")
    # Without an endpoint the kubelet reaches the API server at an address that only the node knows.
    if profile.kubernetes.enabled and where.endpoint is not None:
        out.append("kubelet.service")
    if profile.mode == "stock":
        out.append("imgbuild-setup.service")
    return out


def trust_files(resolved: Resolved, cluster: Cluster, node: Node, where: Reach) -> Iterator[SeedFiles]:
    """The certificates, each in its own file, and what makes the system's store from them."""
    family = resolved.target.family
    found = [pem for text in resolved.profile.trust.certificates for pem in split(text)]
    if not found:
        return
    files = [NodeFile(f"{_ANCHORS[family]}/imgbuild-{number}.crt", pem.encode()) for number, pem in enumerate(found, 1)]
    # Go programs read the store once.
    units = [unit for unit in proxy_units(resolved, where) if unit != "imgbuild-setup.service"]
    program = _UPDATE[family].partition(" ")[0]
    yield SeedFiles(files, [f"! command -v {program} > /dev/null || {_UPDATE[family]}"], units)


def hosts_files(resolved: Resolved, cluster: Cluster, node: Node, where: Reach) -> Iterator[SeedFiles]:
    """The names, and the script that keeps them in /etc/hosts: cloud-init and others write that file too."""
    rows = [(address, name) for name, address in resolved.profile.hosts.items() if address is not None]
    if rows:
        content = render("node", f"{_HOSTS[1:]}.j2", rows=rows)
        # The text, not a file: it also runs for the last time, when the files of the seed are gone.
        yield SeedFiles(
            [NodeFile(_HOSTS, content)], [static("node", f"{_HOSTS[1:]}-update").decode()], also=["/etc/hosts"]
        )


def _plain(name: str, mode: int = 0o644) -> NodeFile:
    return NodeFile(f"/{name}", static("node", name), mode, public=True)
