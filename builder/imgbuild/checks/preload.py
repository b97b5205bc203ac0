"""Container images in the disk image: whether there is an image for them, whether they are loaded, and kept."""

from __future__ import annotations

from packaging.version import Version

from imgbuild.checks.context import Context
from imgbuild.facts import kubelet
from imgbuild.facts.derive import since, version


def check(context: Context) -> None:
    """All findings about ``images``. Whether the registries have them is only asked by a build."""
    profile = context.profile
    if not profile.images.preload:
        if profile.images.extra:
            context.report(
                "IB836", ("images", "extra"), "these images are not put into the disk image: images.preload is false",
                "set images.preload: true, or remove images.extra",
            )  # fmt: skip
        return
    where = ("images", "preload")
    if profile.mode == "stock":
        context.report(
            "IB835", where, "a stock node boots the distribution's own image, which cannot get container images",
            "remove it (images.preload: false), and list archives of images in containerd.images: set-up fetches "
            "them; or build an image with mode: baked",
        )  # fmt: skip
    elif not profile.kubernetes.enabled:
        context.report(
            "IB835", where, "nothing loads these images: only first boot does, and kubernetes.enabled is false",
            "set images.preload: false",
        )  # fmt: skip
    else:
        _pinned(context)


def _pinned(context: Context) -> None:
    release = context.resolved.containerd
    if release is None or _pins(version(release)):
        return
    if kubelet.configuration(context.resolved).get("imageGCHighThresholdPercent") == 100:
        return
    context.report(
        "IB840", ("images", "preload"),
        f"containerd {release} has no pinned images: the kubelet removes those that are not in use when the disk is "
        "85 % full, and pulls them again later", "set kubernetes.kubelet.imageGCHighThresholdPercent: 100, or use "
        "containerd 1.6.22, 1.7.3 or later",
    )  # fmt: skip


def _pins(release: Version) -> bool:
    """Whether the kubelet of a node with this containerd keeps images with the label of pinned ones."""
    old = release.release[:2] <= (1, 6)
    return release >= since("containerd", "pinned_1_6" if old else "pinned_1_7")
