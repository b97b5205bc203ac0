"""Keys of our sections under the names that Helm, Argo CD, fstab(5), the environment, netplan and kubeadm give them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from imgbuild.config.astray import CARDS, Key, pattern, written
from imgbuild.diagnostics.findings import format_path


def advice(key: Key) -> str:
    """What to write in place of the key; empty if it has none of these names."""
    rule = _RULES.get((pattern(key.section), key.word))
    return rule(key) if rule is not None else ""


def _match(key: Key) -> str:
    """netplan's way to find a card."""
    if "mac" in key.beside:
        return "remove it: the card is found by its mac"
    given = key.value if isinstance(key.value, dict) else {}
    return f"write {written((*key.section, 'mac'), given.get('macaddress')) or 'mac: the MAC of the card'}"


def _renamed(ours: str) -> Callable[[Key], str]:
    """Another name of the key ``ours`` in the same section."""

    def rule(key: Key) -> str:
        if key.beside.get(ours) is not None:
            return f"remove it: {ours} is there already"
        line = written((*key.section, ours), key.value)
        return f"write {line}" if line else f"did you mean {format_path((*key.section, ours))}?"

    return rule


def _manifest(key: Key) -> str:
    named = isinstance(key.value, str) and re.fullmatch(r"[\w./~-]{1,100}\.(?:ya?ml|json)", key.value, re.ASCII)
    ours = "manifest" if key.word in _MANIFESTS else "secret_values"
    return f"write {ours}: {{file: {key.value if named else 'PATH'}}}"


_MANIFESTS = ("file", "path", "yaml")
_THEIRS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "addons[]": {"repository": ("repo", "repoURL"), "values": ("set",), "name": ("release", "releaseName")},
    "disks[]": {
        "path": ("device", "dev", "disk"),
        "filesystem": ("fstype", "fsType", "fs", "type"),
        "mount": ("mountpoint", "mountPoint", "mount_point", "dir"),
        "options": ("mount_options", "mountOptions", "opts"),
    },
    "proxy": {
        "http": ("http_proxy", "HTTP_PROXY", "httpProxy", "url", "address"),
        "https": ("https_proxy", "HTTPS_PROXY", "httpsProxy"),
        "no_proxy": ("exclude", "bypass", "additional_no_proxy"),
    },
    **{card: {"name": ("set-name", "set_name", "setName", "device", "interface")} for card in CARDS},
}
"""Our keys by section, and what else they are called: in Helm and Argo CD, fstab(5), the environment, netplan."""
_IN_CLUSTER = "it belongs in the cluster file (--cluster), beside the name of the node: {}"
_SECRETS = "remove it: imgbuild makes the cluster's keys and its token, and keeps them in the secrets file (--secrets)"
_RULES: Mapping[tuple[str, str], Callable[[Key], str]] = {
    **{(at, word): _renamed(ours) for at, names in _THEIRS.items() for ours, words in names.items() for word in words},
    **{(card, "match"): _match for card in CARDS},
    **{("addons[]", word): _manifest for word in (*_MANIFESTS, "valuesFile", "values_file", "valueFiles")},
    **{
        (at, word): lambda _: _IN_CLUSTER.format("labels: {KEY: VALUE}")
        for at in ("", "kubernetes")
        for word in ("node_labels", "nodeLabels", "node-labels")
    },
    **{
        ("kubernetes", word): lambda _: _SECRETS
        for word in ("token", "bootstrap_token", "bootstrapToken", "certificateKey", "certificate-key")
    },
    **{
        ("network", word): lambda _: "a node's addresses belong in the cluster file (--cluster): nodes[].network"
        for word in ("version", "ethernets", "renderer")
    },
}
"""By the section, as the reference writes it, and the word."""
