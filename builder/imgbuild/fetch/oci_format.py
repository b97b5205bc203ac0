"""Names of the OCI image specification 1.1, of Docker's before it, and of Helm's charts."""

from __future__ import annotations

import re

IMAGE = "application/vnd.oci.image"
INDEX = f"{IMAGE}.index.v1+json"
MANIFEST = f"{IMAGE}.manifest.v1+json"
CONFIG = f"{IMAGE}.config.v1+json"
LAYER = f"{IMAGE}.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART_ARCHIVE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

LAYOUT = '{"imageLayoutVersion":"1.0.0"}'
"""The content of the file oci-layout."""
EMPTY_LAYOUT = {"oci-layout": LAYOUT, "index.json": f'{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}'}
"""The files of a layout without images."""
TITLE = "org.opencontainers.image.title"
"""The annotation with the name of a layer's file."""
REFERENCE = "org.opencontainers.image.ref.name"
"""The annotation with an image's name in a layout; skopeo finds it by that."""

DIGEST = re.compile("sha256:[0-9a-f]{64}")


def hex_of(digest: object) -> str:
    """The hexadecimal part of a digest, which becomes the name of a file.

    Raises:
        ValueError: it is not a sha256.
    """
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ValueError(digest)
    return digest.removeprefix("sha256:")
