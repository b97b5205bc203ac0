"""The digests by which Cilium's chart requests images, read from the chart itself where the profile pins it.

A registry can have another image under the same tag, for example one that was packed again: a node would not use it.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from imgbuild.config.profile import Profile
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import Image
from imgbuild.fetch.oci_format import DIGEST
from imgbuild.fetch.pinned import chart_file
from imgbuild.fetch.store import Store
from imgbuild.image.surroundings import surroundings

_VALUES = "cilium/values.yaml"
_CLOUDS = ("generic", "aws", "azure", "alibabacloud")


def exact(
    profile: Profile, images: Sequence[Image], store: Store, steps: Steps, *, fetch: bool
) -> list[Image]:  # fmt: skip
    """The images with the chart's digests. ``fetch``: get the chart into the store if it is not there.

    Raises:
        FetchError: the chart cannot be fetched.
        HostError: the store cannot be used.
    """
    chart = chart_file(profile)
    if chart is None or not any(map(_asked, images)):
        return list(images)
    if not store.has(chart, steps):
        if not fetch or store.offline:
            return list(images)
        with surroundings(profile):
            store.fetch(chart, steps)
    values = _values(store.path(chart.sha256))
    return [replace(image, digest=_digest(values, image)) if _asked(image) else image for image in images]


def _asked(image: Image) -> bool:
    """Whether only the chart has the digest of this image."""
    return image.by_digest and image.digest is None and image.key[:2] == ("cilium", "values")


def _values(chart: Path) -> Mapping[str, Any]:
    """The chart's own values; none of a file that is not a chart, which helm reports."""
    try:
        with tarfile.open(chart) as tar:
            file = tar.extractfile(_VALUES)
            found = yaml.load(file.read(), yaml.CSafeLoader) if file is not None else None
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(values: Mapping[str, Any], image: Image) -> str | None:
    here: Any = values
    for part in image.key[2:-1]:  # without cilium.values before it, and repository after it
        here = here.get(part) if isinstance(here, dict) else None
    if not isinstance(here, dict):
        return None
    last = image.path.rpartition("/")[2]
    cloud = next((name for name in _CLOUDS if f"-{name}" in last), "")
    found = str(here.get(f"{cloud}Digest") or here.get("digest") or "")
    return found if DIGEST.fullmatch(found) else None
