"""Where packages come from: repository files, key files, and the install steps' settings for both."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imgbuild.facts.derive import minor
from imgbuild.facts.repositories import Key
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeFile
from imgbuild.render.templates import render

KERNEL_REPOSITORY = "elrepo-kernel"
_HELD = ("kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")


@dataclass(frozen=True)
class Repository:
    """One section of a yum repository file. ``exclude``: packages that are only installed from it explicitly."""

    id: str
    name: str
    urls: list[str]
    keys: list[str]
    enabled: bool = True
    exclude: tuple[str, ...] = ()


def key_files(resolved: Resolved) -> list[NodeFile]:
    """The keys that the base image does not have, as files on the node."""
    keys = (key for found in resolved.repository_keys.values() for key in found)
    return [NodeFile(path, content) for path, content in {k.path: k.content for k in keys}.items() if content]


def rpm_repositories(resolved: Resolved) -> list[Repository]:
    """The sections of the repository file, the distribution's first."""
    profile, target = resolved.profile, resolved.target
    urls = resolved.repository_urls
    minor_version = minor(profile.kubernetes.version)

    found = resolved.repository_keys

    def keys(kind: str) -> list[str]:
        return [f"file://{key.path}" for key in found[kind]]

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


def repository_addresses(resolved: Resolved) -> dict[str, list[str]]:
    """The addresses of each repository of yum and dnf, as these read them."""
    return {one.id: [url.replace("$basearch", "x86_64") for url in one.urls] for one in rpm_repositories(resolved)}


def local_repository_file(resolved: Resolved, folder: str) -> bytes:
    """A repository file in which each repository is a folder below ``folder``; its keys stay."""
    repos = [replace(one, urls=[f"file://{folder}/{one.id}/"]) for one in rpm_repositories(resolved)]
    return render("node", "etc/yum.repos.d/imgbuild.repo.j2", repos=repos, priority=False)


def apt_sources(resolved: Resolved) -> dict[str, bool | str]:
    """Which parts the repository step has; without a configured address it keeps the system's repositories.

    ``own_keys``: which list of install.conf has the profile's keys of the distribution's mirror, if it has any.
    """
    profile = resolved.profile
    facts = resolved.kernel
    out: dict[str, bool | str] = {name: bool(urls) for name, urls in resolved.repository_urls.items()}
    mirrors = [name.upper() for name in ("distribution", "security") if out[name]]
    own_keys = f"{mirrors[0]}_KEYS" if mirrors and profile.repositories.keys.distribution is not None else ""
    return out | {"kernel_release": facts is not None and facts.release is not None, "own_keys": own_keys}


def repository_settings(resolved: Resolved) -> dict[str, str | list[str]]:
    """What the steps read about repositories from install.conf."""
    target = resolved.target
    urls = {name: found for name, found in resolved.repository_urls.items() if found}
    keys = {name: [_word(key) for key in found] for name, found in resolved.repository_keys.items()}
    if target.package_manager != "apt":
        every = [word for found in keys.values() for word in found]
        return {"KEYS": every, "KERNEL_REPOSITORY": KERNEL_REPOSITORY if "elrepo" in urls else ""}
    facts = resolved.kernel
    out: dict[str, str | list[str]] = {"KERNEL_RELEASE": (facts.release or "") if facts else ""}
    out |= {f"{name.upper()}_URLS": found for name, found in urls.items()}
    return out | {f"{name.upper()}_KEYS": found for name, found in keys.items()}


def _word(key: Key) -> str:
    """One word for bash: the key's path, its fingerprint, its origin, when it expires (or nothing)."""
    return f"{key.path}|{key.fingerprint or ''}|{key.origin}|{key.expires or ''}"
