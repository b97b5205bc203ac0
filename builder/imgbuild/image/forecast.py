"""What a build of the disk image would fetch, build and take from the cache. Nothing is fetched or written for that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from imgbuild.config.lock import ImagePin, Section
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.formats import FORMATS
from imgbuild.facts.images import Image, addresses
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.address import shown
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.oci import Repository
from imgbuild.fetch.pinned import base_file, pinned, with_sizes
from imgbuild.fetch.several import missing
from imgbuild.fetch.store import Store
from imgbuild.image.build import kept_plan
from imgbuild.image.chart_digests import exact
from imgbuild.image.preload import kept
from imgbuild.image.rootfs.base import kept_base
from imgbuild.image.rootfs.build import is_kept, kept_tar
from imgbuild.image.rootfs.locked import locked_files
from imgbuild.render.nodefile import NodeTree

Action = Literal["fetch", "build", "kept"]


@dataclass(frozen=True)
class Item:
    """One part of a build. ``bytes``: None if it is not known before; ``source``: the addresses to fetch it from.

    ``content``: its checksum or digest, if it is known. What has the same one is fetched once.
    """

    action: Action
    name: str
    bytes: int | None = None
    source: Sequence[str] = ()
    content: str | None = None


def sizes_to_fetch(items: Sequence[Item]) -> list[int | None]:
    """The sizes of what is fetched, each content once."""
    once = {item.content or number: item.bytes for number, item in enumerate(items) if item.action == "fetch"}
    return list(once.values())


def forecast(
    resolved: Resolved, install: NodeTree, images: Sequence[Image], lock: Section | None, cache: Path, store: Store,
    steps: Steps, shared: Repository | None = None,
) -> list[Item]:  # fmt: skip
    """The parts in the order of a build; ``images`` are its container images. Checksums are verified by the build.

    ``shared``: the store in a registry, which a build asks first. Here it is not asked, so ``store`` is one without it.

    Raises:
        HostError: the store, the cache or the bundle cannot be read, or the chart with the digests is not there.
    """
    exactly = exact(resolved.profile, images, store, steps, fetch=False)
    first = () if shared is None else (str(shared),)
    return [
        *(_image(resolved, image, lock, store, steps, first) for image in exactly),
        *_root(resolved, install, lock, cache, store, steps, first),
        *(
            Item("build", f"disk image {resolved.name}{FORMATS[form].suffix}")
            for form in resolved.profile.image.formats
        ),
    ]


def _root(
    resolved: Resolved, install: NodeTree, lock: Section | None, cache: Path, store: Store, steps: Steps,
    first: Sequence[str],
) -> Iterator[Item]:  # fmt: skip
    """The root file system, or what goes into it."""
    name = f"root file system of {resolved.target.name}"
    source = resolved.profile.base.source
    folder = source is not None and Path(source).is_dir()  # known when it was read
    plan = (
        None
        if folder or not cache.is_dir()
        else kept_plan(resolved, install, cache, steps, lock.packages if lock is not None else None)
    )
    if plan is not None and is_kept(plan.key, cache):
        yield Item("kept", name, kept_tar(plan.key, cache).stat().st_size)
        return
    base = base_file(resolved)
    for artifact in with_sizes(pinned(resolved), lock):
        tar = kept_base(artifact.sha256, cache).tar
        if base is not None and artifact.sha256 == base.sha256 and tar.is_file():
            yield Item("kept", f"base {artifact.name}", tar.stat().st_size)
        else:
            yield _file(artifact, store, steps, first)
    packages = lock.packages if lock is not None else None
    files = locked_files(resolved, packages)
    if files:
        yield from _packages(resolved, files, store, steps, first)
        yield Item("build", name)
        return
    urls = [url for listed in resolved.repository_urls.values() for url in listed]
    yield Item("fetch", f"packages of {resolved.target.name}", None, tuple(dict.fromkeys(map(shown, urls))))
    yield Item("build", name)


def _packages(
    resolved: Resolved, files: Sequence[Artifact], store: Store, steps: Steps, first: Sequence[str]
) -> Iterator[Item]:
    """The packages of a lock, together: those that are there, and those that are not."""
    absent = missing(files, store, steps)
    there = {file.sha256 for file in files} - {file.sha256 for file in absent}
    parts: tuple[tuple[Action, list[Artifact]], ...] = (
        ("kept", [file for file in files if file.sha256 in there]),
        ("fetch", absent),
    )
    for action, some in parts:
        if some:
            hosts = {
                urlsplit(url)[1]: f"{urlsplit(url).scheme}://{urlsplit(url)[1]}" for file in some for url in file.urls
            }
            source = (*first, *map(shown, hosts.values())) if action == "fetch" else ()
            size = sum(file.size or 0 for file in some)
            yield Item(action, f"{len(some)} packages of {resolved.target.name}", size, source)


def _file(artifact: Artifact, store: Store, steps: Steps, first: Sequence[str]) -> Item:
    if store.has(artifact, steps):
        return Item("kept", artifact.name, store.path(artifact.sha256).stat().st_size)
    source = (*first, *map(shown, artifact.urls))
    return Item("fetch", artifact.name, artifact.size, source, artifact.sha256)


def _image(
    resolved: Resolved, image: Image, lock: Section | None, store: Store, steps: Steps, first: Sequence[str]
) -> Item:
    found = kept(resolved.profile, image, store, steps)
    name = f"container image {image.reference}"
    if found is not None:
        return Item("kept", name, found.size)
    pin = _pin(image, lock)
    source = (*first, *map(shown, addresses(resolved.profile, image)))
    if pin is None:
        return Item("fetch", name, None, source, image.digest)
    return Item("fetch", name, pin.size, source, pin.digest)


def _pin(image: Image, lock: Section | None) -> ImagePin | None:
    """The pin of an image: an image that the profile names with its digest has that in its name in the lock."""
    pins = [] if lock is None else [lock.images.get(name) for name in (image.reference, image.name)]
    return next((pin for pin in pins if pin is not None and image.digest in (None, pin.digest)), None)
