"""Local repositories from a lock: exactly its packages, with its checksums."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from imgbuild.config.lock_packages import LockedFile, LockedPackage, Packages, RepositoryPin
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.store import Store
from imgbuild.image.rootfs.snapshot import LIST, package_files, write_repository
from tests.support.debs import deb, locked
from tests.support.image.recorder import Recorder

DEBIAN = RepositoryPin(
    urls=["http://one.example.com/debian/", "http://two.example.com"], suite="bookworm", obtained="index"
)
FLAT = RepositoryPin(urls=["http://flat.example.com/deb/"], obtained="index")
LINE = f"acl 2.3.1-3 amd64 bookworm 10 {'a' * 64} pool/a/acl.deb"


def _packages(*lines: str) -> Packages:
    return Packages(target="debian12", requested=["acl"], repositories={"bookworm": DEBIAN}, installed=list(lines))


def test_a_line_is_read_as_it_is_written() -> None:
    package = LockedPackage.of(LINE)
    assert package.line() == LINE
    assert (package.name, package.version, package.size, package.path) == ("acl", "2.3.1-3", 10, "pool/a/acl.deb")


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace(" amd64", ""), LINE.replace("a" * 64, "a" * 63), LINE.replace("pool", "/pool"),
        LINE.replace("pool/a", "../a"), LINE.replace("pool/a", "pool/../a"), LINE.replace(" 10 ", " ten "),
        LINE.replace("acl ", "a/cl "), f"{LINE} more", LINE.replace("2.3.1-3", "2.3;1"),
    ],
)  # fmt: skip
def test_a_line_that_was_edited_by_hand_is_refused(line: str) -> None:
    with pytest.raises(ValidationError):
        _packages(line)


def test_a_package_is_there_once_and_its_repository_too() -> None:
    with pytest.raises(ValidationError, match="twice"):
        _packages(LINE, LINE)
    with pytest.raises(ValidationError, match="not in repositories"):
        _packages(LINE.replace(" bookworm ", " sid "))


def test_a_mirror_is_tried_before_the_addresses_of_the_lock() -> None:
    (file,) = package_files(_packages(LINE), {"bookworm": ["http://own.example.com"]})
    assert file.urls == tuple(
        f"http://{host}/pool/a/acl.deb" for host in ("own.example.com", "one.example.com/debian", "two.example.com")
    )
    assert (file.name, file.size) == ("acl 2.3.1-3", 10)


def _stored(store: Store, folder: Path, *files: Path) -> None:
    for file in files:
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        assert store.adopt(file, Artifact(file.name, sha256, None, ()), Recorder())


@pytest.mark.parametrize("copy", [False, True])
def test_a_debian_archive_has_exactly_the_packages_of_the_lock(tmp_path: Path, copy: bool) -> None:
    one, two = deb(tmp_path, "one", "1:1.0-1"), deb(tmp_path, "two", depends=["one"], arch="amd64")
    packages = Packages(
        target="debian12", requested=["two"], repositories={"bookworm": DEBIAN, "kubernetes": FLAT},
        installed=[locked(one, "bookworm").line(), locked(two, "kubernetes").line()],
    )  # fmt: skip
    store = Store(tmp_path / "store")
    _stored(store, tmp_path, one, two)
    made = tmp_path / "made"
    write_repository(packages, store, made, Recorder(), copy=copy)
    index = made / "dists/bookworm/main/binary-amd64/Packages"
    stanzas = [yaml.safe_load(text) for text in index.read_text().split("\n\n")]
    assert [(each["Package"], str(each["Version"])) for each in stanzas] == [("one", "1:1.0-1"), ("two", "1.0")]
    for each, package in zip(stanzas, packages.packages, strict=True):
        file = made / each["Filename"]
        assert file.is_symlink() is not copy
        assert hashlib.sha256(file.read_bytes()).hexdigest() == each["SHA256"] == package.sha256
    assert stanzas[1]["Depends"] == "one"
    assert gzip.decompress(index.with_suffix(".gz").read_bytes()) == index.read_bytes()
    release = (made / "dists/bookworm/Release").read_text()
    for name in ("Packages", "Packages.gz"):
        content = index.with_name(name).read_bytes()
        assert f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/{name}\n" in release
    assert (made / LIST).read_text() == (
        "one\t1:1.0-1\tall\tbookworm/main\ntwo\t1.0\tamd64\thttp://flat.example.com/deb/\n"
    )


def test_a_package_that_the_store_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"acl 2\.3\.1-3 is not in the store"):
        write_repository(_packages(LINE), Store(tmp_path / "store"), tmp_path / "made", Recorder())


def test_a_file_of_a_repository_has_no_name() -> None:
    assert LockedFile.of(f"5 {'b' * 64} repodata/modules.yaml.gz").line() == f"5 {'b' * 64} repodata/modules.yaml.gz"
