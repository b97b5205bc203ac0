"""Addons: their kind, the documents of their manifests, and the images that can be read in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import yaml

from imgbuild.config.profile.addons import Addon

Kind = Literal["manifest", "url", "chart"]


def kind(addon: Addon) -> Kind | None:
    """What an addon is; None if it is none of them, or several."""
    if addon.chart is not None:
        return "chart" if addon.manifest is None else None
    if (addon.manifest is None) == (addon.url is None):
        return None
    return "manifest" if addon.manifest is not None else "url"


def documents(text: str) -> list[Any]:
    """The documents of a manifest, those of a List too.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    out: list[Any] = []
    for document in yaml.load_all(text, yaml.CSafeLoader):
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and "items" in document:
            items = document["items"]
            out += items if isinstance(items, list) else [document]
        elif document is not None:
            out.append(document)
    return out


def images(addon: Addon) -> Iterator[str]:
    """The container images that an addon's manifest names; none of a chart, whose templates only helm can render."""
    if addon.manifest is None:
        return
    try:
        found = documents(addon.manifest)
    except (yaml.YAMLError, ValueError):
        return
    for document in found:
        yield from _images(document)


def _images(value: Any) -> Iterator[str]:
    """The images of every list of containers below a value."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key in ("containers", "initContainers") and isinstance(child, list):
                yield from (str(c["image"]) for c in child if isinstance(c, Mapping) and c.get("image"))
            else:
                yield from _images(child)
    elif isinstance(value, list):
        for child in value:
            yield from _images(child)
