"""The software bill of materials of a disk image, as CycloneDX 1.6 in JSON.

Packages from the list in the root file system, what was unpacked from archives (pinned by the profile), Cilium's chart
and container images. The same image gives the same bytes: nothing is random, and the only date is the image's own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from imgbuild import __version__
from imgbuild.config.lock_packages import Packages
from imgbuild.config.profile import Profile
from imgbuild.config.target import Target
from imgbuild.fetch.address import shown
from imgbuild.fetch.images import Found
from imgbuild.image.rootfs.packages import Package

_SUFFIX = ".cdx.json"


@dataclass(frozen=True)
class Contents:
    """What a disk image was made of."""

    name: str
    profile: Profile
    target: Target
    packages: Sequence[Package]
    images: Sequence[Found]
    disk: str
    """The digest of the disk: blocks_sha256 in the manifest."""
    epoch: int
    """The image's own date (seconds)."""
    locked: Packages | None = None
    """The packages of the lock that it was built from."""


def file_name(name: str) -> str:
    """The name of the file beside the image ``name``, as CycloneDX recommends it for JSON."""
    return f"{name}{_SUFFIX}"


def sbom(contents: Contents) -> bytes:
    """The document."""
    target = contents.target
    root = Component(
        type=ComponentType.OPERATING_SYSTEM,
        name=contents.name,
        version=contents.disk[:12],
        bom_ref="image",
        description=f"imgbuild's disk image of {target.name}",
        properties=[Property(name="imgbuild:blocks_sha256", value=contents.disk)],
    )
    locked = contents.locked.packages if contents.locked is not None else ()
    files = {(package.name, package.version): package.sha256 for package in locked}
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_OID, contents.disk))
    bom.metadata.timestamp = datetime.fromtimestamp(contents.epoch, UTC)
    bom.metadata.component = root
    bom.metadata.tools.components.add(
        Component(type=ComponentType.APPLICATION, name="imgbuild", version=__version__, bom_ref="imgbuild")
    )
    bom.components.update(
        [
            *(_package(package, target, files.get((package.name, package.version))) for package in contents.packages),
            *_files(contents.profile),
            *(_image(found) for found in contents.images),
        ]
    )
    bom.register_dependency(root, bom.components)
    return f"{JsonV1Dot6(bom).output_as_string(indent=1)}\n".encode()


def _component(kind: ComponentType, purl: PackageURL, **more: Any) -> Component:
    return Component(
        type=kind, name=purl.name, version=purl.version, purl=purl, bom_ref=purl.to_string(), **more
    )  # fmt: skip


def _package(package: Package, target: Target, sha256: str | None) -> Component:
    """``sha256``: that of the package's file, if a lock has it."""
    release, qualifiers = package.version, {"arch": package.arch, "distro": target.id}
    kind = "deb" if target.package_manager == "apt" else "rpm"
    epoch, colon, rest = release.partition(":")
    if kind == "rpm" and colon:  # purl-spec, types/rpm: the epoch is a qualifier
        release, qualifiers["epoch"] = rest, epoch
    family = "debian" if kind == "deb" else "centos"
    return _component(
        ComponentType.LIBRARY,
        PackageURL(kind, family, package.name, release, qualifiers),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 is not None else [],
        licenses=[DisjunctiveLicense(name=package.license)] if package.license else [],
        properties=[
            Property(name="imgbuild:origin", value=package.origin),
            Property(name="imgbuild:repository", value=shown(package.repository)),
        ],
    )


def _files(profile: Profile) -> Iterator[Component]:
    """What is pinned by its sha256, by name and version."""
    if profile.containerd.source == "nerdctl-full":
        archive = profile.containerd.nerdctl_full
        yield _file("nerdctl-full", archive.version, archive.urls, archive.sha256)
    kubernetes = profile.kubernetes
    if kubernetes.enabled and kubernetes.source == "binaries":
        for name, binary in sorted(kubernetes.binaries.items()):
            yield _file(name, None if name == "crictl" else kubernetes.version, binary.urls, binary.sha256)
    if profile.helm.enabled:
        yield _file("helm", profile.helm.version, profile.helm.urls, profile.helm.sha256)
    chart = profile.cilium.chart
    if kubernetes.enabled and profile.cilium.enabled and chart is not None:
        yield _file("cilium-chart", profile.cilium.version, chart.urls, chart.sha256)
    for images in profile.containerd.images:
        yield _file(f"images-{images.name}", None, images.urls, images.sha256)


def _file(name: str, version: str | None, urls: Sequence[str], sha256: str) -> Component:
    return _component(
        ComponentType.APPLICATION,
        PackageURL("generic", None, name, version, {"checksum": f"sha256:{sha256}"}),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(shown(url))) for url in urls
        ],
    )


def _image(found: Found) -> Component:
    image = found.image
    place = f"{image.registry}/{image.path}"
    qualifiers: Mapping[str, str] = {
        "repository_url": place, "arch": "amd64", **({"tag": image.tag} if image.tag else {}),
    }  # fmt: skip
    return _component(
        ComponentType.CONTAINER,
        PackageURL("oci", None, place.rpartition("/")[2], found.digest, dict(qualifiers)),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=found.digest.partition(":")[2])],
        properties=[Property(name="imgbuild:part", value=image.part)],
    )
