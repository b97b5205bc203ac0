"""Registries and their mirrors: addresses that every program on the node reads alike."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from imgbuild.checks.context import Context
from imgbuild.config.profile import Login, Registry, Server
from imgbuild.diagnostics.findings import Path, format_path
from imgbuild.facts.drop_ins import FOLDER, LOGINS
from imgbuild.facts.registries import DOCKER_CONFIG, Source, given, mirrors, source

_DOCKER = ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com")


def check(context: Context) -> None:
    """All findings about ``containerd.registries``."""
    ways: dict[str, tuple[Path, Source]] = {}
    known: dict[str, tuple[Path, Login]] = {}
    for name, registry in given(context.profile):
        path: Path = ("containerd", "registries", name)
        _name(context, path, name)
        for place, one in _servers(path, registry):
            _address(context, place, one)
            _trust(context, place, one)
            _one_way(context, place, source(one), ways)
            _login(context, place, one, known)
        _mirrors(context, path, registry)
    _stargz(context)
    if known:
        _own_files(context)


def _servers(path: Path, registry: Registry) -> Iterator[tuple[Path, Server]]:
    yield (*path, "server"), registry.server
    for index, mirror in enumerate(registry.mirrors):
        yield (*path, "mirrors", index), mirror


def _name(context: Context, path: Path, name: str) -> None:
    if name in _DOCKER:
        context.report(
            "IB509", path, f"images of Docker Hub are named docker.io/…: containerd never looks under {name}",
            'write it under "docker.io"',
        )  # fmt: skip
    port = name.partition(":")[2]
    if port and not 0 < int(port) < 65536:
        context.report("IB509", path, f"{port} is not a valid port", "use a port from 1 to 65535")


def _address(context: Context, place: Path, one: Server) -> None:
    parts, found = urlsplit(one.url), source(one)
    if parts.scheme == "file" or not parts.netloc:
        context.report("IB510", place, "a registry is reached over http or https", "write https://HOST")
        return
    if parts.query:
        context.report("IB510", place, "a registry's address has no query (?…)", f"write {found.url}")
    elif found.project.rpartition("/")[2] == "v2":
        context.report(
            "IB510", place,
            f"images would be requested as /v2/{found.project}/NAME: /v2 is the first part of the path, never the last",
            f"write {found.base}/{found.project.rpartition('/')[0]}",
        )  # fmt: skip
    if one.path is not None and parts.path.strip("/") not in ("", "v2"):
        context.report(
            "IB521", (*place, "path"), f"the URL has a path too ({parts.path}), which would have no effect",
            f"write url: {found.base}, or leave path out",
        )  # fmt: skip
    if found.plain:
        context.report(
            "IB512", place, "images come over http: anyone on the network path can replace them",
            "use https, or pin images by digest",
        )  # fmt: skip


def _trust(context: Context, place: Path, one: Server) -> None:
    for key, value in (("ca", one.ca), ("skip_verify", one.skip_verify)):
        if value and source(one).plain:
            context.report(
                "IB522", (*place, key), f"{key} has no effect over http: there is no certificate",
                f"remove {key}, or write url: https://{source(one).host}",
            )  # fmt: skip
    if one.skip_verify and not source(one).plain:
        context.report(
            "IB523", (*place, "skip_verify"),
            "the certificate is not verified: anyone on the network path can replace images",
            "set ca to the certificate of the authority that signed it, and remove skip_verify",
        )  # fmt: skip


def _one_way(context: Context, place: Path, one: Source, ways: dict[str, tuple[Path, Source]]) -> None:
    """buildkit reads scheme and certificates by host: it cannot have two ways to the same one."""
    before, other = ways.setdefault(one.host, (place, one))
    if (one.plain, one.skip_verify) != (other.plain, other.skip_verify):
        what = "http and https" if one.plain != other.plain else "with and without skip_verify"
        context.report(
            "IB524", place, f"{one.host} is used in two ways, {what}: buildkit has one way for each host",
            f"write both alike (the other one is {format_path(before)})",
        )  # fmt: skip


def _login(context: Context, place: Path, one: Server, known: dict[str, tuple[Path, Login]]) -> None:
    auth, host = one.auth, source(one).host
    if auth is None:
        return
    path = (*place, "auth")
    named = (auth.username is not None, auth.password is not None)
    if named not in ((True, True), (False, False)) or (auth.token is not None) == all(named):
        context.report(
            "IB531", path, "a login is a username with its password, or a token", "write both, or the token alone"
        )
    if auth.username is not None and ":" in auth.username:
        context.report(
            "IB531", (*path, "username"), "programs read what is behind a colon as the password", "use another name"
        )
    before, other = known.setdefault(host, (path, auth))
    if auth != other:
        context.report(
            "IB532", path, f"another login at {host} than that of {format_path(before)}: programs know one for a host",
            "write the same one",
        )  # fmt: skip
    if source(one).plain:
        context.report(
            "IB533", path, f"the login at {host} goes over http: anyone on the network path can read it", "use https"
        )


def _own_files(context: Context) -> None:
    """Files of the user's in place of which, or without which, the logins do not work."""
    for index, file in enumerate(context.profile.files):
        if file.path == "/etc/containerd/config.toml" and f"{FOLDER}/" not in file.text:
            context.report(
                "IB534", ("files", index, "path"), f"this configuration does not import the logins ({LOGINS})",
                f'add imports = ["{FOLDER}/*.toml"] to it, or remove it: see containerd.runtimes',
            )  # fmt: skip
        elif file.path == DOCKER_CONFIG:
            context.report(
                "IB534", ("files", index, "path"), "the seed has this file too, with the logins of the profile",
                "remove it, and write its logins as auth in containerd.registries",
            )  # fmt: skip


def _mirrors(context: Context, path: Path, registry: Registry) -> None:
    found = mirrors(registry)
    if len({one.url for one in found}) != len(found):
        context.report("IB513", (*path, "mirrors"), "duplicate mirror", "remove one of them")


def _stargz(context: Context) -> None:
    """The stargz snapshotter then tries the registry itself, layer by layer, before containerd pulls the image."""
    containerd = context.profile.containerd
    pods = containerd.snapshotter == "stargz"
    builds = containerd.buildkit.enabled and containerd.buildkit.snapshotter == "stargz"
    if not containerd.stargz.enabled or not (pods or builds):
        return
    for name, registry in given(context.profile):
        for index, one in enumerate(mirrors(registry)):
            if (one.project or (one.skip_verify and not one.plain)) and name != "_default":
                key = "containerd.snapshotter" if pods else "containerd.buildkit.snapshotter"
                what = "a path" if one.project else "a certificate that is not verified"
                context.report(
                    "IB525", ("containerd", "registries", name, "mirrors", index),
                    f"the stargz snapshotter cannot use a mirror with {what}: it asks the registry itself for each "
                    "layer, and the image is pulled from the mirror, in full, only after that has failed",
                    f"set {key}: overlayfs", lesser=not pods,
                )  # fmt: skip
                return
