"""Copy container images and charts from a bundle to a site's registry, under the names that its nodes ask for.

An index is pushed only with all that it names, which registries require (distribution, registry/handlers/manifests.go):
a bundle made with --all-platforms has that. Otherwise the image for amd64 gets the tag.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from imgbuild.bundle.layout import BLOBS, ImageIn
from imgbuild.bundle.read import Bundle
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.diagnostics.findings import few
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import Image, sources
from imgbuild.facts.registries import Source, given, mirrors, source
from imgbuild.fetch.oci_format import CHART_ARCHIVE, CHART_CONFIG, MANIFEST, hex_of
from imgbuild.fetch.private_folder import private_folder
from imgbuild.fetch.registry import AnswerError, Registries, registries

_FOLDER = "imgbuild-push-"
_INDEX = "manifests"
_MOST = 1 << 20
"""Bytes of a Chart.yaml and of a chart's manifest."""


@dataclass(frozen=True)
class Pushed:
    """One image or chart. ``new``: it was not there before. ``note``: what nodes cannot do with it, or empty."""

    name: str
    place: str
    new: bool
    note: str = ""


def push(bundle: Bundle, profile: Profile, registry: str, charts: str, steps: Steps) -> list[Pushed]:
    """Copy everything that ``registry`` (HOST or HOST:PORT) lacks. ``charts``: the path of charts there.

    The bundle was verified. Scheme, login and certificates are those of the profile's ``containerd.registries``.

    Raises:
        UsageError: the profile does not have this registry, or not for all images.
        HostError: the registry refuses something; what was copied before stays.
    """
    places = _places(bundle.contents.images, profile, registry)
    site = _site(profile, registry)
    done: list[Pushed] = []
    with registries(profile) as asked, _readable():
        for image, (to, place) in places:
            with steps.step(f"Push {image.name}"):
                done.append(_image(asked, bundle, image, to, place))
        for name, sha256 in bundle.contents.charts.items():
            with steps.step(f"Push the chart {name}"):
                done.append(_chart(asked, bundle, sha256, site, charts))
    return done


@contextmanager
def _readable() -> Iterator[None]:
    """Manifests of a bundle that nobody signed can be anything."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HostError("a manifest in the bundle cannot be read", "make the bundle again: imgbuild bundle") from error


def _places(images: Sequence[ImageIn], profile: Profile, registry: str) -> list[tuple[ImageIn, tuple[Source, str]]]:
    """Where nodes ask that registry for each image: the source, and path:tag there."""
    found, lost = [], dict[str, None]()
    for one in images:
        name, _, digest = one.name.partition("@")
        image = Image(name, "", (), digest=digest or None)
        to = next((each for each in sources(profile, image) if each.host == registry), None)
        if to is None:
            lost[image.registry] = None
        else:
            found.append((one, (to, f"{image.path}:{image.tag}" if image.tag else f"{image.path}@{one.digest}")))
    if lost:
        raise UsageError(
            f"nodes of this profile do not ask {registry} for images of {few(list(lost), 5)}",
            f"give it to each of them in the profile, and pass that with --profile: "
            f'containerd.registries."NAME".mirrors: ["https://{registry}/PROJECT"]',
        )
    return found


def _site(profile: Profile, registry: str) -> Source:
    """The registry without a project, as the profile reaches it."""
    for _, one in given(profile):
        for each in (*mirrors(one), source(one.server)):
            if each.host == registry:
                return Source(each.scheme, each.host, "", each.skip_verify)
    raise UsageError(
        f"the profile does not have the registry {registry}",
        "name it in containerd.registries, as a mirror or a server",
    )


def _image(asked: Registries, bundle: Bundle, image: ImageIn, to: Source, place: str) -> Pushed:
    document = _document(bundle, image.digest)
    whole = document is None or _INDEX not in document or _has_all(bundle, image.digest)
    digest = image.digest if whole else image.manifest
    note = ""
    if not whole:
        at, _, tag = place.partition("@")
        place = f"{at}@{digest}" if tag else place
        if image.by_digest:
            note = (
                f"nodes request it by the digest of its index, which {to.host} takes only for all platforms: make the "
                "bundle with --all-platforms"
            )
    if _is_there(asked, to, place, digest):
        return Pushed(image.name, f"{to.place}/{place}", new=False, note=note)
    with private_folder(_FOLDER) as folder, _plain_errors(to):
        _lay(bundle, digest, folder)
        asked.push(folder, to, place)
    return Pushed(image.name, f"{to.place}/{place}", new=True, note=note)


def _document(bundle: Bundle, digest: str) -> Mapping[str, Any] | None:
    """A manifest or an index of the bundle; None if it is not there."""
    sha256 = hex_of(digest)
    if not bundle.has_blob(sha256):
        return None
    found = json.loads(bundle.text(f"{BLOBS}{sha256}"))
    return found if isinstance(found, dict) else None


def _has_all(bundle: Bundle, digest: str) -> bool:
    """Whether the bundle has everything below an index or a manifest."""
    document = _document(bundle, digest)
    if document is None:
        return False
    return all(_has_all(bundle, entry["digest"]) for entry in document.get(_INDEX, ())) and all(
        bundle.has_blob(hex_of(blob["digest"])) for blob in _blobs(document)
    )


def _blobs(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "config" in document:
        yield document["config"]
    yield from document.get("layers", ())


def _lay(bundle: Bundle, digest: str, folder: Path) -> None:
    """Write an image as skopeo's transport dir has it (containers-transports(5); directory_dest.go)."""
    (folder / "version").write_text("Directory Transport Version: 1.1\n")

    def lay(digest: str, name: str) -> None:
        content = bundle.text(f"{BLOBS}{hex_of(digest)}")
        (folder / name).write_bytes(content)
        document = json.loads(content)
        for entry in document.get(_INDEX, ()):
            lay(entry["digest"], f"{hex_of(entry['digest'])}.manifest.json")
        for each in {hex_of(blob["digest"]) for blob in _blobs(document)}:
            if not (folder / each).exists():
                with (folder / each).open("xb") as out:
                    bundle.copy_blob(each, out)

    lay(digest, "manifest.json")


def _chart(asked: Registries, bundle: Bundle, sha256: str, to: Source, charts: str) -> Pushed:
    """A chart as helm pushes it (HIP 6): a layer with the archive, and Chart.yaml as JSON for the configuration."""
    with private_folder(_FOLDER) as folder:
        with (folder / sha256).open("xb") as out:
            bundle.copy_blob(sha256, out)
        about = _about(folder / sha256)
        config = json.dumps(about, separators=(",", ":"), sort_keys=True).encode()
        (folder / hashlib.sha256(config).hexdigest()).write_bytes(config)
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": _descriptor(CHART_CONFIG, config),
            "layers": [{"mediaType": CHART_ARCHIVE, "digest": f"sha256:{sha256}",
                        "size": (folder / sha256).stat().st_size}],
        }).encode()  # fmt: skip
        (folder / "manifest.json").write_bytes(manifest)
        (folder / "version").write_text("Directory Transport Version: 1.1\n")
        tag = str(about["version"]).replace(
            "+", "_"
        )  # + is not a character of tags (helm.sh, "Use OCI-based registries")
        place = f"{charts}/{about['name']}:{tag}" if charts else f"{about['name']}:{tag}"
        label = f"chart {about['name']} {about['version']}"
        if _is_there(asked, to, place, f"sha256:{hashlib.sha256(manifest).hexdigest()}"):
            return Pushed(label, f"{to.place}/{place}", new=False)
        with _plain_errors(to):
            asked.push(folder, to, place)
    return Pushed(label, f"{to.place}/{place}", new=True)


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def _about(chart: Path) -> dict[str, Any]:
    """Chart.yaml of an archive: NAME/Chart.yaml.

    Raises:
        HostError: it is not a chart.
    """
    try:
        with tarfile.open(chart, "r:gz") as tar:
            for member in tar:
                if member.isreg() and member.name.count("/") == 1 and member.name.endswith("/Chart.yaml"):
                    file = tar.extractfile(member)
                    found = yaml.load(file.read(_MOST), yaml.CSafeLoader) if file is not None else None
                    if isinstance(found, dict) and found.get("name") and found.get("version"):
                        return found
                    break
    except (tarfile.TarError, OSError, EOFError, yaml.YAMLError) as error:
        raise HostError(f"a chart in the bundle cannot be read: {error}", "lock it again") from error
    raise HostError("a chart in the bundle has no Chart.yaml with name and version", "lock it again")


def _is_there(asked: Registries, to: Source, place: str, digest: str) -> bool:
    """Whether the registry has exactly this under that name."""
    with _plain_errors(to):
        try:
            content = asked.manifest(to, place)
        except AnswerError as error:
            if error.absent:
                return False
            if error.login and not error.certificate:  # some deny access to what does not exist yet: pushing tells
                return False
            raise
    return f"sha256:{hashlib.sha256(content).hexdigest()}" == digest


@contextmanager
def _plain_errors(to: Source) -> Iterator[None]:
    """What a registry answers, as an error with its fix."""
    try:
        yield
    except AnswerError as error:
        key = f"containerd.registries, at the entry of {to.base}"
        hint = "check the registry's address and the network; one without TLS needs http:// in containerd.registries"
        if error.certificate:
            hint = (
                "renew the registry's certificate if it has expired; else put the authority that signed it into ca of "
                f"{key}"
            )
        elif error.login:
            tls = "--tls-verify=false " if to.plain or to.skip_verify else ""
            hint = f"set auth of {key}, of an account that may push; or log in: skopeo login {tls}{to.host}"
        raise HostError(f"{to.host} does not take it: {error}", hint) from error
