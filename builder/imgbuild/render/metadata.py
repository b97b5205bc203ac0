"""meta-data and vendor-data of a NoCloud seed."""

from __future__ import annotations

import hashlib

from imgbuild.config.cluster import Cluster, Node
from imgbuild.render.templates import static
from imgbuild.render.yamltext import quote


def meta_data(cluster: Cluster, node: Node, *content: bytes) -> bytes:
    """``content`` is everything else in the seed, from which the instance-id is derived.

    cloud-init considers a seed new, and runs it, only if the instance-id has changed.
    """
    sha = hashlib.sha256(f"{cluster.name}\n{node.name}\n".encode())
    for part in content:
        sha.update(len(part).to_bytes(8, "big") + part)
    return (
        f"instance-id: {quote(f'iid-{node.name}-{sha.hexdigest()[:12]}')}\nlocal-hostname: {quote(node.name)}\n"
    ).encode()


def vendor_data() -> bytes:
    """Nothing to do, in a form that every cloud-init reads."""
    return static("cloudinit", "vendor-data")
