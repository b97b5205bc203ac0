"""Kubernetes objects that several systems have in common."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from imgbuild.config.cluster import Node
from imgbuild.export.given import Given, Unit
from imgbuild.export.yamldoc import Value, documents
from imgbuild.outputs.tree import OutFile

MAX_SECRET = 1 << 20
"""Bytes of a Secret's data (Kubernetes: pkg/apis/core/types.go, MaxSecretSize)."""


def metadata(given: Given, name: str, unit: Unit) -> dict[str, Value]:
    """An object's metadata. A node's name is a valid name of an object: both are DNS names in lower case."""
    labels = {"app.kubernetes.io/managed-by": "imgbuild", "imgbuild/role": unit.node.role}
    return {"name": name, "namespace": given.options.namespace, "labels": labels}


def secret(given: Given, unit: Unit, name: str, data: Mapping[str, bytes]) -> dict[str, Value]:
    """A Secret. Its values are in base64, which no YAML parser changes."""
    size = sum(map(len, data.values()))
    if size > MAX_SECRET:
        too_large(given, unit.node, "a Secret", size, MAX_SECRET)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(given, name, unit),
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def too_large(given: Given, node: Node, what: str, size: int, limit: int) -> None:
    """A finding: the seed does not fit."""
    given.tell(
        "IB888", node, (), f"the seed is {size} bytes, {size - limit} over the limit of {what} ({limit})",
        "make files: and run: shorter, or build an image (mode: baked), which has most of it",
    )  # fmt: skip


def public(objects: Sequence[Mapping[str, Value]]) -> OutFile:
    """A file of objects that have nothing private."""
    return OutFile(documents(objects))


def private(objects: Sequence[Mapping[str, Value]]) -> OutFile:
    """A file of objects for its owner alone."""
    return OutFile(documents(objects), 0o600)
