"""What a build without a network lacks, all of it before the work starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import Image
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.pinned import base_file, pinned
from imgbuild.fetch.several import missing
from imgbuild.fetch.store import Store, not_there
from imgbuild.image.build import kept_plan
from imgbuild.image.requirements import Lack
from imgbuild.image.rootfs.base import kept_base
from imgbuild.image.rootfs.build import is_kept
from imgbuild.render.nodefile import NodeTree


def offline_lacks(
    resolved: Resolved, install: NodeTree, images: Sequence[Image], cache: Path, store: Store, steps: Steps
) -> Sequence[Lack]:
    """Everything that a build of this image, with these container images, would fetch."""
    found = []
    if images:
        names = ", ".join(image.reference for image in images)
        found.append(
            Lack(
                f"images.preload asks registries for the container images, which --offline does not: {names}",
                "give archives of these images in containerd.images, and set images.preload to false",
            )
        )
    plan = kept_plan(resolved, install, cache, steps)
    if plan is not None and is_kept(plan.key, cache):
        return found
    found.append(
        Lack(
            f"the cache {cache} has no root file system of this profile, and one is not built with --offline: "
            f"{resolved.target.name}'s packages come from its mirrors",
            "build the image once with a network, and copy that machine's cache (IMGBUILD_CACHE) here",
        )
    )
    base = base_file(resolved)
    kept = base is not None and kept_base(base.sha256, cache).tar.is_file()
    wanted = [artifact for artifact in pinned(resolved) if not (kept and artifact == base)]
    if absent := missing(wanted, store, steps):
        error = not_there(absent, store.folder)
        found.append(Lack(str(error), error.hint))
    return found
