"""Container images in the disk image."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB835",
        ERROR,
        "No node would load the container images of the disk image",
        why=(
            "First boot loads them from the image. A stock node boots the distribution's image, and a node without "
            "Kubernetes has no first boot."
        ),
        fix="Set `images.preload: false`. `containerd.images` has archives for both modes.",
        bad="""
            mode: stock
            images: {preload: true}
        """,
        good="images: {preload: true}",
    ),
    Code(
        "IB836",
        ERROR,
        "Images are listed, but none is put into the disk image",
        why="`images.extra` adds to the images of `images.preload`, and does nothing without it.",
        fix="Set `images.preload: true`.",
        bad="images: {extra: ['docker.io/library/nginx:1.27.5']}",
        good="images: {preload: true, extra: ['docker.io/library/nginx:1.27.5']}",
    ),
    Code(
        "IB837",
        ERROR,
        "A container image is in no registry",
        why="Every mirror and the registry itself answered that they do not have it.",
        fix="Correct the name, or copy the image to a mirror. `imgbuild images --digests` looks up the same images.",
        setup="Build with `images.preload: true` and an image in `images.extra` that its registry does not have.",
    ),
    Code(
        "IB838",
        ERROR,
        "A registry does not answer, or refuses",
        why="A container image of the disk image cannot be fetched from it, and no other address has the image.",
        fix="Check address, login and certificate in `containerd.registries`, and the build host's network.",
        setup="Build with `images.preload: true` and a registry in `containerd.registries` that cannot be reached.",
    ),
    Code(
        "IB839",
        ERROR,
        "A container image is not the one that the nodes ask for",
        why=(
            "The registry has an image of this name with another digest, for another architecture or in a form that "
            "containerd does not read. A node would not use it."
        ),
        fix="Write the digest of the right image, or push that image. For a digest of the lock, run the named command.",
        setup="Build with `images.preload: true` and an image in `images.extra` with the digest of another one.",
    ),
    Code(
        "IB840",
        WARNING,
        "The kubelet may remove the container images of the disk image",
        why=(
            "Images that are not in use are removed when the disk is nearly full, unless containerd reports them as "
            "pinned. It can do so from 1.6.22 and 1.7.3 on. A node without a registry cannot pull them again."
        ),
        fix="Set `kubernetes.kubelet.imageGCHighThresholdPercent: 100`, which switches that off.",
        bad="""
            extends: [debian12-efi, distro-containerd]
            images: {preload: true}
        """,
        good="""
            extends: debian12-efi
            images: {preload: true}
        """,
        also=("IB208", "IB209"),
    ),
)
