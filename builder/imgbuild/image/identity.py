"""The id of a disk image, known without what builds images."""

from __future__ import annotations

from collections.abc import Sequence

from imgbuild.config.lock_packages import Packages
from imgbuild.facts.images import Image
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.manifest import run_id
from imgbuild.render.nodefile import NodeTree, digest


def image_id(
    resolved: Resolved,
    install: NodeTree,
    node: NodeTree,
    preload: Sequence[Image] = (),
    live: NodeTree | None = None,
    packages: Packages | None = None,
) -> str:
    """The id of the image for this input: it depends on profile and layers, never on cluster or node.

    ``live``: what only its live root has, if there is one. With ``preload`` it depends on the images that the cluster
    uses, too: kube-vip's and the balancer's. ``packages``: those of a lock.
    """
    profile = resolved.profile
    layout = profile.image.model_dump_json().encode()
    arguments = " ".join(resolved.kernel_arguments).encode()
    names = [image.reference.encode() for image in preload]
    own = [b"live", digest(live).encode(), resolved.target.live.model_dump_json().encode()] if live is not None else []
    locked = [packages.digest.encode()] if packages is not None else []
    return run_id(
        [
            digest(install).encode(),
            digest(node).encode(),
            layout,
            profile.firmware.encode(),
            arguments,
            *names,
            *own,
            *locked,
        ]
    )
