"""Images and charts that still come from upstream at a site that has mirrors for the others."""

from __future__ import annotations

from collections.abc import Sequence, Set

from imgbuild.checks.context import Context
from imgbuild.diagnostics.findings import Path, few, format_path
from imgbuild.facts.images import UPSTREAM, Image, images, mirrored

_PUBLIC = frozenset({UPSTREAM, "quay.io", "ghcr.io", "gcr.io", "docker.io"})
"""Registries that a site would mirror; any other one is the site's own choice."""
_UPSTREAM_CHARTS = "https://helm.cilium.io"


def check(context: Context) -> None:
    """All findings about where images come from. A site without any mirror is assumed to reach them all."""
    profile = context.profile
    if not profile.kubernetes.enabled:
        return
    if profile.images.preload:
        return  # nodes pull none, and find those by digest, too
    found = images(context.resolved, context.cluster)
    if profile.containerd.images:
        _archives(context, [image for image in found if image.by_digest])
        return  # the content of an archive is not known: it may have all of them
    cause = _mirrors_are_used(context, {image.registry for image in found})
    if cause is None:
        return
    upstream: dict[str, list[str]] = {}
    for image in found:
        if image.registry in _PUBLIC and not mirrored(profile, image):
            upstream.setdefault(image.registry, []).append(image.name.rpartition("/")[2].partition(":")[0])
    if upstream:
        registries = "; ".join(f"{registry} ({few(names, 4)})" for registry, names in upstream.items())
        first = next(iter(upstream))
        context.report(
            "IB518", cause, f"nodes pull images from registries without a mirror here: {registries}",
            f"set {format_path(('containerd', 'registries', first))}: {{server: https://{first}, "
            "mirrors: [https://YOUR-MIRROR]}; imgbuild images lists every image with its address",
        )  # fmt: skip
    cilium = profile.cilium
    if cilium.enabled and cilium.chart is None and str(cilium.repository).rstrip("/") == _UPSTREAM_CHARTS:
        context.report(
            "IB519", cause, f"first boot downloads Cilium's chart from {_UPSTREAM_CHARTS}, which has no mirror here",
            "set cilium.chart to the chart's urls and sha256, or cilium.repository to a mirror of that repository",
        )  # fmt: skip


def _archives(context: Context, by_digest: Sequence[Image]) -> None:
    if by_digest:
        settings = ", ".join(f"{format_path((*image.key[:-1], 'useDigest'))}: false" for image in by_digest)
        context.report(
            "IB520", ("containerd", "images"),
            f"the chart requests {few([image.part for image in by_digest], 4)} by digest: an image that was loaded "
            "from an archive has its tag only, so the node pulls it again", f"set {settings}",
        )  # fmt: skip


def _mirrors_are_used(context: Context, registries: Set[str]) -> Path | None:
    """The setting that shows that this site has mirrors for the images of nodes; None if it has none."""
    profile = context.profile
    if profile.kubernetes.image_repository != UPSTREAM:
        return ("kubernetes", "image_repository")
    for name, registry in profile.containerd.registries.items():
        if name in registries and registry is not None and registry.mirrors:
            return ("containerd", "registries", name, "mirrors")
    return None
