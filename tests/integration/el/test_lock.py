"""The packages of a lock on CentOS: chosen by real dnf in the stand-in base, from signed repositories on the loopback
interface; then installed by the node's own scripts from nothing but the lock's own repositories.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgbuild.config.load import load
from imgbuild.config.lock_file import read_lock
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
from imgbuild.pipeline import Request, prepare
from tests.integration.image.conftest import rootfs as rootfs
from tests.support.checking import ADMIN
from tests.support.cluster.world import served_chart
from tests.support.command import imgbuild
from tests.support.cri.pause_image import pause_image
from tests.support.el.base import base_tar
from tests.support.el.chroot import Chroot
from tests.support.el.ground import ended
from tests.support.el.modules import MODULAR, SEEN
from tests.support.el.rpms import Rpm, build, index
from tests.support.el.world import World, make_world
from tests.support.image.recorder import Recorder
from tests.support.install.keys import signer
from tests.support.install.room import tree
from tests.support.mirror import serving
from tests.support.registry import docker_registry, push_each

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


@pytest.mark.parametrize("solved", [EL8], indirect=True)
def test_a_package_of_a_module_is_that_of_its_default_stream(solved: Solved) -> None:
    (found,) = [one for one in solved.packages.packages if one.name == MODULAR]
    assert (found.version, found.repository) == (f"{SEEN}-1", "imgbuild-AppStream")
    assert solved.packages.modules.keys() == {"imgbuild-AppStream"}


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


@pytest.mark.parametrize(("release", "firmware"), [("8", "efi"), ("7", "bios")])
def test_an_image_is_built_from_a_lock_and_a_store_without_a_network(
    release: str, firmware: str, rootfs: Rootfs, tmp_path: Path
) -> None:
    """By the commands that users know: lock, fetch, and a build that has not even a loopback device."""
    base = base_tar(rootfs, release)
    with (
        serving(tmp_path / "mirror") as mirror,
        docker_registry(tmp_path / "registry") as port,
        base.open("rb") as data,
    ):
        digest = hashlib.file_digest(data, "sha256").hexdigest()
        world = make_world(mirror, release, base, digest, tmp_path)
        profile = {
            "extends": [f"centos{release}-{firmware}", "./" + world.layer.name],
            "cilium": served_chart(mirror),
            "image": {"formats": ["raw"]},
            "images": {"preload": True},
        }
        node = tmp_path / "node.yaml"
        node.write_text(json.dumps(profile))
        images = prepare(Request(str(node), (), (ADMIN,)), Findings()).preload
        sets = (ADMIN, push_each(port, images, pause_image(tmp_path / "image.tar", "x")))
        words = ("--profile", "node.yaml", *(word for one in sets for word in ("--set", one)))
        cache, store = tmp_path / "cache", ("--store", "store")
        for command in ("lock", "fetch"):
            imgbuild(cache, command, *words, *store, cwd=tmp_path)
    for gone in ("mirror", "registry", "cache"):
        shutil.rmtree(tmp_path / gone)
    imgbuild(cache, *words, "--offline", *store, cwd=tmp_path, before=("unshare", "--net"))
    image = json.loads((tmp_path / "out/node/manifest.json").read_text())["groups"]["image"]
    section = read_lock(tmp_path / "imgbuild.lock", Findings())
    assert section is not None and section.lock.profiles["node"].packages is not None
    wanted = {(one.name, one.version) for one in section.lock.profiles["node"].packages.packages}
    assert {(name, one["version"]) for name, one in image["packages"].items() if one["origin"] != "base"} == wanted
    assert image["kernel"] == world.kernel
    assert len(image["container_images"]) == len(images)
