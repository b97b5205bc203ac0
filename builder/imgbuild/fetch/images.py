"""Find container images in their registries: digest, manifests and layers for amd64, before anything is fetched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgbuild.facts.images import Image
from imgbuild.facts.registries import Source
from imgbuild.fetch.oci_format import DIGEST, DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST
from imgbuild.fetch.registry import AnswerError, ImageMissingError, Registries

_INDEXES = (INDEX, DOCKER_INDEX)
_MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
_PLATFORM = ("linux", "amd64")


@dataclass(frozen=True)
class Blob:
    """A descriptor of the OCI image specification."""

    kind: str
    digest: str
    size: int


@dataclass(frozen=True)
class Found:
    """An image in a registry."""

    image: Image
    source: Source
    """Where its manifest came from."""
    root: Blob
    """The index or manifest that the image's name refers to."""
    manifest: Blob
    """The manifest for amd64, which is ``root`` itself where there is no index."""
    documents: Mapping[str, bytes]
    """The index and the manifest, by digest."""
    blobs: Sequence[Blob]
    """The configuration and the layers."""

    @property
    def digest(self) -> str:
        """The digest of ``root``: what a pull reports, and what the image is requested by."""
        return self.root.digest

    @property
    def size(self) -> int:
        """Bytes of configuration and layers, as they are fetched."""
        return sum(blob.size for blob in self.blobs)


def digest_of(registries: Registries, image: Image, sources: Sequence[Source]) -> tuple[str, Source]:
    """The digest of an image's manifest or index, and the first source that has it.

    Raises:
        ImageMissingError: no source has the image; each one's answer is in the message.
        HostError: skopeo is not installed.
    """
    content, source = _root(registries, image, sources)
    return _digest(content), source


def find(registries: Registries, image: Image, sources: Sequence[Source]) -> Found:
    """The image for amd64.

    Raises:
        ImageMissingError: no source has it, or there is none for amd64.
        HostError: skopeo is not installed.
    """
    content, source = _root(registries, image, sources)

    def document(digest: str) -> bytes:
        try:
            return registries.manifest(source, f"{image.path}@{digest}")
        except AnswerError as error:
            raise _incomplete(source, error) from error

    found = described(image, source, content, document)
    if found.manifest is found.root:
        _check_platform(registries, image, source, found.manifest)
    return found


def described(image: Image, source: Source, content: bytes, document: Callable[[str], bytes]) -> Found:
    """An image by the ``content`` of its index or manifest. ``document`` has the manifest that an index names.

    Raises:
        ImageMissingError: there is none for amd64, or it cannot be read.
    """
    parsed = _parsed(content)
    root = Blob(_kind(parsed), _digest(content), len(content))
    documents = {root.digest: content}
    manifest = root
    if root.kind in _INDEXES:
        manifest = _for_platform(parsed, source)
        content = document(manifest.digest)
        parsed = _parsed(content)
        documents[manifest.digest] = content
    if manifest.kind not in _MANIFESTS:
        raise ImageMissingError(
            f"{source.place}: its manifest has the type {manifest.kind or 'of Docker schema 1'}",
            "push the image again with a current tool: containerd reads Docker schema 2 and OCI",
            "unfit",
        )
    try:
        blobs = tuple(_blob(one) for one in (parsed["config"], *parsed["layers"]))
    except (KeyError, TypeError, ValueError):
        raise _damaged(source) from None
    return Found(image, source, root, manifest, documents, blobs)


def _root(registries: Registries, image: Image, sources: Sequence[Source]) -> tuple[bytes, Source]:
    """The manifest or index of the first source that has it.

    A tag is looked up at sources that resolve tags, as containerd does; a digest at those that have layers.
    """
    known = image.digest
    asked = [one for one in sources if ("pull" if known else "resolve") in one.capabilities]
    place = f"{image.path}@{known}" if known else f"{image.path}:{image.tag or 'latest'}"
    answers: list[tuple[Source, AnswerError]] = []
    for source in asked:
        try:
            content = registries.manifest(source, place)
            if known and _digest(content) != known:
                raise AnswerError(f"the manifest digest does not match: it is {_digest(content)}")
            return content, source
        except AnswerError as error:
            answers.append((source, error))
    if known and image.tag and all(error.absent for _, error in answers):
        _tell_tag(registries, image, asked)
    raise _missing(answers)


def _tell_tag(registries: Registries, image: Image, sources: Sequence[Source]) -> None:
    """Raise what the tag refers to, if a source has that: the digest was mistyped, or the tag was moved."""
    for source in sources:
        try:
            other = _digest(registries.manifest(source, f"{image.path}:{image.tag}"))
        except AnswerError:
            continue
        raise ImageMissingError(
            f"{source.place} does not have the digest {image.digest}; its tag {image.tag} has {other}",
            "write the digest that you expect; if the image was changed on purpose, write the new one",
            "another",
        )


def _missing(answers: Sequence[tuple[Source, AnswerError]]) -> ImageMissingError:
    text = "; ".join(f"{source.host}: {error}" for source, error in answers)
    if not answers:
        return ImageMissingError(
            "none of its addresses may be asked for it",
            "give one of the mirrors, or the server, the capabilities pull and resolve",
            "missing",
        )
    if any(error.another for _, error in answers):
        return ImageMissingError(text, "write the digest that the registry has, if that is the right image", "another")
    if all(error.absent for _, error in answers):
        return ImageMissingError(text, "correct the image's name, or copy the image there: skopeo copy", "missing")
    return ImageMissingError(
        text, "check the address, the login and the certificate of this registry in containerd.registries, and the "
        "network of this host", "silent",
    )  # fmt: skip


def _incomplete(source: Source, error: AnswerError) -> ImageMissingError:
    return ImageMissingError(
        f"{source.host} has the image's index, but not its manifest for amd64: {error}",
        "copy the image again, with its image for amd64: skopeo copy --all",
        "missing",
    )


def _damaged(source: Source) -> ImageMissingError:
    return ImageMissingError(f"{source.host} sent a manifest that cannot be read", "push the image again", "unfit")


def _for_platform(index: Mapping[str, Any], source: Source) -> Blob:
    platforms = []
    try:
        for entry in index["manifests"]:
            platform = entry.get("platform") or {}
            if (platform.get("os"), platform.get("architecture")) == _PLATFORM:
                return _blob(entry)
            platforms.append(f"{platform.get('os')}/{platform.get('architecture')}")
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _damaged(source) from None
    raise _another_platform(", ".join(dict.fromkeys(platforms)) or "nothing")


def _check_platform(registries: Registries, image: Image, source: Source, manifest: Blob) -> None:
    try:
        config = _parsed(registries.config(source, f"{image.path}@{manifest.digest}"))
    except AnswerError as error:
        raise _incomplete(source, error) from error
    if (config.get("os"), config.get("architecture")) != _PLATFORM:
        raise _another_platform(f"{config.get('os')}/{config.get('architecture')}")


def _another_platform(there: str) -> ImageMissingError:
    return ImageMissingError(f"it is for {there}, not for linux/amd64", "copy the image for amd64 there", "unfit")


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _kind(document: Mapping[str, Any]) -> str:
    """The media type; an OCI document may lack it, and is then known by what it has (image-spec, manifest.md)."""
    if document.get("mediaType"):
        return str(document["mediaType"])
    if "manifests" in document:
        return _INDEXES[0]
    return _MANIFESTS[0] if "layers" in document else ""


def _blob(entry: Mapping[str, Any]) -> Blob:
    digest = str(entry["digest"])
    if not DIGEST.fullmatch(digest):  # it becomes the name of a file
        raise ValueError(digest)
    return Blob(str(entry["mediaType"]), digest, int(entry["size"]))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
