"""The packages of a Debian root file system, chosen by its own apt in a base that mmdebstrap has made."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from imgbuild.config.data import data_dir
from imgbuild.config.lock_packages import LockedPackage, RepositoryPin
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.checksum import sha256_of
from imgbuild.image.cache import locked, open_cache, store, subfolder, take
from imgbuild.image.closure.chroot import CACHE, Found, prepare, solve
from imgbuild.image.rootfs.mirror import DebianMirrors
from imgbuild.image.scratch import scratch
from imgbuild.image.surroundings import FIRST_SOURCES, Site, first_sources
from imgbuild.image.tool import run
from imgbuild.render.install import solve_tree

_SETTINGS = 'echo "$IMGBUILD_FIRST_PACKAGES"; eval "printf \'%s\\\\n\' $IMGBUILD_BASE_ARGS"'
_STATUS = "./var/lib/dpkg/status"


@dataclass(frozen=True)
class _Bootstrap:
    """What the element tells mmdebstrap."""

    packages: Sequence[str]
    arguments: Sequence[str]


def solve_debian(resolved: Resolved, mirrors: DebianMirrors, cache: Path, steps: Steps, site: Site) -> Found:
    """The repositories and the packages, those of the base among them.

    Raises:
        HostError: mmdebstrap or apt fails, or a mirror does not answer.
    """
    place = open_cache(cache)
    bootstrap = _bootstrap(mirrors.release)
    base, names = _base(mirrors, bootstrap, place, steps, site)
    with scratch(place / "work", "solve") as room, steps.step("Choose the packages with apt"):
        root = room / "root"
        root.mkdir()
        run(["tar", "--extract", "--numeric-owner", "--file", base, "--directory", root], what="unpack the base")
        sources = root / "etc/apt/sources.list.d"
        shutil.rmtree(sources, ignore_errors=True)
        sources.mkdir()
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        for line in mirrors.sources().splitlines():
            name, _, source = line.partition(":")
            (sources / f"{name}.list").write_text(f"{source}\n")
        prepare(root, solve_tree(resolved), site)
        (root / CACHE / "first-packages").write_text("".join(f"{name}\n" for name in (*names, *bootstrap.packages)))
        solve(root, steps)
        found = read_solved(root / CACHE)
    empty = {
        suite: RepositoryPin(urls=[url], suite=suite, obtained="index")
        for suite, url in mirrors.suites().items()
        if suite not in found.repositories
    }
    return Found({**empty, **found.repositories}, found.packages)


def read_solved(folder: Path) -> Found:
    """What the script in the base has written (install.d/apt/solve.sh).

    Raises:
        HostError: a package has no address or no sha256.
    """
    repositories = dict(_repositories((folder / "repositories.tsv").read_text().splitlines()))
    return Found(repositories, _packages((folder / "solved.tsv").read_text().splitlines(), repositories))


def _repositories(lines: Iterable[str]) -> Iterable[tuple[str, RepositoryPin]]:
    """From "SUITE ADDRESS"; a flat repository has no suite, and gets its host's name."""
    for line in lines:
        suite, _, address = line.partition("\t")
        flat = not suite.strip("/.")
        name = _flat_name(address) if flat else suite
        fields = {"urls": [address], "suite": None if flat else suite, "obtained": "index"}
        yield name, RepositoryPin.model_validate(fields)


def _flat_name(address: str) -> str:
    """A name for a repository without suites: pkgs.k8s.io-core-stable-v1.35-deb."""
    parts = urlsplit(address)
    words = f"{parts.hostname or ''}{parts.path}"
    return "".join(char if char.isalnum() or char in ".-" else "-" for char in words).strip("-./").replace("--", "-")


def _packages(lines: Iterable[str], repositories: dict[str, RepositoryPin]) -> list[tuple[LockedPackage, bool]]:
    found, unknown = [], []
    for line in lines:
        name, version, arch, origin, *file, state = line.split("\t")
        suite = origin.partition("/")[0] if "://" not in origin else _flat_name(origin)
        address = repositories[suite].urls[0] if suite in repositories else ""
        if not address or len(file) != 3 or not file[0].startswith(address) or not file[2].startswith("SHA256:"):
            unknown.append(f"{name} {version}")
            continue
        path = file[0].removeprefix(address).lstrip("/").removeprefix("./")
        sha256 = file[2].removeprefix("SHA256:")
        package = LockedPackage(int(file[1]), sha256, path, name, version, arch, suite)
        found.append((package, state == "installed"))
    if unknown:
        raise HostError(
            f"apt does not tell where these packages come from, or their sha256: {', '.join(unknown)}",
            "use a mirror whose index has sha256 (repositories); or run imgbuild lock --no-packages",
        )
    return found


def _bootstrap(release: str) -> _Bootstrap:
    """As elements/imgbuild-debian declares it for diskimage-builder."""
    settings = data_dir("elements") / "imgbuild-debian/environment.d/10-imgbuild-debian.bash"
    told = {"DIB_RELEASE": release, "DIB_DISTRIBUTION_MIRROR": "", "DIB_APT_SOURCES_CONF": ""}
    out = run(["bash", "-c", f'. "$1"; {_SETTINGS}', "bash", settings], what="read the element's settings", env=told)
    packages, *arguments = out.decode().splitlines()
    return _Bootstrap(packages.split(), arguments)


def _base(
    mirrors: DebianMirrors, bootstrap: _Bootstrap, place: Path, steps: Steps, site: Site
) -> tuple[Path, list[str]]:
    """A root file system whose apt can run, as a tar in the cache, and the names of its packages.

    Their versions do not matter.
    """
    options = ["--variant=minbase", "--include=ca-certificates,usr-is-merged", "--architectures=amd64", "--format=tar"]
    options += bootstrap.arguments
    words = [mirrors.release, *options, run(["mmdebstrap", "--version"], what="run mmdebstrap").decode()]
    tar = subfolder(place, "base") / f"apt-{hashlib.sha256(repr(words).encode()).hexdigest()}.tar"
    with locked(place / "base.lock", "waiting for another imgbuild that prepares a base", steps):
        kept = take(tar, "the base of apt", steps)
        if kept is not None:
            return tar, list(kept["packages"])
        with (
            scratch(place / "work", "base") as room,
            steps.step(f"Make a base of {mirrors.release} with mmdebstrap"),
        ):
            told = dict(site.local(mirrors.sources()))
            first = told.pop(FIRST_SOURCES, first_sources(mirrors.sources()))
            made, sources = room / "base.tar", room / "first.list"
            sources.write_text(f"{first}\n")
            run(["mmdebstrap", *options, mirrors.release, made, sources], what="make a base", env=told)
            status = run(["tar", "--extract", "--to-stdout", "--file", made, _STATUS], what="read the base's packages")
            names = re.findall(r"(?m)^Package: (\S+)$", status.decode())
            store(made, tar, sha256_of(made), {"name": f"apt of {mirrors.release}", "packages": names})
    return tar, names
