"""Everything that a profile renders to: no clock, no network, no disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.layers import Layered
from imgbuild.config.secrets import Secrets
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.endpoint import reach
from imgbuild.facts.live import live_image
from imgbuild.facts.node_settings import Own
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.bootfile import PRIVATE
from imgbuild.outputs.bootline import boot_line
from imgbuild.outputs.cloud import ARCHIVE, CloudGroup, Forms, NodeSizes, SizeTable, limit_findings, size_table
from imgbuild.outputs.elements import element_files
from imgbuild.outputs.halves import in_halves
from imgbuild.outputs.include import include_archive, private, public, small_user_data
from imgbuild.outputs.lint import pxe, users_files
from imgbuild.outputs.manifest import run_id
from imgbuild.outputs.pxe import private_files, pxe_files
from imgbuild.outputs.pxenet import boot_arguments
from imgbuild.outputs.seed import IMAGE, SeedGroup
from imgbuild.outputs.tree import Group, OutFile
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.hostkey import host_key
from imgbuild.render.install import install_tree
from imgbuild.render.live import live_tree
from imgbuild.render.metadata import meta_data, vendor_data
from imgbuild.render.network import network_config
from imgbuild.render.node import node_tree
from imgbuild.render.nodefile import NodeTree, digest, without
from imgbuild.render.packed import same_everywhere
from imgbuild.render.seed_files import IN_SIGHT
from imgbuild.render.userdata import Diskless, packed_files, user_data

GROUPS = ("nodes", "cloud", "pxe", "pxe-private", "elements")
"""The groups that are rendered, in the order they are written."""


_MANY = 100
"""From how many nodes on another process renders half of them: starting it takes as long as ten."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What one node's seed is, as itself and as a live root, and its user-data for clouds."""

    seed: Mapping[str, bytes]
    diskless: Mapping[str, bytes] | None
    forms: Forms


def seed_files(
    resolved: Resolved,
    cluster: Cluster,
    node: Node,
    shared: Sequence[NodeTree],
    own: NodeTree,
    diskless: Diskless | None = None,
) -> dict[str, bytes]:
    """The content of one node's seed: the NoCloud file names and their bytes.

    ``shared`` is what every node has (already in the image, if there is one), ``own`` this node's part. ``diskless``:
    the seed is for the node as a live root.
    """
    trees, packed = [own], None
    if resolved.profile.mode == "stock":
        # A control plane has much of its own, and an archive for each takes a fifth of a second: there are few of them.
        more = [private(shared), without(own, IN_SIGHT)] if node.role == "control-plane" else []
        packed = packed_files(resolved, [public(shared), *more], own)
        trees = [private(shared), own]
    files = {"user-data": user_data(resolved, cluster, node, trees, packed=packed, diskless=diskless)}
    files["vendor-data"] = vendor_data()
    network = network_config(resolved, node)
    if network is not None:
        files["network-config"] = network
    known = {**files, "user-data": same_everywhere(files["user-data"], packed)}
    files["meta-data"] = meta_data(cluster, node, *(known[name] for name in sorted(known)))
    return files


@dataclass(frozen=True)
class _Shared:
    """What all nodes of one profile have. ``image``: whose files they have, if it is another one.

    Without a file of the user's, nothing but a build needs a baked node's files: `check` does not render them.
    """

    resolved: Resolved
    epoch: int
    image: _Shared | None = None

    @cached_property
    def trees(self) -> tuple[NodeTree, NodeTree]:
        """The files that install packages, and the node's."""
        return (install_tree(self.resolved), node_tree(self.resolved)) if self.image is None else self.image.trees

    @cached_property
    def archive(self) -> bytes | None:
        """What is for `cloud.include_url`, if it is set."""
        profile = self.resolved.profile
        if profile.mode == "baked" or profile.cloud.include_url is None:
            return None
        return include_archive([public(self.trees)], self.epoch)

    @cached_property
    def archive_sum(self) -> str:
        """The sha256 of the archive; empty without one."""
        return "" if self.archive is None else hashlib.sha256(self.archive).hexdigest()


def _own_shared(resolved: Resolved, everyone: _Shared) -> _Shared:
    """That of nodes with settings of their own, which cannot change an image (IB441)."""
    return _Shared(resolved, everyone.epoch, everyone if resolved.profile.mode == "baked" else None)


@dataclass(frozen=True)
class Rendered:
    """What goes to disk, and what the disk image is made from. `check` needs neither: it is rendered when it is read.

    ``seeds``: each node's, by its name; ``diskless``: the same for nodes that are a live root. ``special``: what nodes
    with settings of their own share. ``keys``: the seeds have the cluster's keys.
    """

    cluster: Cluster
    everyone: _Shared
    special: Mapping[str, _Shared]
    seeds: Mapping[str, Mapping[str, bytes]]
    diskless: Mapping[str, Mapping[str, bytes]]
    cloud: CloudGroup
    arguments: Mapping[str, Sequence[str]]
    keys: bool

    @property
    def install(self) -> NodeTree:
        """The files that install packages."""
        return self.everyone.trees[0]

    @property
    def node(self) -> NodeTree:
        """The node's files."""
        return self.everyone.trees[1]

    @cached_property
    def live(self) -> NodeTree | None:
        """What only the live root has; None if there is none."""
        resolved = self.everyone.resolved
        return live_tree(resolved) if live_image(resolved.profile) else None

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """What goes to disk."""
        resolved, cluster, keys = self.everyone.resolved, self.cluster, self.keys
        lines = [
            boot_line(self.special.get(node.name, self.everyone).resolved, cluster, node, self.arguments[node.name])
            for node in cluster.nodes
        ]
        boot = pxe_files(resolved, cluster, lines, keys=keys)
        seeds = private_files(resolved, cluster, {**self.seeds, **self.diskless}, lines, keys=keys)
        return {
            "nodes": SeedGroup(self.seeds, self.everyone.epoch),
            "cloud": self.cloud,
            "pxe": {name: OutFile(content) for name, content in boot.items()},
            PRIVATE: {name: OutFile(content, 0o600) for name, content in seeds.items()},
            "elements": element_files(resolved.target, self.install, self.node),
        }

    @cached_property
    def run(self) -> str:
        """The run's id."""
        return run_id(_everything(self.groups, self.install, self.node, self.everyone.epoch))


def _one_archive_a_url(
    everyone: _Shared, own: Sequence[Own], some: Mapping[tuple[str, ...], _Shared], findings: Findings
) -> None:
    """A node whose settings change its files needs its own archive, at another address."""
    at = {everyone.resolved.profile.cloud.include_url: everyone.archive_sum}
    for each in own:
        shared = some[each.names]
        url = shared.resolved.profile.cloud.include_url
        if at.setdefault(url, shared.archive_sum) != shared.archive_sum:
            each.add(
                findings, "IB442", ("cloud", "include_url"),
                f"the archive at {url} is for other nodes, but these settings change the files",
                f"set another cloud.include_url in the settings of these nodes, for cloud/{each.names[0]}/{ARCHIVE}",
            )  # fmt: skip


def _lint(everyone: _Shared, own: Sequence[Own], some: Mapping[tuple[str, ...], _Shared], findings: Findings) -> None:
    if everyone.resolved.profile.files:
        users_files.lint(everyone.resolved, *everyone.trees, findings)
    for each in own:
        if each.resolved.profile.files:
            said = Findings()
            users_files.lint(each.resolved, *some[each.names].trees, said)
            each.tell(said, findings)


def _made(shared: _Shared, cluster: Cluster, node: Node, secrets: Secrets | None, own: NodeTree) -> _Made:
    """One node's seeds and user-data. ``own``: the files of its seed."""
    resolved = shared.resolved
    trees = shared.trees if resolved.profile.mode == "stock" else ()  # an image has them
    seed = seed_files(resolved, cluster, node, trees, own)
    diskless = None
    if live_image(resolved.profile) and resolved.profile.pxe.boot == "diskless":
        key = host_key(secrets, node.name) if secrets is not None and not node.shared else None
        diskless = seed_files(resolved, cluster, node, trees, own, Diskless(key))
    small = small_user_data(resolved, cluster, node, trees, own, shared.archive_sum)
    return _Made(seed, diskless, Forms(seed["user-data"], small))


def render(
    resolved: Resolved,
    cluster: Cluster,
    epoch: int,
    findings: Findings,
    secrets: Secrets | None = None,
    own: Sequence[Own] = (),
    cluster_layered: Layered | None = None,
) -> Rendered:
    """Render the seeds, and all else as far as it must be read now: findings about it are added to ``findings``.

    ``epoch`` is the timestamp in file systems and archives, in seconds; ``own`` are the profiles of nodes that
    have settings of their own.

    Raises:
        HostError: the process that renders half of the nodes was killed.
    """
    everyone = _Shared(resolved, epoch)
    some = {each.names: _own_shared(each.resolved, everyone) for each in own}
    _one_archive_a_url(everyone, own, some, findings)
    _lint(everyone, own, some, findings)
    where = reach(resolved.profile, cluster)
    special = {name: shared for names, shared in some.items() for name in names}

    def made(node: Node) -> _Made:
        shared = special.get(node.name, everyone)
        return _made(
            shared, cluster, node, secrets, seed_tree(shared.resolved, cluster, node, secrets, where, resolved)
        )

    seeds: dict[str, Mapping[str, bytes]] = {}
    diskless: dict[str, Mapping[str, bytes]] = {}
    cloud: dict[str, tuple[Forms, SizeTable]] = {}
    sizes: list[NodeSizes] = []
    tables: dict[tuple[object, ...], SizeTable] = {}
    for node, one in zip(cluster.nodes, in_halves(made, cluster.nodes, _MANY), strict=True):
        shared = special.get(node.name, everyone)
        seeds[node.name] = one.seed
        if one.diskless is not None:
            diskless[node.name] = one.diskless
        providers = shared.resolved.profile.cloud.providers
        alike = (*providers, *one.forms.sizes.items())
        table = tables.get(alike) or tables.setdefault(alike, size_table(one.forms.sizes, providers))
        cloud[node.name] = one.forms, table
        mark = shared.resolved.layered.mark(("cloud", "providers"))
        sizes.append(NodeSizes(shared.resolved.profile, node.name, table, mark))
    archives = {
        name: shared.archive
        for name, shared in [("", everyone), *special.items()]
        if shared.archive is not None and (not name or shared.archive != everyone.archive)
    }
    arguments = boot_arguments(
        resolved.target, cluster, {name: seed.get("network-config") for name, seed in seeds.items()}
    )
    pxe.lint(resolved, cluster, cluster_layered, findings, arguments, keys=secrets is not None)
    findings.extend(limit_findings(sizes))
    return Rendered(
        cluster, everyone, special, seeds, diskless, CloudGroup(cloud, archives), arguments, keys=secrets is not None
    )


def _everything(groups: Mapping[str, Group], install: NodeTree, node: NodeTree, epoch: int) -> Iterator[bytes]:
    """The input of a run's id, one file at a time: all files of a thousand nodes are a hundred megabytes."""
    yield digest(install).encode()
    yield digest(node).encode()
    yield str(epoch).encode()
    for name, group in sorted(groups.items()):
        for path in group:
            if not path.endswith(f"/{IMAGE}"):  # it follows from its seed and the epoch
                yield f"{name}/{path}".encode() + group[path].content
