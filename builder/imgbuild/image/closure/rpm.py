"""The packages of an EL root file system, chosen by its own yum or dnf in its base.

They are fetched for that: yum and dnf verify the signature of a package only once they have it. So they are in the
store afterwards.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from imgbuild.config.lock_packages import LockedPackage, RepositoryPin
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.store import Store
from imgbuild.image.cache import open_cache
from imgbuild.image.closure.chroot import CACHE, Found, prepare, solve
from imgbuild.image.closure.metadata import Metadata, read_metadata
from imgbuild.image.rootfs.base import Base
from imgbuild.image.scratch import scratch
from imgbuild.image.surroundings import Site
from imgbuild.image.tool import run
from imgbuild.render.install import solve_tree
from imgbuild.render.repositories import repository_addresses


@dataclass(frozen=True)
class _Fetched:
    name: str
    version: str
    arch: str
    repository: str
    file: Path
    stays: bool


def solve_rpm(resolved: Resolved, base: Base, store: Store, cache: Path, steps: Steps, site: Site) -> Found:
    """The repositories and the packages that are installed on the base, or in place of its own.

    Raises:
        HostError: yum or dnf fails, a signature is wrong, or a mirror does not answer.
    """
    urls = repository_addresses(resolved)
    with steps.step("Read the metadata of the repositories"), ThreadPoolExecutor(len(urls)) as pool:
        metadata = dict(zip(urls, pool.map(read_metadata, urls.values()), strict=True))
    place = open_cache(cache)
    manager = resolved.target.package_manager
    with scratch(place / "work", "solve") as room, steps.step(f"Choose the packages with {manager}"):
        root = room / "root"
        root.mkdir()
        argv = ["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--exclude=./dev/*"]
        run([*argv, "--file", base.tar, "--directory", root], what="unpack the base")
        for name in ("proc", "dev", "tmp", "run"):
            (root / name).mkdir(exist_ok=True)
        prepare(root, solve_tree(resolved), site)
        solve(root, steps)
        found = list(_fetched(root, (root / CACHE / "solved.tsv").read_text().splitlines(), urls))
        packages = [(_kept(each, metadata, store, steps), each.stays) for each in found]
    return Found({name: _pin(metadata[name], places) for name, places in urls.items()}, packages)


def _fetched(root: Path, lines: list[str], known: Mapping[str, object]) -> Iterator[_Fetched]:
    for line in lines:
        name, version, arch, path, state = line.split("\t")
        # dnf: /var/cache/dnf/ID-0123456789abcdef/packages/; yum: /var/cache/yum/x86_64/7/ID/packages/
        folder = path.split("/")[-3]
        repository = folder if folder in known else re.sub(r"-[0-9a-f]{16}$", "", folder)
        if repository not in known:
            raise HostError(
                f"{name} {version} comes from {repository}, a repository that the base has enabled itself",
                "disable it in the base, or give the package another source (repositories)",
            )
        yield _Fetched(name, version, arch, repository, root / path.lstrip("/"), state == "installed")


def _kept(package: _Fetched, metadata: Mapping[str, Metadata], store: Store, steps: Steps) -> LockedPackage:
    """The pin of a package, which is in the store afterwards."""
    what = f"{package.name} {package.version}"
    listed = metadata[package.repository].packages.get((package.name, package.version, package.arch))
    content = package.file.read_bytes()
    if listed is None or hashlib.new(listed.sum_type, content).hexdigest() != listed.sum:
        raise HostError(
            f"{what} is another file than the metadata of {package.repository} lists",
            "run the command again: the mirror may have been updated meanwhile; or use another mirror",
        )
    sha256 = hashlib.sha256(content).hexdigest()
    artifact = Artifact(what, sha256, len(content), ())
    if not store.has(artifact, steps):
        with store.workshop(f"{sha256}.solve", steps) as room:  # on the store's own file system
            shutil.copyfile(package.file, room / "file")
            store.adopt(room / "file", artifact, steps)
    return LockedPackage(
        len(content), sha256, listed.path, package.name, package.version, package.arch, package.repository
    )


def _pin(metadata: Metadata, urls: list[str]) -> RepositoryPin:
    places = dict.fromkeys((metadata.address, *(url.rstrip("/") for url in urls)))
    modules = metadata.modules.line() if metadata.modules is not None else None
    fields = {"urls": list(places), "suite": None, "obtained": "package", "modules": modules}
    return RepositoryPin.model_validate(fields)
