"""Local repositories of exactly the packages that a lock has, made from the store.

A root file system is installed from them, and a bundle carries them:

    FOLDER/dists/SUITE/Release, .../main/binary-amd64/Packages(.gz)   Debian: one archive, not signed
    FOLDER/pool/NAME_VERSION_ARCH.deb
    FOLDER/REPOSITORY/repodata/, FOLDER/REPOSITORY/*.rpm              EL: one for each repository, with its modules
    FOLDER/packages.tsv                                               name, version, architecture and origin of each

Every file has the lock's sha256 when it gets there. The packages of EL keep their own signatures.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imgbuild.config.lock_packages import LockedFile, LockedPackage, Packages
from imgbuild.config.target import load_target
from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.store import Store
from imgbuild.image.decompress import decompressed
from imgbuild.image.tool import run

LIST = "packages.tsv"
_AT_ONCE = 4
_FIELD = re.compile(r"(?im)^(filename|size|md5sum|sha1|sha256|sha512):.*\n?")


def package_files(packages: Packages, mirrors: Mapping[str, Sequence[str]] | None = None) -> list[Artifact]:
    """The packages, and the metadata of modules, as files for the store.

    ``mirrors``: for each repository addresses that are tried first.
    """

    def artifact(name: str, repository: str, file: LockedFile) -> Artifact:
        own = (mirrors or {}).get(repository, ())
        bases = dict.fromkeys((*own, *packages.repositories[repository].urls))
        return Artifact(name, file.sha256, file.size, tuple(f"{base.rstrip('/')}/{file.path}" for base in bases))

    found = [artifact(f"{each.name} {each.version}", each.repository, each) for each in packages.every]
    return [*found, *(artifact(f"the modules of {name}", name, file) for name, file in packages.modules.items())]


def write_repository(packages: Packages, store: Store, folder: Path, steps: Steps, *, copy: bool = False) -> None:
    """Make the repositories of ``packages`` in ``folder``, which is new or empty.

    ``copy``: copies of the packages, else links to the store, which somebody must hold meanwhile.

    Raises:
        FetchError: the store lacks a package.
        HostError: a tool is missing or fails (createrepo_c for EL, dpkg-deb for Debian).
    """
    folder.mkdir(parents=True, exist_ok=True)
    with steps.step(f"Make a repository of {len(packages.every)} packages"):
        if load_target(packages.target).package_manager == "apt":
            _write_debian(packages, store, folder, steps, copy=copy)
        else:
            _write_rpm(packages, store, folder, steps, copy=copy)
        (folder / LIST).write_text("".join(f"{line}\n" for line in _listed(packages)))


def _listed(packages: Packages) -> Iterable[str]:
    """As install.d/any/80-list writes where a package comes from: the suite, else the address."""
    for each in packages.every:
        repository = packages.repositories[each.repository]
        origin = f"{repository.suite}/main" if repository.suite is not None else each.repository
        if repository.suite is None and load_target(packages.target).package_manager == "apt":
            origin = repository.urls[0]
        yield "\t".join((each.name, each.version, each.arch, origin))


def _place(file: LockedFile, name: str, store: Store, place: Path, steps: Steps, *, copy: bool) -> Path:
    """Put a file of the store where it belongs."""
    with store.held(Artifact(name, file.sha256, file.size, ()), steps) as found:
        place.parent.mkdir(parents=True, exist_ok=True)
        if copy:
            shutil.copyfile(found, place)
        else:
            place.symlink_to(found.resolve())
    return place


def _write_debian(packages: Packages, store: Store, folder: Path, steps: Steps, *, copy: bool) -> None:
    """One archive, with the suite that mmdebstrap asks for."""

    def stanza(package: LockedPackage) -> str:
        version = package.version.replace(":", "%3a")  # as apt names files
        name = f"pool/{package.name}_{version}_{package.arch}.deb"
        place = _place(package, f"{package.name} {package.version}", store, folder / name, steps, copy=copy)
        control = run(["dpkg-deb", "--field", place], what=f"read the package {package.name}").decode()
        own = f"Filename: {name}\nSize: {package.size}\nSHA256: {package.sha256}\n"
        return f"{_FIELD.sub('', control).rstrip()}\n{own}"

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        index = "\n".join(pool.map(stanza, packages.every)).encode()
    suite = load_target(packages.target).image.environment["DIB_RELEASE"]
    files = {"main/binary-amd64/Packages": index, "main/binary-amd64/Packages.gz": gzip.compress(index, mtime=0)}
    dist = folder / "dists" / suite
    for name, content in files.items():
        (dist / name).parent.mkdir(parents=True, exist_ok=True)
        (dist / name).write_bytes(content)
    sums = "".join(f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}\n" for name, content in files.items())
    head = f"Origin: imgbuild\nLabel: imgbuild.lock\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\n"
    date = "Date: Thu, 01 Jan 1970 00:00:00 UTC\n"  # nothing depends on it, and the same lock gives the same files
    (dist / "Release").write_text(f"{head}Components: main\n{date}SHA256:\n{sums}")


def _write_rpm(packages: Packages, store: Store, folder: Path, steps: Steps, *, copy: bool) -> None:
    """A repository under the name of each one, with the metadata of its modules."""
    for repository in packages.repositories:
        own = folder / repository
        own.mkdir()
        for package in packages.every:
            if package.repository == repository:
                name = f"{package.name} {package.version}"
                _place(package, name, store, own / os.path.basename(package.path), steps, copy=copy)  # noqa: PTH119
        # yum 3.4.3 reads neither zstd nor sqlite databases of a newer form.
        plain = ["createrepo_c", "--quiet", "--no-database", "--general-compress-type=gz", "--simple-md-filenames"]
        run([*plain, own], what=f"make the repository {repository}")
        if repository in packages.modules:
            _add_modules(packages.modules[repository], own, store, steps)


def _add_modules(file: LockedFile, repository: Path, store: Store, steps: Steps) -> None:
    artifact = Artifact("the metadata of modules", file.sha256, file.size, ())
    with store.held(artifact, steps) as found:
        content = found.read_bytes()
    place = repository / "modules.yaml"
    place.write_bytes(decompressed(content))
    argv: list[str | Path] = ["modifyrepo_c", "--mdtype=modules", "--simple-md-filenames", "--compress-type=gz"]
    run([*argv, place, repository / "repodata"], what="add the metadata of modules")
    place.unlink()
