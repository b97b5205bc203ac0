"""A root file system of exactly the packages of a lock: where they are fetched, and whether all of them are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgbuild.config.lock_packages import Packages
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.several import Fetched, fetch_all, missing
from imgbuild.fetch.store import Store
from imgbuild.image.rootfs.mirror import DebianMirrors
from imgbuild.image.rootfs.packages import Package
from imgbuild.image.rootfs.snapshot import package_files
from imgbuild.render.repositories import local_repository_file, repository_addresses

FOLDER = ".locked"
"""The folder of the repositories, in the one of the build's other files. `*` does not match a name with a dot."""
PLACE = "/var/cache/imgbuild/locked"
"""Where the build's chroot has them: install.d/*/packages.sh looks there."""
_GONE = (
    "if the mirrors no longer have a package: set one in repositories that keeps old versions, or choose the packages "
    "again with imgbuild lock --update packages"
)
_AGAIN = "run imgbuild lock --update packages with the options of this build"


@dataclass(frozen=True)
class Locked:
    """The packages of a lock for one build."""

    packages: Packages
    files: Sequence[Artifact]
    """The same as files, with their addresses."""
    settings: Mapping[str, bytes]
    """What the package manager is told about the repositories, by name below ``FOLDER``."""


def locked_build(resolved: Resolved, packages: Packages) -> Locked:
    """For a build of this profile.

    Raises:
        HostError: the lock has no mirror of the distribution.
    """
    if resolved.target.package_manager != "apt":
        settings = {"repos.d/imgbuild.repo": local_repository_file(resolved, PLACE)}
        return Locked(packages, locked_files(resolved, packages), settings)
    mirrors = locked_mirrors(resolved, packages)
    addresses = {name: pin.urls[0].rstrip("/") for name, pin in packages.repositories.items()}
    flat = [pin.urls[0].rstrip("/") for pin in packages.repositories.values() if pin.suite is None]
    addresses |= {"debian": mirrors.main, "security": mirrors.security}
    addresses |= {"kubernetes": flat[0]} if flat else {}
    settings = {
        "sources.list": f"deb [trusted=yes] file:{PLACE} {mirrors.release} main\n".encode(),
        "addresses": "".join(f"{name} {url}\n" for name, url in sorted(addresses.items()) if url).encode(),
    }
    return Locked(packages, locked_files(resolved, packages), settings)


def locked_files(resolved: Resolved, packages: Packages | None) -> list[Artifact]:
    """The packages as files for the store, from the profile's mirrors first; none for a node that is not built."""
    if packages is None or resolved.profile.mode != "baked":
        return []
    return package_files(packages, _mirrors(resolved, packages))


def fetch_with_packages(
    artifacts: Sequence[Artifact], packages: Sequence[Artifact], store: Store, steps: Steps, *, verify: bool = False
) -> Fetched:
    """Get files and the packages of a lock into the store.

    Raises:
        FetchError: some cannot be fetched; if packages are among them, it tells what to do about that.
    """
    try:
        return fetch_all([*artifacts, *packages], store, steps, verify=verify)
    except FetchError as error:
        if store.offline or not missing(packages, store, steps):
            raise
        raise FetchError(str(error), f"{error.hint}\n{_GONE}") from error


def _mirrors(resolved: Resolved, packages: Packages) -> dict[str, Sequence[str]]:
    """The profile's addresses of the repositories of the lock."""
    if resolved.target.package_manager != "apt":
        return dict(repository_addresses(resolved))
    urls = resolved.repository_urls

    def kind(name: str, suite: str | None) -> str:
        if suite is None:
            return "kubernetes"
        return "security" if name.endswith("-security") else "distribution"

    return {name: urls[kind(name, pin.suite)] for name, pin in packages.repositories.items()}


def locked_mirrors(resolved: Resolved, packages: Packages) -> DebianMirrors:
    """The mirrors of the image's package lists: those of the time of the lock, unless the profile has others now.

    Raises:
        HostError: the lock has no repository of the release.
    """
    release, own = resolved.target.image.environment["DIB_RELEASE"], _mirrors(resolved, packages)

    def address(suite: str) -> str:
        if suite not in packages.repositories:
            return ""
        there = packages.repositories[suite].urls[0].rstrip("/")
        listed = [url.rstrip("/") for url in own[suite]]
        return there if there in listed or not listed else listed[0]

    if release not in packages.repositories:
        raise HostError(f"the packages of imgbuild.lock have no repository {release}", _AGAIN)
    suites = packages.repositories
    return DebianMirrors(
        release, address(release), address(f"{release}-security"), f"{release}-updates" in suites,
        f"{release}-backports" in suites,
    )  # fmt: skip


def refuse_others(packages: Packages, installed: Sequence[Package]) -> None:
    """Compare what was installed with the lock. What was in the base and stayed is not in the lock.

    Raises:
        HostError: a package is missing, is there in another version, or is not in the lock.
    """
    wanted = {(one.name, one.arch): one.version for one in packages.packages}
    found = {(one.name, one.arch): one for one in installed}
    on_base = packages.base is not None
    said = [
        f"{name} {version} is not installed" for (name, arch), version in wanted.items() if (name, arch) not in found
    ]
    for key, one in found.items():
        if key in wanted and one.version != wanted[key]:
            said.append(f"{one.name} is installed as {one.version}, the lock has {wanted[key]}")
        elif key not in wanted and not (on_base and one.origin == "base"):
            said.append(f"{one.name} {one.version} is not in the lock")
    if said:
        raise HostError(f"the root file system does not have the packages of imgbuild.lock: {'; '.join(said)}", _AGAIN)
