"""Where packages come from: the addresses and keys of each repository that a node uses."""

from __future__ import annotations

from dataclasses import dataclass

from builder.derive import kernel_facts, minor
from builder.profile import Profile
from builder.target import Mirrors, RepositoryKey, Target

KERNEL_REPOSITORY = "elrepo-kernel"
_HELD = ("kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")


@dataclass(frozen=True)
class Repository:
    """One section of a yum repository file. ``exclude``: what only an explicit installation takes from it."""

    id: str
    name: str
    urls: list[str]
    keys: list[str]
    enabled: bool = True
    exclude: tuple[str, ...] = ()


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


def rpm_repositories(profile: Profile, target: Target) -> list[Repository]:
    """The sections of the repository file, the distribution's first."""
    urls = repository_urls(profile, target)
    minor_version = minor(profile.kubernetes.version)

    def keys(kind: str) -> list[str]:
        return [f"file://{key.path}" for key in target.repositories.key_files[kind]]

    out = [
        Repository(
            f"imgbuild-{name}",
            f"{target.name} {name}",
            [f"{url.rstrip('/')}/{path}/" for url in urls["distribution"]],
            keys("distribution"),
        )
        for name, path in target.repositories.layout.items()
    ]
    if urls["epel"]:
        out.append(Repository("epel", "Extra Packages for Enterprise Linux", urls["epel"], keys("epel")))
    if urls["elrepo"]:
        out.append(Repository(KERNEL_REPOSITORY, "ELRepo kernels", urls["elrepo"], keys("elrepo"), enabled=False))
    if urls["kubernetes"]:
        name = f"Kubernetes {minor_version}"
        out.append(Repository("kubernetes", name, urls["kubernetes"], keys("kubernetes"), exclude=_HELD))
    return out


def apt_sources(profile: Profile, target: Target) -> dict[str, bool]:
    """Which parts the repository step has; without an address of its own it leaves the system's alone."""
    facts = kernel_facts(profile, target)
    out = {name: bool(urls) for name, urls in repository_urls(profile, target).items()}
    return out | {"kernel_release": facts is not None and facts.release is not None}


def repository_settings(profile: Profile, target: Target) -> dict[str, str | list[str]]:
    """What the steps read of repositories from install.conf."""
    urls = {name: found for name, found in repository_urls(profile, target).items() if found}
    known = target.repositories.key_files
    if target.package_manager != "apt":
        keys = [_key(key, profile) for name in urls for key in known[name]]
        return {"KEYS": keys, "KERNEL_REPOSITORY": KERNEL_REPOSITORY if "elrepo" in urls else ""}
    facts = kernel_facts(profile, target)
    out: dict[str, str | list[str]] = {"KERNEL_RELEASE": (facts.release or "") if facts else ""}
    out |= {f"{name.upper()}_URLS": found for name, found in urls.items()}
    return out | {f"{name.upper()}_KEYS": [_key(key, profile) for key in known[name]] for name in urls if name in known}


def _key(key: RepositoryKey, profile: Profile) -> str:
    """One word for bash: where the key lies, its fingerprint (or nothing), where it comes from."""
    origin = key.origin.replace("{minor}", minor(profile.kubernetes.version))
    return f"{key.path}|{key.fingerprint or ''}|{origin}"
