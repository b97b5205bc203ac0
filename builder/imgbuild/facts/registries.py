"""Where each program on a node asks for images: the same mirrors in the forms that the programs have for them.

Images are requested at ``/v2/PROJECT/NAME``, but each program builds that address in its own way:

- containerd appends ``/v2`` to a path, unless ``override_path`` is set: then the path is all of it (parseHostConfig
  in remotes/docker/config/hosts.go, 1.6 to 2.3);
- buildkitd puts ``/v2`` before a mirror's path, and reads scheme and certificates by the mirror's host
  (newMirrorRegistryHost and fillInsecureOpts in util/resolver/resolver.go, 0.12 to 0.31);
- containerd-stargz-grpc requests ``/v2`` and refuses a host with a slash (service/resolver/registry.go, newHTTPFetcher
  in fs/remote/resolver.go, 0.11 to 0.18): it cannot use a mirror with a path, and always verifies certificates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from imgbuild.config.certificates import split
from imgbuild.config.profile import Login, Mirror, Profile, Registry, Server

DOCKER_HUB = "registry-1.docker.io"
DOCKER_CONFIG = "/root/.docker/config.json"


@dataclass(frozen=True)
class Source:
    """One address that images are pulled from. ``project`` is the folder below /v2, or empty."""

    scheme: str
    host: str
    project: str
    skip_verify: bool = False
    capabilities: Sequence[str] = ("pull", "resolve")

    @property
    def base(self) -> str:
        """The URL without the project."""
        return f"{self.scheme}://{self.host}"

    @property
    def url(self) -> str:
        """The URL as it is shown."""
        return f"{self.base}/{self.project}" if self.project else self.base

    @property
    def place(self) -> str:
        """Host and project, without the scheme."""
        return f"{self.host}/{self.project}" if self.project else self.host

    @property
    def plain(self) -> bool:
        """Whether it is reached over http."""
        return self.scheme == "http"

    @property
    def for_buildkit(self) -> bool:
        """Whether buildkit uses it: it pulls and resolves at every mirror that it has."""
        return {"pull", "resolve"} <= set(self.capabilities)

    @property
    def for_stargz(self) -> bool:
        """Whether the stargz snapshotter can use it."""
        return not self.project and not self.skip_verify and "pull" in self.capabilities


def source(given: Server) -> Source:
    """A server or mirror as it is written: a path in the URL is its project, with or without /v2 before it."""
    parts = urlsplit(given.url)
    words = [word for word in (given.path or parts.path).split("/") if word]
    if words[:1] == ["v2"]:
        words = words[1:]
    capabilities = tuple(dict.fromkeys(given.capabilities)) if isinstance(given, Mirror) else ("pull", "resolve")
    return Source(parts.scheme, parts.netloc, "/".join(words), given.skip_verify, capabilities)


def mirrors(registry: Registry) -> list[Source]:
    """The mirrors, in order."""
    return [source(mirror) for mirror in registry.mirrors]


def elsewhere(name: str, registry: Registry) -> bool:
    """Whether a registry is at another address than its name tells: programs without a key for that get a mirror."""
    there = source(registry.server)
    return there.place != (DOCKER_HUB if name == "docker.io" else name)


def given(profile: Profile) -> Iterator[tuple[str, Registry]]:
    """The registries of a profile with their names, in order; ``_default`` is one of them."""
    found = profile.containerd.registries
    yield from ((name, registry) for name in sorted(found) if (registry := found[name]) is not None)


def authorities(profile: Profile) -> Mapping[str, str]:
    """The certificates of each host's authorities. They are the host's: a certificate has no path."""
    found: dict[str, list[str]] = {}
    for _, registry in given(profile):
        for one in (registry.server, *registry.mirrors):
            if one.ca is not None:
                texts = found.setdefault(source(one).host, [])
                texts += [text for text in split(one.ca) if text not in texts]
    return {host: "".join(texts) for host, texts in sorted(found.items())}


def logins(profile: Profile) -> Mapping[str, Login]:
    """The login at each host: every program looks it up by the host that it asks."""
    found: dict[str, Login] = {}
    for _, registry in given(profile):
        for one in (registry.server, *registry.mirrors):
            if one.auth is not None:
                found.setdefault(source(one).host, one.auth)
    return dict(sorted(found.items()))


@dataclass
class Buildkit:
    """One ``[registry."NAME"]`` of buildkitd.toml: mirrors of a registry, and how to reach the host of that name."""

    mirrors: list[str] = field(default_factory=list)
    plain: bool = False
    skip_verify: bool = False
    authority: str | None = None
    """The host whose authorities' certificates it needs (`authorities`)."""


def buildkit(profile: Profile) -> Mapping[str, Buildkit]:
    """The tables of buildkitd.toml by name. It has no name for all other registries."""
    tables: dict[str, Buildkit] = {}
    certificates = authorities(profile)

    def reach(name: str, one: Source) -> None:
        if one.plain or one.skip_verify or one.host in certificates:
            table = tables.setdefault(name, Buildkit())
            table.plain |= one.plain
            table.skip_verify |= one.skip_verify and not one.plain
            table.authority = one.host if one.host in certificates else table.authority

    for name, registry in given(profile):
        if name == "_default":
            continue
        asked = [one for one in mirrors(registry) if one.for_buildkit]
        if elsewhere(name, registry):
            asked.append(source(registry.server))
        else:
            reach(name, source(registry.server))
        for one in asked:
            places = tables.setdefault(name, Buildkit()).mirrors
            if one.place not in places:
                places.append(one.place)
            reach(one.host, one)
    return dict(sorted(tables.items()))


def stargz(profile: Profile) -> Mapping[str, Sequence[Source]]:
    """The mirrors that the stargz snapshotter can use, by registry. It asks the registry itself last, over https."""
    found: dict[str, list[Source]] = {}
    for name, registry in given(profile):
        if name == "_default":
            continue
        asked = [one for one in mirrors(registry) if one.for_stargz]
        server = source(registry.server)
        if (server.plain or elsewhere(name, registry)) and server.for_stargz:
            asked.append(server)
        if asked:
            found[name] = asked
    return found
