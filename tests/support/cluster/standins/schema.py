"""Strict reading of kubeadm's and the kubelet's configuration.

schema.json holds each kind's fields and their types, taken from the Go types of kubeadm v1beta3 and v1beta4 and of
kubelet.config.k8s.io/v1beta1 (kubernetes 1.36). "*" stands for any key, "any" for any value.
"""

from __future__ import annotations

import functools
import json
import pkgutil
from typing import Any

import yaml

Config = dict[str, Any]


class Refused(Exception):  # noqa: N818 - said as the real program's own last words
    """The configuration or the machine is not fit; the text is what the program prints."""


class _Loader(yaml.SafeLoader):
    """A key twice is an error, as it is to kubeadm."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise Refused(f'error converting YAML to JSON: yaml: key "{twice[0]}" already set in map')
        return super().construct_mapping(node, deep)


@functools.cache
def _table() -> dict[str, Any]:
    data = pkgutil.get_data("tests.support.cluster.standins", "schema.json")
    assert data is not None
    table: dict[str, Any] = json.loads(data)
    return table


def read(text: str, kubeadm_minor: int) -> dict[str, Config]:
    """The documents by kind. Raises Refused with every unknown field, wrong type and wrong version."""
    documents: dict[str, Config] = {}
    try:
        loaded = list(yaml.load_all(text, _Loader))
    except yaml.YAMLError as error:
        raise Refused(f"error unmarshaling configuration: {error}") from error
    for document in loaded:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise Refused("a document of the configuration is no mapping")
        version, kind = str(document.get("apiVersion", "")), str(document.get("kind", ""))
        known = _known_versions(kubeadm_minor)
        if version.startswith("kubeadm.k8s.io/") and version not in known:
            old = version in ("kubeadm.k8s.io/v1beta1", "kubeadm.k8s.io/v1beta2", "kubeadm.k8s.io/v1beta3")
            said = "use an older kubeadm to migrate it" if old else "no such version in this kubeadm"
            raise Refused(f'your configuration file uses an unsupported API spec: "{version}" ({said})')
        fields = _table().get(f"{version} {kind}")
        if fields is None:
            raise Refused(f'no kind "{kind}" is registered for version "{version}" in scheme')
        if kind in documents:
            raise Refused(f"invalid configuration: kind {kind} is specified twice")
        faults = list(_faults(document, fields, ""))
        if faults:
            raise Refused(
                f"error unmarshaling configuration {version}, Kind={kind}: strict decoding error: " + ", ".join(faults)
            )
        documents[kind] = document
    return documents


def _known_versions(minor: int) -> set[str]:
    """v1beta3 from 1.22 to 1.36, v1beta4 from 1.31 on."""
    known = {"kubeadm.k8s.io/v1beta3"} if minor <= 36 else set()
    return known | ({"kubeadm.k8s.io/v1beta4"} if minor >= 31 else set())


def _faults(value: Any, wanted: Any, at: str) -> Any:
    if value is None or wanted == "any":
        return
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            yield f'"{at}": a mapping is wanted'
            return
        for key, inner in value.items():
            field = f"{at}.{key}" if at else str(key)
            if key not in wanted and "*" not in wanted:
                yield f'unknown field "{field}"'
            else:
                yield from _faults(inner, wanted.get(key, wanted.get("*")), field)
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            yield f'"{at}": a list is wanted'
            return
        for place, inner in enumerate(value):
            yield from _faults(inner, wanted[0], f"{at}[{place}]")
    else:
        types: Any = {"string": str, "bool": bool, "int": int, "number": (int, float)}[wanted]
        if not isinstance(value, types) or (wanted == "int" and isinstance(value, bool)):
            yield f'"{at}": {wanted} is wanted, not {json.dumps(value)}'
