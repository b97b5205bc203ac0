"""Package repositories: addresses and keys of those in use on a node. Checks and rendering use the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgbuild.config.data import data_dir
from imgbuild.config.openpgp import dearmour, key_facts
from imgbuild.config.profile import Profile
from imgbuild.config.target import Mirrors, RepositoryKey, Target
from imgbuild.facts.derive import minor


@dataclass(frozen=True)
class Key:
    """A key file on the node.

    ``content`` null: the base image must have it. ``fingerprint`` null: not known. ``expires``: seconds since
    1970; null: never, or not known.
    """

    path: str
    fingerprint: str | None
    origin: str
    content: bytes | None
    expires: int | None = None


def repository_urls(profile: Profile, target: Target) -> dict[str, list[str]]:
    """The base URLs of each repository that this node uses; an empty list leaves the system's own alone."""
    repositories, known = profile.repositories, target.repositories

    def choose(own: list[str] | None, shipped: Mirrors | None) -> list[str]:
        if own is not None:
            return list(own)
        return list(getattr(shipped, repositories.region)) if shipped is not None else []

    out = {
        "distribution": choose(repositories.distribution, known.distribution),
        "security": choose(repositories.security, known.security),
        "epel": choose(repositories.epel, known.epel) if repositories.epel_enabled else [],
        "elrepo": choose(repositories.elrepo, known.elrepo) if profile.kernel.flavour != "distribution" else [],
        "kubernetes": [],
    }
    if profile.kubernetes.enabled and profile.kubernetes.source == "packages":
        version = minor(profile.kubernetes.version)
        urls = choose(repositories.kubernetes, known.kubernetes)
        out["kubernetes"] = [url.replace("{minor}", version) for url in urls]
    return out


def repository_keys(profile: Profile, target: Target, urls_of: Mapping[str, list[str]]) -> dict[str, list[Key]]:
    """The keys of each repository that this node uses (`repository_urls`): the profile's own, else the target's.

    A key from the profile has its own path, so that no package update replaces it.
    """
    out: dict[str, list[Key]] = {}
    for name, urls in urls_of.items():
        kind = key_kind(name)
        own = getattr(profile.repositories.keys, kind)
        if urls and own is not None:
            out[name] = [_own_key(text, kind, number, target) for number, text in enumerate(own, 1)]
        elif urls and kind in target.repositories.key_files:
            version = minor(profile.kubernetes.version)
            out[name] = [_target_key(known, version) for known in target.repositories.key_files[kind]]
    return out


def key_kind(repository: str) -> str:
    """The key below ``repositories.keys`` that a repository belongs to."""
    return "distribution" if repository == "security" else repository


def _own_key(text: str, kind: str, number: int, target: Target) -> Key:
    name = f"imgbuild-{kind}-{number}"
    apt = target.package_manager == "apt"
    path = f"/etc/apt/keyrings/{name}.asc" if apt else f"/etc/pki/rpm-gpg/RPM-GPG-KEY-{name}"
    facts = key_facts(dearmour(text))
    return Key(path, facts.fingerprint, f"repositories.keys.{kind} of the profile", text.encode(), facts.expires)


def _target_key(known: RepositoryKey, version: str) -> Key:
    origin = known.origin.replace("{minor}", version)
    if not known.shipped:
        return Key(known.path, known.fingerprint, origin, None)
    content = (data_dir("node") / known.path.lstrip("/")).read_bytes()
    return Key(known.path, known.fingerprint, origin, content, key_facts(dearmour(content.decode())).expires)
