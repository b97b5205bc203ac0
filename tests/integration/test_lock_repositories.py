"""The repositories that are made of a lock's RPMs: by real createrepo_c, with the metadata of modules."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path

import pytest

from imgbuild.config.lock_packages import LockedFile, LockedPackage, Packages, RepositoryPin
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.store import Store
from imgbuild.image.closure.metadata import read_metadata
from imgbuild.image.rootfs.snapshot import write_repository
from tests.support.el.rpms import Rpm, build
from tests.support.image.recorder import Recorder
from tests.support.mirror import serving

if shutil.which("createrepo_c") is None or shutil.which("rpmbuild") is None:
    pytest.skip("needs createrepo_c and rpmbuild", allow_module_level=True)

MODULES = (
    b"---\ndocument: modulemd\nversion: 2\ndata: {name: tools, stream: '1', version: 1, context: a, arch: x86_64}\n"
)


def stored(store: Store, file: Path, name: str) -> LockedFile:
    content = file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    assert store.adopt(file, Artifact(name, sha256, None, ()), Recorder())
    return LockedFile(len(content), sha256, f"Packages/{file.name}")


def test_each_repository_has_its_packages_and_its_modules(tmp_path: Path) -> None:
    store, fresh = Store(tmp_path / "store"), tmp_path / "fresh"
    build([Rpm("chrony", "4.1"), Rpm("kernel-ml", "6.9", "1.elrepo")], fresh, tmp_path / "build", None)
    packed = tmp_path / "modules.yaml.gz"
    packed.write_bytes(gzip.compress(MODULES))
    modules = stored(store, packed, "modules")
    lines = []
    for name, version, repository in (("chrony", "4.1-1", "AppStream"), ("kernel-ml", "6.9-1.elrepo", "elrepo-kernel")):
        (file,) = fresh.glob(f"{name}-*.rpm")
        found = stored(store, file, name)
        lines.append(LockedPackage(found.size, found.sha256, found.path, name, version, "noarch", repository).line())
    pins = {
        name: RepositoryPin(urls=[f"https://example.com/{name}"], obtained="package", modules=line)
        for name, line in (("AppStream", modules.line()), ("elrepo-kernel", None), ("extras", None))
    }
    packages = Packages(target="centos8", requested=["chrony"], repositories=pins, installed=lines)
    with serving(tmp_path / "mirror") as mirror:
        write_repository(packages, store, mirror.folder / "made", Recorder(), copy=True)
        read = {name: read_metadata([f"{mirror.url}/made/{name}/"]) for name in pins}
        place = read["AppStream"].modules
        assert place is not None
        assert gzip.decompress((mirror.folder / "made/AppStream" / place.path).read_bytes()) == MODULES
    assert {name: set(found.packages) for name, found in read.items()} == {
        "AppStream": {("chrony", "4.1-1", "noarch")},
        "elrepo-kernel": {("kernel-ml", "6.9-1.elrepo", "noarch")},
        "extras": set(),
    }
    for package in packages.packages:
        listed = read[package.repository].packages[package.name, package.version, package.arch]
        assert listed.sum == package.sha256, "the lock's own checksum, which the package manager compares"
