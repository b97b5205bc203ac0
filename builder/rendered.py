"""Everything that a profile renders to, in memory: no clock, no network, no disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from builder.cluster import Cluster, Node
from builder.cluster_secrets import Secrets
from builder.findings import Findings
from builder.load import Loaded
from builder.nodefile import NodeTree, digest
from builder.outputs.cloud import cloud_files, cloud_sizes, forms, limit_findings
from builder.outputs.elements import element_files
from builder.outputs.include import FILE, include_archive, public, small_user_data
from builder.outputs.manifest import run_id
from builder.outputs.pxe import pxe_files
from builder.outputs.seed import seed_iso
from builder.outputs.tree import Group, OutFile
from builder.render.cluster_files import seed_tree
from builder.render.install import install_tree
from builder.render.metadata import meta_data, vendor_data
from builder.render.network import network_config
from builder.render.node import node_tree
from builder.render.userdata import user_data

SEED = frozenset({"user-data", "meta-data", "vendor-data", "network-config"})
"""NoCloud's file names; what they hold may be private."""

GROUPS = ("nodes", "cloud", "pxe", "elements")
"""The groups that are rendered, in the order they are written."""


@dataclass(frozen=True)
class Rendered:
    """``groups`` are what goes to disk; ``install`` and ``node`` are what the disk image is made from."""

    groups: Mapping[str, Group]
    install: NodeTree
    node: NodeTree
    run: str


def seed_files(
    loaded: Loaded, cluster: Cluster, node: Node, shared: Sequence[NodeTree], own: NodeTree
) -> dict[str, bytes]:
    """What one node's seed holds: the NoCloud file names and their bytes.

    ``shared`` is what every node has (in an image already, where there is one), ``own`` this node's part.
    """
    profile, target = loaded.profile, loaded.target
    trees = [own] if profile.mode == "baked" else [*shared, own]
    files = {"user-data": user_data(profile, target, cluster, node, trees)}
    files["vendor-data"] = vendor_data()
    network = network_config(profile, target, node)
    if network is not None:
        files["network-config"] = network
    files["meta-data"] = meta_data(cluster, node, *(files[name] for name in sorted(files)))
    return files


def render(
    loaded: Loaded, cluster: Cluster, epoch: int, findings: Findings, secrets: Secrets | None = None
) -> Rendered:
    """Render every group. What only shows in the rendered bytes (sizes) is added to ``findings``.

    ``epoch`` is the time that file systems and archives carry, in seconds.
    """
    profile, target = loaded.profile, loaded.target
    install = install_tree(profile, target)
    tree = node_tree(profile, target)
    nodes: dict[str, OutFile] = {}
    cloud: dict[str, OutFile] = {}
    seeds: dict[str, Mapping[str, bytes]] = {}
    shared_sum = ""
    if profile.mode == "stock" and profile.cloud.include_url is not None:
        archive = include_archive([public([install, tree])], epoch)
        shared_sum = hashlib.sha256(archive).hexdigest()
        cloud[FILE] = OutFile(archive)
    for node in cluster.nodes:
        own = seed_tree(profile, target, cluster, node, secrets)
        seed = seed_files(loaded, cluster, node, [install, tree], own)
        seeds[node.name] = seed
        for name, content in seed.items():
            nodes[f"{node.name}/{name}"] = OutFile(content, 0o600)
        nodes[f"{node.name}/seed.iso"] = OutFile(seed_iso(seed, epoch), 0o600)
        small = small_user_data(profile, target, cluster, node, [install, tree], own, shared_sum)
        made = forms(seed, small)
        rows = cloud_sizes(made)
        for name, content in cloud_files(profile, node, made, rows).items():
            cloud[f"{node.name}/{name}"] = OutFile(content, 0o600)
        findings.extend(limit_findings(profile, node.name, rows, loaded.layered.mark(("cloud", "providers"))))
    pxe = {
        name: OutFile(content, 0o600 if name.rpartition("/")[2] in SEED else 0o644)
        for name, content in pxe_files(profile, target, cluster, seeds).items()
    }
    groups: dict[str, Group] = {
        "nodes": nodes,
        "cloud": cloud,
        "pxe": pxe,
        "elements": element_files(target, install, tree),
    }
    return Rendered(groups, install, tree, run_id(_everything(groups, install, tree)))


def _everything(groups: Mapping[str, Group], install: NodeTree, node: NodeTree) -> Iterator[bytes]:
    """What a run's id is made of, a file at a time: all of a thousand nodes together is a hundred megabytes."""
    yield digest(install).encode()
    yield digest(node).encode()
    for name, group in sorted(groups.items()):
        for path, file in group.items():
            yield f"{name}/{path}".encode() + file.content
