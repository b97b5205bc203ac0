"""The metadata of RPM repositories: where each package is, its checksum, and the file that describes modules.

Source: createrepo_c's repomd.xml and primary.xml, as yum 3.4.3 and dnf read them.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from imgbuild.config.lock_packages import LockedFile
from imgbuild.fetch.address import shown
from imgbuild.fetch.ask import ask
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.limits import Limits
from imgbuild.fetch.publisher import text_at
from imgbuild.image.decompress import decompressed

_INDEX = Limits(total_seconds=600.0, max_bytes=256 << 20, tries=3)
_REPO, _COMMON = "{http://linux.duke.edu/metadata/repo}", "{http://linux.duke.edu/metadata/common}"
_SUMS = {"sha": "sha1", "sha1": "sha1", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512"}


@dataclass(frozen=True)
class Listed:
    """What a repository has about a package. ``path``: below its address."""

    path: str
    sum_type: str
    sum: str


@dataclass(frozen=True)
class Metadata:
    """A repository as it is now."""

    address: str
    packages: Mapping[tuple[str, str, str], Listed]
    """By name, version (as rpm has it, without the epoch 0) and architecture."""
    modules: LockedFile | None


def read_metadata(urls: Sequence[str]) -> Metadata:
    """That of the first address that has it.

    Raises:
        FetchError: no address has it, or its files do not match its own checksums.
    """
    tried: list[FetchError] = []
    for url in urls:
        base = url.rstrip("/")
        try:
            index = text_at(f"{base}/repodata/repomd.xml")
        except FetchError as error:
            tried.append(error)
            continue
        return _read(base, index)
    raise FetchError("; ".join(map(str, tried)), "check the network, or set other mirrors in repositories")


def _read(base: str, index: str) -> Metadata:
    try:
        entries = {entry.get("type", ""): entry for entry in ElementTree.fromstring(index)}  # noqa: S314 - see below
        primary = _fetched(base, entries["primary"])
        packages = dict(_packages(decompressed(primary)))
        modules = None
        if "modules" in entries:
            content = _fetched(base, entries["modules"])
            modules = LockedFile(len(content), hashlib.sha256(content).hexdigest(), _location(entries["modules"]))
    except (ElementTree.ParseError, KeyError, ValueError, zlib.error, OSError, lzma.LZMAError, EOFError) as error:
        raise FetchError(f"{shown(base)}/repodata cannot be read: {error}", "use another mirror") from error
    return Metadata(base, packages, modules)


def _location(entry: ElementTree.Element) -> str:
    found = entry.find(f"{_REPO}location")
    if found is None:
        raise ValueError("repomd.xml tells no location")
    return found.attrib["href"]


def _fetched(base: str, entry: ElementTree.Element) -> bytes:
    """A file that repomd.xml names, if it has the checksum that is there."""
    path, wanted = _location(entry), entry.find(f"{_REPO}checksum")
    answer = ask(f"{base}/{path}", limits=_INDEX)
    if answer.status != 200:
        raise FetchError(f"{shown(base)}/{path}: the server answers with status {answer.status}", "use another mirror")
    if wanted is None or hashlib.new(_SUMS[wanted.attrib["type"]], answer.body).hexdigest() != wanted.text:
        raise FetchError(
            f"{shown(base)}/{path} does not have the checksum of its repomd.xml",
            "run the command again: the mirror may have been updated meanwhile; or use another mirror",
        )
    return answer.body


def _packages(xml: bytes) -> Iterator[tuple[tuple[str, str, str], Listed]]:
    # expat refuses entities that grow without a limit (since 2.4.1; Debian 12 has 2.5), and reads no other files.
    for _, element in ElementTree.iterparse(io.BytesIO(xml)):  # noqa: S314
        if element.tag != f"{_COMMON}package":
            continue
        part = {child.tag.removeprefix(_COMMON): child for child in element}
        version, checksum = part["version"].attrib, part["checksum"]
        epoch = version.get("epoch") or "0"
        full = f"{'' if epoch == '0' else f'{epoch}:'}{version['ver']}-{version['rel']}"
        name, arch = part["name"].text or "", part["arch"].text or ""
        listed = Listed(part["location"].attrib["href"], _SUMS[checksum.attrib["type"]], checksum.text or "")
        element.clear()
        yield (name, full, arch), listed
