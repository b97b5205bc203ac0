"""What a build without a network lacks, all of it before the work starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgbuild.config.lock_packages import Packages
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import Image
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.absent import not_there
from imgbuild.fetch.pinned import base_file, pinned
from imgbuild.fetch.several import missing
from imgbuild.fetch.store import Store
from imgbuild.image.build import kept_plan
from imgbuild.image.chart_digests import exact
from imgbuild.image.preload import kept
from imgbuild.image.requirements import Lack
from imgbuild.image.rootfs.base import kept_base
from imgbuild.image.rootfs.build import is_kept
from imgbuild.image.rootfs.locked import locked_files
from imgbuild.render.nodefile import NodeTree


def offline_lacks(
    resolved: Resolved, install: NodeTree, images: Sequence[Image], cache: Path, store: Store, steps: Steps,
    packages: Packages | None = None,
) -> Sequence[Lack]:  # fmt: skip
    """Everything that a build of this image would fetch: container images, packages of a lock, files.

    Raises:
        HostError: the store, the cache or the bundle cannot be read.
    """
    found = image_lacks(resolved.profile, images, store, steps)
    plan = kept_plan(resolved, install, cache, steps, packages)
    if plan is not None and is_kept(plan.key, cache):
        return found
    if packages is None:
        found.append(
            Lack(
                f"the cache {cache} has no root file system of this profile, and without packages in imgbuild.lock "
                f"none is built with --offline: {resolved.target.name}'s packages come from its mirrors",
                "on a machine with a network, run imgbuild lock with sudo and imgbuild fetch, and copy lock and store; "
                "or build the image once there, and copy that machine's cache (IMGBUILD_CACHE) here",
            )
        )
    base = base_file(resolved)
    kept = base is not None and kept_base(base.sha256, cache).tar.is_file()
    wanted = [artifact for artifact in pinned(resolved) if not (kept and artifact == base)]
    wanted += locked_files(resolved, packages)
    if absent := missing(wanted, store, steps):
        error = not_there(absent, store.folder)
        found.append(Lack(str(error), error.hint))
    return found


def image_lacks(profile: Profile, images: Sequence[Image], store: Store, steps: Steps) -> list[Lack]:
    """Why these container images cannot be had from the store alone.

    Raises:
        HostError: the store or the bundle cannot be read.
    """
    found = []
    images = exact(profile, images, store, steps, fetch=False)
    unpinned = [image.reference for image in images if image.digest is None]
    if unpinned:
        found.append(
            Lack(
                "the digest of these container images is not known, and --offline asks no registry: "
                + ", ".join(unpinned),
                "run imgbuild lock with the same options on a machine with a network, and copy imgbuild.lock here",
            )
        )
    lost = [
        image.reference for image in images if image.digest is not None and kept(profile, image, store, steps) is None
    ]
    if lost:
        found.append(
            Lack(
                f"container images that are not in the store {store.folder}: {', '.join(lost)}",
                "run imgbuild fetch with the same options and --store on a machine with a network, and carry the "
                "folder here",
            )
        )
    return found
