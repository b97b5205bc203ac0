"""Logins at the hosts of packages, archives and the base image: which address uses which.

A login belongs to a host with its port, as both are written in an address: every program looks it up by that, except
yum and dnf, which have one for a whole repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from imgbuild.config.profile import Profile, RepositoryLogin
from imgbuild.diagnostics.findings import Path

FOLDER = "/etc/imgbuild/logins"
"""Where a node's files with logins are; apt has two more."""
APT_AUTH = "/etc/apt/auth.conf.d/imgbuild.conf"
APT_CONF = "/etc/apt/apt.conf.d/90imgbuild-logins"


def repository_logins(profile: Profile) -> Mapping[str, RepositoryLogin]:
    """The logins by host, sorted; those that a layer has removed are left out."""
    return {host: login for host, login in sorted(profile.repositories.logins.items()) if login is not None}


def host_of(url: str) -> str:
    """The host of an address, with its port if it has one."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def in_plain(profile: Profile, host: str) -> bool:
    """Whether something is fetched from a host over http, also by a file of the user's."""
    start = f"http://{host}/"
    urls = (url for _, url in fetched(profile))
    return any(f"{url}/".startswith(start) for url in urls) or any(start in file.text for file in profile.files)


def fetched(profile: Profile) -> Iterator[tuple[Path, str]]:
    """Every address that a login is used for, with its place in the profile."""
    repositories, base = profile.repositories, profile.base.source
    for name in ("distribution", "security", "elrepo", "epel", "kubernetes"):
        yield from ((("repositories", name, i), url) for i, url in enumerate(getattr(repositories, name) or ()))
    archives: list[tuple[Path, list[str]]] = [
        (("containerd", "nerdctl_full"), list(profile.containerd.nerdctl_full.urls)),
        (("helm",), list(profile.helm.urls)),
        *((("kubernetes", "binaries", name), list(one.urls)) for name, one in profile.kubernetes.binaries.items()),
        *((("containerd", "images", i), list(one.urls)) for i, one in enumerate(profile.containerd.images)),
    ]
    if profile.cilium.chart is not None:
        archives.append((("cilium", "chart"), list(profile.cilium.chart.urls)))
    for path, urls in archives:
        yield from (((*path, "urls", i), url) for i, url in enumerate(urls))
    for index, addon in enumerate(profile.addons):
        if addon.url is not None:
            yield ("addons", index, "url"), addon.url
    if base is not None and "://" in base:
        yield ("base", "source"), base


def by_helm(profile: Profile) -> Iterator[tuple[Path, str]]:
    """The addresses that helm asks at first boot: it does not use the logins."""
    if profile.kubernetes.enabled and profile.cilium.enabled and profile.cilium.chart is None:
        yield ("cilium", "repository"), profile.cilium.repository
    for index, addon in enumerate(profile.addons):
        if addon.repository is not None:
            yield ("addons", index, "repository"), addon.repository
