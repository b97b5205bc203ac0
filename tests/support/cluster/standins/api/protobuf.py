"""helm sends its Secrets in Protobuf (k8s.io/api/core/v1/generated.proto): read as the JSON that they stand for."""

from __future__ import annotations

import base64

from tests.support.cluster.standins.api.store import Object
from tests.support.cri.protobuf import Fields, decode, messages, string_map, text

MAGIC = b"k8s\0"


def read(body: bytes) -> Object:
    """The object in the envelope (runtime.Unknown). ValueError for anything but a Secret and options of a delete."""
    envelope = decode(body.removeprefix(MAGIC))
    kind = next(messages(envelope, 1))
    version, name = text(kind, 1), text(kind, 2)
    if name == "DeleteOptions":
        return {"apiVersion": version, "kind": name}
    if (version, name) != ("v1", "Secret"):
        raise ValueError(f"{name} in Protobuf: the stand-in reads a Secret only")
    secret = next(messages(envelope, 2))
    meta = next(messages(secret, 1))
    data = {text(entry, 1): base64.b64encode(_bytes(entry)).decode() for entry in messages(secret, 2)}
    metadata: Object = {"name": text(meta, 1), "namespace": text(meta, 3), "labels": string_map(meta, 11)}
    return {
        "apiVersion": version,
        "kind": name,
        "metadata": {key: value for key, value in metadata.items() if value},
        "type": text(secret, 3),
        "data": data,
    }


def _bytes(entry: Fields) -> bytes:
    value = entry.get(2, [b""])[-1]
    if isinstance(value, int):
        raise ValueError("a number where bytes are wanted")
    return value
