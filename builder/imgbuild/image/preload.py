"""The container images that are in the disk image: fetched into the cache, then written as one archive for first boot.

One OCI layout in a tar, which containerd imports: every image under the names that the kubelet asks for, every layer
once. The index of a multi-platform image is in it although only the manifest for amd64 is, as after a pull: so the
digests are those of the registry.

First boot imports it. Loading the images into containerd's own folder at build time would make first boot a little
faster, but that needs mounts on the build host, an image that is more than twice as large and never the same twice,
and fails where another disk is mounted over that folder (docs/explanation/figures.md).
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgbuild.config.profile import Profile
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import Image, sources
from imgbuild.facts.registries import Source
from imgbuild.fetch.checksum import sha256_of
from imgbuild.fetch.images import Found, find
from imgbuild.fetch.registry import AnswerError, ImageMissingError, Registries, registries
from imgbuild.image.cache import locked, open_cache, remove, subfolder
from imgbuild.image.formats.member import add
from imgbuild.image.overlay import inside

FOLDER = "/usr/share/imgbuild/preload"
"""The node's folder of the archive (images.tar) and of its list (images.list: name and digest on each line)."""
_ASKED_AT_ONCE = 8


@dataclass(frozen=True)
class Missing:
    """An image that cannot be had, and why."""

    image: Image
    why: ImageMissingError


def look_up(profile: Profile, images: Sequence[Image], steps: Steps) -> tuple[list[Found], list[Missing]]:
    """Every image in its registry, and those that are not there.

    Raises:
        HostError: skopeo is not installed.
    """

    def one(image: Image) -> Found | Missing:
        try:
            return find(asked, image, sources(profile, image))
        except ImageMissingError as error:
            return Missing(image, error)

    with (
        steps.step(f"Look up {len(images)} container images"),
        registries(profile) as asked,
        ThreadPoolExecutor(_ASKED_AT_ONCE) as pool,
    ):
        answers = list(pool.map(one, images))
    return (
        [answer for answer in answers if isinstance(answer, Found)],
        [answer for answer in answers if isinstance(answer, Missing)],
    )


@dataclass(frozen=True)
class Preload:
    """Images whose layers are in the cache."""

    found: Sequence[Found]
    folder: Path
    """Configurations and layers, by the hexadecimal part of their digest."""

    def lay(self, root: Path, epoch: int) -> None:
        """Write the archive and its list into a root file system, dated ``epoch`` (seconds)."""
        place = inside(root, f"{FOLDER}/x").parent
        place.mkdir(parents=True)
        archive = place / "images.tar"
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
            add_members(tar, self.found, self.folder, epoch)
        listing = place / "images.list"
        lines = (f"{name} {one.digest}\n" for one in self.found for name in one.image.stored_as(one.digest))
        listing.write_text("".join(lines))
        for path in (archive, listing, place):
            path.chmod(0o755 if path is place else 0o644)
            os.utime(path, (epoch, epoch))

    def described(self) -> dict[str, Any]:
        """For the manifest: each image with its digest, its size and where it came from."""
        return {
            one.image.reference: {
                "part": one.image.part,
                "digest": one.digest,
                "manifest": one.manifest.digest,
                "bytes": one.size,
                "from": one.source.url,
            }
            for one in sorted(self.found, key=lambda one: one.image.reference)
        }


def fetch(profile: Profile, found: Sequence[Found], cache: Path, steps: Steps) -> Preload:
    """The layers of these images, from the cache or from their registries.

    Raises:
        HostError: a registry no longer sends one of them.
    """
    place = subfolder(open_cache(cache), "images")
    with locked(place / "lock", "waiting for another imgbuild that fetches container images", steps):
        blobs = subfolder(place, "blobs")
        work = place / "work"
        remove(work)
        with registries(profile) as asked:
            for one in found:
                # The same layer can be several times in one image.
                lacking = [d for d in dict.fromkeys(b.digest for b in one.blobs) if not _right(blobs, d, steps)]
                if not lacking:
                    continue
                with steps.step(f"Fetch {one.image.reference} ({one.size >> 20} MiB)"):
                    try:
                        _copy(asked, profile, one, work, steps)
                        for digest in lacking:
                            _keep(work, blobs, digest)
                    finally:
                        shutil.rmtree(work, ignore_errors=True)
    return Preload(found, blobs)


def total_size(found: Sequence[Found]) -> int:
    """Bytes of all configurations and layers; one that several images have counts once."""
    return sum({blob.digest: blob.size for one in found for blob in one.blobs}.values())


def add_members(tar: tarfile.TarFile, found: Sequence[Found], blobs: Path, epoch: int) -> None:
    """Write the members of the OCI layout: the same bytes for the same images."""
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": _entries(found)}
    for path, content in (
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        ("index.json", json.dumps(index, separators=(",", ":")).encode()),
    ):
        add(tar, path, content, len(content), epoch)
    written = set[str]()
    for one in found:
        for digest, content in one.documents.items():
            if digest not in written:
                add(tar, _path(digest), content, len(content), epoch)
                written.add(digest)
        for blob in one.blobs:
            if blob.digest not in written:
                with (blobs / blob.digest.partition(":")[2]).open("rb") as stream:
                    add(tar, _path(blob.digest), stream, os.fstat(stream.fileno()).st_size, epoch)
                written.add(blob.digest)


def _entries(found: Sequence[Found]) -> list[dict[str, Any]]:
    """An entry for each name. io.containerd.image.name is taken as it is (imageName in containerd's import.go)."""
    return [
        {
            "mediaType": one.root.kind,
            "digest": one.root.digest,
            "size": one.root.size,
            "annotations": {"io.containerd.image.name": name},
        }
        for one in found
        for name in one.image.stored_as(one.digest)
    ]


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _right(blobs: Path, digest: str, steps: Steps) -> bool:
    """Whether the cache has this blob; one with other content is reported and removed."""
    path = blobs / digest.partition(":")[2]
    if not os.path.lexists(path):
        return False
    try:
        if sha256_of(path) == path.name:
            return True
    except OSError:
        pass
    steps.note(f"a layer in the cache is damaged and is fetched again ({path})")
    remove(path)
    return False


def _copy(asked: Registries, profile: Profile, one: Found, work: Path, steps: Steps) -> None:
    """Copy an image to ``work`` from the first source that has its layers."""
    said = []
    for source in _order(profile, one):
        try:
            asked.copy(source, f"{one.image.path}@{one.manifest.digest}", work)
            return
        except AnswerError as error:
            said.append(f"{source.host}: {error}")
            steps.note(f"skipped: {said[-1]}")
            shutil.rmtree(work, ignore_errors=True)
    raise HostError(
        f"the container image {one.image.reference} cannot be fetched: {'; '.join(said)}",
        "check that its registry has all of its layers, and the space in the cache folder; the next run fetches only "
        "what is missing",
    )


def _order(profile: Profile, one: Found) -> Iterator[Source]:
    """The sources of layers, in containerd's order."""
    yield from (source for source in sources(profile, one.image) if "pull" in source.capabilities)


def _keep(work: Path, blobs: Path, digest: str) -> None:
    name = digest.partition(":")[2]
    made = work / name
    if not made.is_file() or sha256_of(made) != name:
        raise HostError(
            f"skopeo did not store the layer {digest} as the registry has it",
            "report this with the output of `skopeo --version`",
        )
    made.replace(blobs / name)
