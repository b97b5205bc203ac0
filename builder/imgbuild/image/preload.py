"""The container images that are in the disk image: fetched into the store, then written as one archive for first boot.

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
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgbuild.config.profile import Profile
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import Image, sources
from imgbuild.facts.registries import Source
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.images import Found, described, find
from imgbuild.fetch.oci_format import INDEX, LAYOUT
from imgbuild.fetch.registry import AnswerError, ImageMissingError, Registries, registries
from imgbuild.fetch.store import Store
from imgbuild.image.chart_digests import exact
from imgbuild.image.formats.member import add
from imgbuild.image.overlay import inside
from imgbuild.image.surroundings import surroundings

FOLDER = "/usr/share/imgbuild/preload"
"""The node's folder of the archive (images.tar) and of its list (images.list: name and digest on each line)."""
_ASKED_AT_ONCE = 8


@dataclass(frozen=True)
class Missing:
    """An image that cannot be had, and why."""

    image: Image
    why: ImageMissingError


def kept(profile: Profile, image: Image, store: Store, steps: Steps) -> Found | None:
    """The image, if its digest is known and all of it is in the store: then no registry is asked.

    Raises:
        FetchError: the store cannot be read.
        HostError: a part is damaged in the bundle.
    """
    if image.digest is None:
        return None

    def document(digest: str) -> bytes:
        artifact = Artifact(image.reference, digest.partition(":")[2], None, ())
        if not store.take(artifact, steps):
            raise FileNotFoundError(digest)
        return store.path(artifact.sha256).read_bytes()

    try:
        found = described(image, sources(profile, image)[0], document(image.digest), document)
    except (OSError, ImageMissingError):
        return None
    return None if any(not store.take(part, steps) for part in _lacking(found, store, steps)) else found


def look_up(
    profile: Profile, images: Sequence[Image], store: Store, steps: Steps
) -> tuple[list[Found], list[Missing]]:  # fmt: skip
    """Every image, in the store or in its registry, and those that are not there.

    Raises:
        HostError: skopeo is not installed, or the chart with the digests of Cilium's images cannot be fetched.
    """

    images = exact(profile, images, store, steps, fetch=True)
    there = {image: found for image in images if (found := kept(profile, image, store, steps)) is not None}
    if len(there) == len(images):
        return list(there.values()), []

    def one(image: Image) -> Found | Missing:
        if image in there:
            return there[image]
        try:
            return find(asked, image, sources(profile, image))
        except ImageMissingError as error:
            return Missing(image, error)

    with (
        nullcontext() if store.offline else surroundings(profile),
        steps.step(f"Look up {len(images) - len(there)} container images"),
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
    """Images whose layers are in the store."""

    found: Sequence[Found]
    folder: Path
    """Configurations and layers, by the hexadecimal part of their digest."""

    def lay(self, root: Path, epoch: int) -> None:
        """Write the archive and its list into a root file system, dated ``epoch`` (seconds).

        Raises:
            HostError: a link in the root points out of it.
        """
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


def fetch(profile: Profile, found: Sequence[Found], store: Store, steps: Steps) -> Preload:
    """These images with their layers, from the store or from their registries.

    Raises:
        HostError: a registry no longer sends one of them, or the store cannot be written.
    """
    wanted = [one for one in found if not all(store.take(part, steps) for part in _lacking(one, store, steps))]
    if wanted:
        with surroundings(profile), store.workshop("images", steps) as work, registries(profile) as asked:
            for one in wanted:
                lacking = _lacking(one, store, steps)  # another image can have brought its layers
                if not lacking:
                    continue
                with steps.step(f"Fetch {one.image.reference} ({one.size >> 20} MiB)"):
                    place = work / "image"
                    _copy(asked, profile, one, place, steps)
                    for digest, content in one.documents.items():
                        (place / digest.partition(":")[2]).write_bytes(content)
                    for artifact in lacking:
                        _keep(place, artifact, store, steps)
                    shutil.rmtree(place)
    return Preload(found, store.path("x").parent)


def _lacking(one: Found, store: Store, steps: Steps) -> list[Artifact]:
    """The documents, configuration and layers of an image that are not in the store, each once."""
    sizes = {digest: len(content) for digest, content in one.documents.items()}
    sizes |= {blob.digest: blob.size for blob in one.blobs}  # the same layer can be several times in one image
    parts = [Artifact(one.image.reference, digest.partition(":")[2], size, ()) for digest, size in sizes.items()]
    return [part for part in parts if not store.has(part, steps)]


def total_size(found: Sequence[Found]) -> int:
    """Bytes of all configurations and layers; one that several images have counts once."""
    return sum({blob.digest: blob.size for one in found for blob in one.blobs}.values())


def add_members(tar: tarfile.TarFile, found: Sequence[Found], blobs: Path, epoch: int) -> None:
    """Write the members of the OCI layout: the same bytes for the same images."""
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": _entries(found)}
    for path, content in (
        ("oci-layout", LAYOUT.encode()),
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
        "check that its registry has all of its layers, and the free space of the store; the next run fetches only "
        "what is missing",
    )


def _order(profile: Profile, one: Found) -> Iterator[Source]:
    """The sources of layers, in containerd's order."""
    yield from (source for source in sources(profile, one.image) if "pull" in source.capabilities)


def _keep(work: Path, artifact: Artifact, store: Store, steps: Steps) -> None:
    if not store.adopt(work / artifact.sha256, artifact, steps) and not store.has(artifact, steps):
        raise HostError(
            f"skopeo did not store {artifact.sha256} of {artifact.name} as the registry has it",
            "check the free space of the store; else report this with the output of `skopeo --version`",
        )
    store.share(artifact, steps)  # a layer that several images have is there once, under its own digest
