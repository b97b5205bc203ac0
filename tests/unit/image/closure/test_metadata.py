"""The metadata of RPM repositories, as createrepo_c writes it, and damaged."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbuild.fetch.failure import FetchError
from imgbuild.image.closure.metadata import read_metadata
from tests.support.mirror import Mirror, serving

_PRIMARY = """<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="2">
<package type="rpm"><name>bash</name><arch>x86_64</arch><version epoch="0" ver="5.1" rel="2.el8"/>
<checksum type="sha256" pkgid="YES">{sum}</checksum><location href="Packages/b/bash-5.1-2.el8.x86_64.rpm"/></package>
<package type="rpm"><name>chrony</name><arch>x86_64</arch><version epoch="1" ver="4.1" rel="1"/>
<checksum type="sha" pkgid="YES">{sum}</checksum><location href="chrony.rpm"/></package>
</metadata>
""".format(sum="a" * 64)


def repository(folder: Path, name: str, content: bytes, more: str = "", sha256: str = "") -> None:
    data = folder / "repodata"
    data.mkdir(parents=True, exist_ok=True)
    (data / name).write_bytes(content)
    found = sha256 or hashlib.sha256(content).hexdigest()
    (data / "repomd.xml").write_text(
        '<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary">'
        f'<checksum type="sha256">{found}</checksum><location href="repodata/{name}"/></data>{more}</repomd>'
    )


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    with serving(tmp_path / "mirror") as served:
        yield served


@pytest.mark.parametrize(
    ("name", "pack"),
    [("p.xml.gz", gzip.compress), ("p.xml.xz", lzma.compress), ("p.xml.bz2", bz2.compress), ("p.xml", bytes)],
)
def test_each_package_has_its_place_and_its_checksum(mirror: Mirror, name: str, pack: Callable[[bytes], bytes]) -> None:
    repository(mirror.folder / "os", name, pack(_PRIMARY.encode()))
    found = read_metadata(["http://127.0.0.1:9/gone", f"{mirror.url}/missing/", f"{mirror.url}/os/"])
    assert found.address == f"{mirror.url}/os" and found.modules is None
    assert set(found.packages) == {("bash", "5.1-2.el8", "x86_64"), ("chrony", "1:4.1-1", "x86_64")}
    bash = found.packages["bash", "5.1-2.el8", "x86_64"]
    assert (bash.path, bash.sum_type, bash.sum) == ("Packages/b/bash-5.1-2.el8.x86_64.rpm", "sha256", "a" * 64)
    assert found.packages["chrony", "1:4.1-1", "x86_64"].sum_type == "sha1"


def test_modules_are_kept_with_their_checksum(mirror: Mirror) -> None:
    modules = b"---\ndocument: modulemd\n"
    entry = '<data type="modules"><checksum type="sha256">{}</checksum><location href="repodata/m.yaml"/></data>'
    content = _PRIMARY.encode()
    repository(mirror.folder, "p.xml", content, entry.format(hashlib.sha256(modules).hexdigest()))
    (mirror.folder / "repodata/m.yaml").write_bytes(modules)
    found = read_metadata([mirror.url]).modules
    assert found is not None
    assert found.line() == f"{len(modules)} {hashlib.sha256(modules).hexdigest()} repodata/m.yaml"


@pytest.mark.parametrize(
    ("content", "sha256", "reason"),
    [
        (gzip.compress(_PRIMARY.encode()), "b" * 64, "does not have the checksum of its repomd.xml"),
        (gzip.compress(_PRIMARY.encode())[:-20], "", "cannot be read"),
        (b"<metadata", "", "cannot be read"),
        (b"\x1f\x8bnothing", "", "cannot be read"),
        (b'<!DOCTYPE d [<!ENTITY a "x">' + b"".join(
            f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">'.encode() for n in range(12)
        ) + b"]><metadata>&m;</metadata>", "", "cannot be read"),
    ],
    ids=["checksum", "cut", "no XML", "no gzip", "growing entities"],
)  # fmt: skip
def test_damaged_metadata_is_refused(mirror: Mirror, content: bytes, sha256: str, reason: str) -> None:
    repository(mirror.folder, "p.xml", content, sha256=sha256)
    with pytest.raises(FetchError, match=reason):
        read_metadata([mirror.url])


def test_all_addresses_are_named_if_none_answers(mirror: Mirror) -> None:
    with pytest.raises(FetchError) as error:
        read_metadata([f"{mirror.url}/one", f"{mirror.url}/two"])
    assert "/one/repodata/repomd.xml" in str(error.value) and "/two/repodata/repomd.xml" in str(error.value)
