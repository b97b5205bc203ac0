"""Gather everything that a profile's lock names, for one file that is carried to a place without a network."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from imgbuild import __version__
from imgbuild.bundle.layout import BLOBS, FORMAT, PROFILE, WHEELS, Contents, ImageIn, Kind, LeftOut
from imgbuild.bundle.profile import carried
from imgbuild.bundle.read import Bundle
from imgbuild.bundle.wheels import built_wheels, for_python, wheels_in
from imgbuild.bundle.write import Part, part_of, write_bundle
from imgbuild.config.lock import FORMAT as LOCK_FORMAT
from imgbuild.config.lock import NAME, Lock, Section
from imgbuild.config.lock_file import lock_text, read_lock
from imgbuild.config.target import target_names
from imgbuild.diagnostics.errors import HostError, InvalidInput, UsageError
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.checksum import sha256_of
from imgbuild.fetch.images import Found
from imgbuild.fetch.oci_format import INDEX, LAYOUT, REFERENCE
from imgbuild.fetch.pinned import pinned, with_sizes
from imgbuild.fetch.several import fetch_all
from imgbuild.fetch.store import Store
from imgbuild.image.platforms import fetch_platforms
from imgbuild.image.preload import fetch as fetch_images
from imgbuild.image.rootfs.snapshot import package_files, write_repository
from imgbuild.image.surroundings import surroundings
from imgbuild.outputs.signature import Signer
from imgbuild.pipeline import Input
from imgbuild.pipeline.disk import images_found


@dataclass(frozen=True)
class Made:
    """A bundle that was written. ``left_out``: what the profile refers to and the bundle does not have."""

    size: int
    parts: Sequence[Part]
    images: int
    left_out: Sequence[LeftOut]


def make_bundle(
    ready: Input, target: Path, store: Store, steps: Steps, *, wheels: Path | None, no_wheels: bool,
    signer: Signer | None, all_platforms: bool = False,
) -> Made:  # fmt: skip
    """Write the bundle of a profile with a lock. What the store lacks is fetched first.

    ``wheels``: a folder with the wheels, in place of pip's index. ``no_wheels``: none are in it.
    ``all_platforms``: images for all platforms of their index, not for amd64 alone.

    Raises:
        HostError: something cannot be fetched, or the bundle cannot be written. ``target`` is unchanged.
        InvalidInput: the profile has what a bundle cannot carry, or an image cannot be had.
        UsageError: the profile has no lock.
    """
    section = _section(ready)
    given, findings = ready.request, Findings()
    own = carried(given.profile, given.layers, given.sets, given.mode, given.cluster, findings)
    if findings.errors:
        raise InvalidInput(findings)
    left_out = [*own.left_out, *_local_base(ready)]
    artifacts = _artifacts(ready, section)
    packages = package_files(section.packages) if section.packages is not None else []
    with surroundings(ready.resolved.profile):
        fetch_all([*artifacts, *packages], store, steps)
    found = images_found(ready, store, steps, ready.images)
    fetch_images(ready.resolved.profile, found, store, steps)
    platforms = fetch_platforms(ready.resolved.profile, found, store, steps) if all_platforms else {}
    lock = lock_text(Lock(format=LOCK_FORMAT, profiles={ready.pinned.name: section})) if ready.pinned else ""
    files = {**own.files, NAME: lock.encode()}
    with ExitStack() as stack:
        taken: list[Path] = []
        if not no_wheels:
            with steps.step("Collect the wheels of imgbuild"):
                taken = wheels_in(wheels) if wheels is not None else stack.enter_context(built_wheels())
        parts = [
            *_layout(found),
            *(part_of(f"{PROFILE}{path}", "profile", content) for path, content in sorted(files.items())),
            *(_file(f"{WHEELS}{path.name}", path) for path in taken),
            *_blobs(artifacts, packages, found, platforms, store),
        ]
        about = Contents(
            format=FORMAT,
            imgbuild=__version__,
            profile=ready.pinned.name if ready.pinned else "",
            options=tuple(own.options),
            python=for_python() if taken else "",
            images=tuple(
                ImageIn(name=_name(one), digest=one.digest, manifest=one.manifest.digest, by_digest=one.image.by_digest)
                for one in sorted(found, key=_name)
            ),
            charts={name: pin.sha256 for name, pin in sorted(section.files.items()) if pin.kind == "chart"},
            left_out=tuple(left_out),
            files=(),
        )
        with steps.step(f"Write {target} ({sum(part.size for part in parts) >> 20} MiB)"):
            size = write_bundle(target, about, parts, signer)
    return Made(size, parts, len(found), left_out)


def unpack_packages(bundle: Bundle, folder: Path, steps: Steps) -> None:
    """Make the repository of the bundle's packages in ``folder``/packages, with copies of them.

    Raises:
        HostError: it cannot be written, a tool is missing, or its lock has no packages.
    """
    findings = Findings()
    lock = read_lock(folder / PROFILE / NAME, findings)
    section = lock.section(bundle.contents.profile) if lock is not None else None
    if section is None or section.packages is None:
        raise HostError(f"the lock in {bundle.file} has no packages", "make the bundle again: imgbuild bundle")
    target = section.packages.target
    if target not in target_names():
        raise HostError(
            f"the packages in {bundle.file} are for {target}, which is not known here", "use the imgbuild that made it"
        )
    with tempfile.TemporaryDirectory(prefix=".packages-", dir=folder) as name:
        store = Store(Path(name), carried=bundle)
        for artifact in package_files(section.packages):
            store.has(artifact, steps)
        write_repository(section.packages, store, folder / "packages", steps, copy=True)


def _local_base(ready: Input) -> Iterator[LeftOut]:
    """A base on this host, which is the user's to carry: it has no address, and may be a folder."""
    source = ready.resolved.profile.base.source
    if source is not None and "://" not in source:
        mark = ready.resolved.layered.mark(("base", "source"))
        where = f"{mark.file}:{mark.line}" if mark is not None else "base.source"
        yield LeftOut(where=where, what=f"base.source: {source} of this host", fix=f"copy it to {source} there")


def _section(ready: Input) -> Section:
    if ready.pinned is None:
        raise UsageError(
            "a bundle has what imgbuild.lock names, and this profile has none", f"run {ready.request.lock_command()}"
        )
    return ready.pinned.section


def _artifacts(ready: Input, section: Section) -> list[Artifact]:
    """All files that the lock names, and those that the profile itself pins; each content once."""
    nodes = (ready.resolved, *(own.resolved for own in ready.own))
    every = [artifact for node in nodes for artifact in with_sizes(pinned(node), section)]
    for name, pin in sorted(section.files.items()):
        every.append(Artifact(f"{name} {pin.version or ''}".strip(), pin.sha256, pin.size, tuple(pin.urls)))
    once: dict[str, Artifact] = {}
    for artifact in every:
        before = once.setdefault(artifact.sha256, artifact)
        urls = tuple(dict.fromkeys((*before.urls, *artifact.urls)))
        once[artifact.sha256] = replace(before, urls=urls)
    return list(once.values())


def _layout(found: Sequence[Found]) -> Iterator[Part]:
    """The OCI image layout's own files. skopeo finds an image by org.opencontainers.image.ref.name."""
    entries = [
        {
            "mediaType": one.root.kind,
            "digest": one.root.digest,
            "size": one.root.size,
            "annotations": {REFERENCE: _name(one)},
        }
        for one in sorted(found, key=_name)
    ]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    yield part_of("oci-layout", "layout", LAYOUT.encode())
    yield part_of("index.json", "layout", json.dumps(index, indent=1).encode())


def _name(one: Found) -> str:
    """What an image is called: by its tag, if it has one."""
    return one.image.name if one.image.tag is not None else one.image.reference


def _file(path: str, file: Path) -> Part:
    return Part(path, "wheel", file.stat().st_size, sha256_of(file), file)


def _blobs(
    artifacts: Sequence[Artifact], packages: Sequence[Artifact], found: Sequence[Found],
    platforms: Mapping[str, Sequence[str]], store: Store,
) -> list[Part]:  # fmt: skip
    """All content by its checksum, each once, in the order of the checksums."""
    parts: dict[str, Part] = {}

    def add(kind: Kind, sha256: str, name: str) -> None:
        place = store.path(sha256)
        parts.setdefault(sha256, Part(f"{BLOBS}{sha256}", kind, place.stat().st_size, sha256, place, name))

    for artifact in artifacts:
        add("file", artifact.sha256, artifact.name)
    for artifact in packages:
        add("package", artifact.sha256, artifact.name)
    for one in found:
        digests = [*one.documents, *(blob.digest for blob in one.blobs)]
        for sha256 in (*(digest.partition(":")[2] for digest in digests), *platforms.get(one.digest, ())):
            add("image", sha256, _name(one))
    return [parts[sha256] for sha256 in sorted(parts)]
