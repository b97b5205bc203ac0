"""The packages of a lock on CentOS: chosen by real dnf in the stand-in base, from signed repositories on the loopback
interface; then installed by the node's own scripts from nothing but the lock's own repositories.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgbuild.config.load import load
from imgbuild.config.lock_packages import Packages
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.packages import requested
from imgbuild.facts.resolved import Resolved, resolve
from imgbuild.fetch.several import fetch_all
from imgbuild.fetch.store import Store
from imgbuild.image.closure.rpm import solve_rpm
from imgbuild.image.rootfs.base import Base
from imgbuild.image.rootfs.build import Rootfs
from imgbuild.image.rootfs.locked import FOLDER, locked_build, refuse_others
from imgbuild.image.rootfs.packages import LIST, Package, read_list
from imgbuild.image.rootfs.supply import Supply
from imgbuild.image.surroundings import NOWHERE
from tests.integration.image.conftest import rootfs as rootfs
from tests.support.el.base import base_tar
from tests.support.el.chroot import Chroot
from tests.support.el.ground import ended
from tests.support.el.rpms import Rpm, build, index
from tests.support.el.world import World, make_world
from tests.support.image.recorder import Recorder
from tests.support.install.keys import signer
from tests.support.install.room import tree
from tests.support.mirror import serving

pytestmark = [pytest.mark.image, pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="a chroot needs root")]
EL8 = pytest.param("8", id="centos8", marks=pytest.mark.xdist_group("lock-el8"))
EL7 = pytest.param("7", id="centos7", marks=pytest.mark.xdist_group("lock-el7"))


@dataclass(frozen=True)
class Solved:
    """A lock's packages, and what they were chosen from."""

    world: World
    folder: Path
    resolved: Resolved
    packages: Packages
    store: Store


def profile(world: World, *sets: str) -> Resolved:
    findings = Findings()
    loaded = load(f"centos{world.release}-efi", [str(world.layer)], sets, None, findings)
    assert loaded is not None and not findings.errors, findings.items
    return resolve(loaded)


def choose(world: World, folder: Path, *sets: str) -> Solved:
    resolved, store = profile(world, *sets), Store(folder / "store")
    base = Base(world.base, "0" * 64)
    found = solve_rpm(resolved, base, store, folder / "cache", Recorder(), NOWHERE)
    packages = Packages(
        target=resolved.target.id, base=base.sha256, requested=requested(resolved),
        repositories=dict(found.repositories),
        installed=sorted(one.line() for one, stays in found.packages if stays),
        temporary=sorted(one.line() for one, stays in found.packages if not stays),
    )  # fmt: skip
    return Solved(world, folder, resolved, packages, store)


@pytest.fixture(scope="module", params=[EL8, EL7])
def solved(
    request: pytest.FixtureRequest, rootfs: Rootfs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Solved]:
    release, folder = request.param, tmp_path_factory.mktemp(f"lock{request.param}")
    with serving(folder / "mirror") as mirror:
        world = make_world(mirror, release, base_tar(rootfs, release), "0" * 64, folder)
        yield choose(world, folder)
    shutil.rmtree(folder)


def test_the_closure_has_each_package_with_its_file_on_the_mirror(solved: Solved) -> None:
    packages, url = solved.packages, solved.world.mirror.url
    names = {one.name: one for one in packages.packages}
    plain = {name.partition("=")[0] for name in packages.requested if not name.startswith("-")}
    assert plain <= set(names) and {"bash", "cri-tools", "kubernetes-cni"} <= set(names), (
        "what these need is there, too"
    )
    assert "kernel-lt" not in names
    assert names["kubelet"].repository == "kubernetes" and names["kernel-ml"].repository == "elrepo-kernel"
    for one in packages.packages:
        repository = packages.repositories[one.repository]
        assert repository.urls[0].startswith(url), (
            "the first of the list is dead, and the lock has the one that answered"
        )
        file = solved.world.mirror.folder / repository.urls[0].removeprefix(url).strip("/") / one.path
        content = file.read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one.size, one.sha256)
        assert solved.store.path(one.sha256).read_bytes() == content, "fetched once, to verify its signature"


def installed(solved: Solved, folder: Path, packages: Packages) -> tuple[Package, ...]:
    """What the node's own scripts install where there is nothing but the packages of a lock."""
    locked = locked_build(solved.resolved, packages)
    fetch_all(locked.files, solved.store, Recorder())
    root = Chroot.unpack(solved.world.base, folder / "root")
    layer = folder / "nowhere.yaml"  # the mirrors are gone
    layer.write_text(solved.world.layer.read_text().replace(solved.world.mirror.url, "http://127.0.0.1:9"))
    root.lay(tree(f"centos{solved.world.release}-efi", str(layer)))
    archives = [path for path in solved.world.mirror.folder.glob("archives/*") if path.is_file()]
    supply = root.upper / "var/cache/imgbuild/supply"
    supply.mkdir(parents=True)
    for archive in archives:
        shutil.copy(archive, supply / hashlib.sha256(archive.read_bytes()).hexdigest())
    with Supply(solved.store, (), locked).folder(folder / "work", Recorder()) as made:
        shutil.copytree(made / FOLDER, root.upper / "var/cache/imgbuild/locked")
    ended(root.run("/usr/libexec/imgbuild/install"))
    assert not root.exists("/var/cache/imgbuild/locked")
    assert "127.0.0.1:9" in root.read("/etc/yum.repos.d/imgbuild.repo"), "the node has the profile's addresses"
    return read_list(root.read(LIST))


def test_a_build_installs_exactly_the_lock_without_its_mirrors(solved: Solved, tmp_path: Path) -> None:
    found = installed(solved, tmp_path, solved.packages)
    refuse_others(solved.packages, found)
    kept = {(one.name, one.version, one.repository) for one in found}
    assert {(one.name, one.version, one.repository) for one in solved.packages.packages} == kept


@pytest.mark.parametrize("solved", [EL8], indirect=True)
def test_a_package_by_another_signer_is_not_chosen(solved: Solved, tmp_path: Path) -> None:
    mirror = solved.world.mirror
    place = mirror.folder / "foreign"
    build([Rpm("htop")], place, tmp_path / "build", signer("foreign"))
    index(place)
    sets = (f"repositories.epel=[{mirror.url}/foreign/]", "repositories.epel_enabled=true", "packages.install=[htop]")
    with pytest.raises(HostError, match="htop"):
        choose(solved.world, tmp_path, *sets)
