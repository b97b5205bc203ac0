"""The registries and their mirrors, as containerd, buildkit and the stargz snapshotter read them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgbuild.config.profile import Profile
from imgbuild.facts.registries import authorities, buildkit, given, mirrors, source, stargz
from imgbuild.render.nodefile import NodeFile
from imgbuild.render.templates import render

AUTHORITIES = "/etc/imgbuild/registries"
"""The folder of the certificates that registries' authorities have. Each host has a file of its own."""


def _authority(host: str) -> str:
    return f"{AUTHORITIES}/{re.sub('[^A-Za-z0-9.-]', '_', host)}.crt"


def hosts(profile: Profile) -> Iterator[NodeFile]:
    """containerd's hosts.toml of each registry, which nerdctl reads too, and the certificates of authorities."""
    certificates = authorities(profile)
    for host, text in certificates.items():
        yield NodeFile(_authority(host), text.encode())
    files = {host: _authority(host) for host in certificates}
    for name, registry in given(profile):
        content = render(
            "node",
            "etc/containerd/certs.d/hosts.toml.j2",
            name=name,
            # With its own server, _default would send requests for every unknown registry there.
            server=None if name == "_default" else source(registry.server),
            mirrors=mirrors(registry),
            authorities=files,
        )
        yield NodeFile(f"/etc/containerd/certs.d/{name}/hosts.toml", content)


def buildkit_file(profile: Profile) -> NodeFile:
    """buildkitd's own configuration."""
    files = {host: _authority(host) for host in authorities(profile)}
    name = "etc/buildkit/buildkitd.toml"
    return NodeFile(f"/{name}", render("node", f"{name}.j2", tables=buildkit(profile), authorities=files))


def stargz_file(profile: Profile) -> NodeFile:
    """The stargz snapshotter's own configuration."""
    name = "etc/containerd-stargz-grpc/config.toml"
    return NodeFile(f"/{name}", render("node", f"{name}.j2", registries=stargz(profile)))
