"""Fields of the kubelet's configuration or of kubeadm's, under their own names, where keys of a profile belong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from imgbuild.config.astray import Key, written
from imgbuild.config.data import versions

_KINDS = {"ClusterConfiguration": "kubeadm", "KubeletConfiguration": "kubelet"}


@cache
def _fields() -> Mapping[str, str]:
    """The first words of the fields, with the key that they go below."""
    found: dict[str, str] = {}
    for kind, below in _KINDS.items():
        for types in versions(f"{below}-types")[kind].values():
            names = (name for row in types.values() for name in row.split())
            found |= {re.split(r"[.\[]", name)[0]: below for name in names}
    return found


def advice(key: Key) -> str:
    """Where a field goes, or what sets it in a profile; empty if the key is none."""
    if key.kind != "profile" or key.section not in ((), ("kubernetes",)):
        return ""
    owned = versions("kubernetes-owned")
    for kind in _KINDS:
        if key.word in owned[kind]:
            own = owned[kind][key.word]
            return f"did you mean {own}?" if own is not None else "remove it: there is nothing to set"
    # At the top, port or dns is more likely something else.
    below = _fields().get(key.word) if key.section or re.search("[A-Z]", key.word) else None
    if below is None:
        return ""
    line = "" if isinstance(key.value, dict | list) else written(("kubernetes", below, key.word), key.value)
    text = f"{below}: {{{line or f'{key.word}: …'}}}"
    return f"write {text}" if key.section else f"write kubernetes: {{{text}}}"
