"""What a profile pins by sha256: the files that a build fetches before anything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from imgbuild.config.lock import Section
from imgbuild.config.mirrors import with_mirrors
from imgbuild.config.profile import Profile
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.address import shown
from imgbuild.fetch.artifact import Artifact


def pinned(resolved: Resolved) -> tuple[Artifact, ...]:
    """All of them: the base of an image that is built, and what is installed from files."""
    base = base_file(resolved)
    return (*([] if base is None else [base]), *node_files(resolved.profile))


def with_sizes(artifacts: Sequence[Artifact], lock: Section | None) -> list[Artifact]:
    """The same with the sizes that the lock has: a server that sends another one is told from a slow one at once."""
    sizes = {pin.sha256: pin.size for pin in lock.files.values()} if lock is not None else {}
    return [replace(artifact, size=sizes.get(artifact.sha256)) for artifact in artifacts]


def base_file(resolved: Resolved) -> Artifact | None:
    """The base, if it is fetched; None for a path of this host, and where there is none."""
    own, image, mirrors = resolved.profile.base, resolved.target.image.base, resolved.profile.mirrors
    if image is None or resolved.profile.mode != "baked":
        return None
    if own.source is None:
        return Artifact(image.url.rpartition("/")[2], image.sha256, None, tuple(with_mirrors([image.url], mirrors)))
    if "://" not in own.source or own.sha256 is None:
        return None
    return Artifact(shown(own.source).rpartition("/")[2], own.sha256, None, tuple(with_mirrors([own.source], mirrors)))


def node_files(profile: Profile) -> tuple[Artifact, ...]:
    """What the install scripts take from files (render/install.py): archives, binaries, a chart, images."""
    return tuple(_node_files(profile))


def chart_file(profile: Profile) -> Artifact | None:
    """Cilium's chart, if the profile pins it."""
    chart, version = profile.cilium.chart, profile.cilium.version
    return None if chart is None else Artifact(f"Cilium's chart {version}", chart.sha256, None, tuple(chart.urls))


def _node_files(profile: Profile) -> Iterator[Artifact]:
    if profile.containerd.source == "nerdctl-full":
        full = profile.containerd.nerdctl_full
        yield Artifact(f"nerdctl-full {full.version}", full.sha256, None, tuple(full.urls))
    kubernetes = profile.kubernetes
    if kubernetes.enabled and kubernetes.source == "binaries":
        for name, binary in sorted(kubernetes.binaries.items()):
            yield Artifact(f"{name} {kubernetes.version}", binary.sha256, None, tuple(binary.urls))
    if profile.helm.enabled:
        yield Artifact(f"helm {profile.helm.version}", profile.helm.sha256, None, tuple(profile.helm.urls))
    chart = chart_file(profile)
    if chart is not None and kubernetes.enabled and profile.cilium.enabled:
        yield chart
    for archive in profile.containerd.images:
        yield Artifact(f"the images {archive.name}", archive.sha256, None, tuple(archive.urls))
