"""Logins at registries, as files of the seed: for containerd, and for what reads Docker's configuration.

hosts.toml has no place for a login. containerd takes it from ``registry.configs.HOST.auth`` of its own configuration,
by the host of each request, also where ``config_path`` is set (registryHosts in pkg/cri/server/image_pull.go, 1.6 and
1.7; PullImage in internal/cri/server/images/image_pull.go, 2.0 to 2.4). The key is deprecated since 1.5, and nothing
else replaces it but a secret in each pod, which does not serve the pods of the control plane. nerdctl, buildctl and the
stargz snapshotter read ~/.docker/config.json.
"""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.profile import Login
from imgbuild.facts.derive import version
from imgbuild.facts.drop_ins import LOGINS, drop_ins, merged
from imgbuild.facts.endpoint import Reach
from imgbuild.facts.registries import DOCKER_CONFIG, DOCKER_HUB, logins
from imgbuild.facts.resolved import Resolved
from imgbuild.render.containerd import config
from imgbuild.render.nodefile import NodeFile, SeedFiles
from imgbuild.render.templates import toml_document


def login_files(resolved: Resolved, cluster: Cluster, node: Node, where: Reach) -> Iterator[SeedFiles]:
    """What the node needs to log in; nothing without ``auth`` in the profile.

    Raises:
        ImgbuildError: the version of containerd is not known (`Resolved.complete`).
    """
    found = logins(resolved.profile)
    if found:
        yield SeedFiles([NodeFile(LOGINS, _containerd(resolved, found), 0o600)], units=["containerd.service"])
        # Read for each request: nothing has to be restarted.
        yield SeedFiles([NodeFile(DOCKER_CONFIG, _docker(found), 0o600)])


def _containerd(resolved: Resolved, found: Mapping[str, Login]) -> bytes:
    """A drop-in. containerd 1.x replaces the whole section by it, so it has the section as it would be without it."""
    release = version(resolved.containerd or "0")
    main = tomllib.loads(config(resolved).decode())
    whole = merged(main, drop_ins(resolved.profile), release)
    name = "io.containerd.grpc.v1.cri" if release.major < 2 else "io.containerd.cri.v1.images"
    section: dict[str, Any] = whole["plugins"][name] if release.major < 2 else {}
    section.setdefault("registry", {})["configs"] = {
        host: {"auth": {key: value for key, value in _auth(login) if value is not None}}
        for host, login in found.items()
    }
    text = toml_document({"version": main["version"], "plugins": {name: section}})
    return f"# imgbuild: logins at registries. They came with the seed.\n{text}".encode()


def _auth(login: Login) -> Iterator[tuple[str, str | None]]:
    yield "username", login.username
    yield "password", login.password
    yield "identitytoken", login.token


def _docker(found: Mapping[str, Login]) -> bytes:
    auths: dict[str, dict[str, str]] = {}
    for host, login in found.items():
        key = "https://index.docker.io/v1/" if host == DOCKER_HUB else host
        pair = f"{login.username}:{login.password}".encode()
        auths[key] = (
            {"auth": base64.b64encode(pair).decode()} if login.token is None else {"identitytoken": login.token}
        )
    return (json.dumps({"auths": auths}, indent=2, sort_keys=True) + "\n").encode()
