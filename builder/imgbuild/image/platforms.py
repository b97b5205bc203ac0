"""Container images for all platforms of their index: a registry takes an index only with everything that it names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgbuild.config.profile import Profile
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import sources
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.images import Found
from imgbuild.fetch.oci_format import hex_of
from imgbuild.fetch.registry import AnswerError, Registries, registries
from imgbuild.fetch.store import Store
from imgbuild.image.surroundings import surroundings


def fetch_platforms(profile: Profile, found: Sequence[Found], store: Store, steps: Steps) -> dict[str, list[str]]:
    """Get the parts of all platforms into the store; the sha256 of each image's, by the digest of its index.

    Raises:
        HostError: a registry does not have all that its index names.
    """
    indexes = {one.digest: one for one in found if one.manifest != one.root}
    wanted = [one for digest, one in indexes.items() if _parts(digest, store, one.image.reference, steps) is None]
    if wanted:
        with surroundings(profile), store.workshop("platforms", steps) as work, registries(profile) as asked:
            for one in wanted:
                with steps.step(f"Fetch {one.image.reference} for all platforms"):
                    _fetch(asked, profile, one, work / "image", store, steps)
    complete = {}
    for digest, one in indexes.items():
        parts = _parts(digest, store, one.image.reference, steps)
        if parts is None:
            raise HostError(
                f"the index of {one.image.reference} names what its registry did not send", "push the image again"
            )
        complete[digest] = parts
    return complete


def _fetch(asked: Registries, profile: Profile, one: Found, place: Path, store: Store, steps: Steps) -> None:
    said = []
    for source in (source for source in sources(profile, one.image) if "pull" in source.capabilities):
        try:
            asked.copy(source, f"{one.image.path}@{one.digest}", place, whole=True)
        except AnswerError as error:
            said.append(f"{source.host}: {error}")
            shutil.rmtree(place, ignore_errors=True)
            continue
        for file in sorted(place.iterdir()):
            name = file.name.removesuffix(".manifest.json")
            if len(name) == 64:
                store.adopt(file, Artifact(one.image.reference, name, None, ()), steps)
        shutil.rmtree(place)
        return
    raise HostError(
        f"{one.image.reference} cannot be fetched for all platforms: {'; '.join(said)}",
        "copy the whole image to your mirror: skopeo copy --all; or leave out --all-platforms",
    )


def _parts(digest: str, store: Store, name: str, steps: Steps) -> list[str] | None:
    """The sha256 of an index and all below it; None if the store lacks some.

    Raises:
        HostError: a manifest of another platform, which nobody has read before, is not one.
    """
    found: list[str] = []
    try:
        for sha256 in _below(digest, store, name, steps):
            if sha256 is None:
                return None
            found.append(sha256)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise HostError(f"a manifest of {name} cannot be read", "push the image again") from error
    return found


def _below(digest: object, store: Store, name: str, steps: Steps) -> Iterator[str | None]:
    sha256 = hex_of(digest)
    if not store.has(Artifact(name, sha256, None, ()), steps):
        yield None
        return
    yield sha256
    document = json.loads(store.path(sha256).read_bytes())
    for entry in document.get("manifests", ()):
        yield from _below(entry["digest"], store, name, steps)
    blobs = [*([document["config"]] if "config" in document else []), *document.get("layers", ())]
    for each in dict.fromkeys(hex_of(blob["digest"]) for blob in blobs):
        yield each if store.has(Artifact(name, each, None, ()), steps) else None
