"""What every check sees, and short ways to report a finding."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.layers import Layered, report
from imgbuild.config.moment import Moment
from imgbuild.config.node_network import Addresses
from imgbuild.config.profile import Profile
from imgbuild.config.target import Target
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path
from imgbuild.facts.derive import networks, read_interface
from imgbuild.facts.resolved import Resolved

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = tuple[Network, ...]


@dataclass(frozen=True)
class Context:
    """A profile with its target, the cluster, and the list of findings."""

    resolved: Resolved
    cluster: Cluster
    cluster_layered: Layered | None
    findings: Findings
    numbers: Sequence[int]
    """The nodes that this profile is for, by their places in the cluster file."""
    moment: Moment
    """When the run happens: checks do not read the clock."""
    cluster_recovered: frozenset[Path] = frozenset()
    """Places in the cluster file where a default replaces an invalid value."""

    @property
    def nodes(self) -> list[tuple[int, Node]]:
        """The nodes that this profile is for, each with its place in the cluster file."""
        return [(number, self.cluster.nodes[number]) for number in self.numbers]

    @property
    def profile(self) -> Profile:
        """The profile."""
        return self.resolved.profile

    @property
    def target(self) -> Target:
        """Its target."""
        return self.resolved.target

    def mark(self, *path: str | int) -> Mark | None:
        """Where the profile's value at ``path`` came from."""
        return self.resolved.layered.mark(path)

    def shipped(self, *path: str | int) -> bool:
        """Whether the value at ``path`` comes from a profile or layer that imgbuild ships, not from the user."""
        mark = self.mark(*path)
        return mark is not None and mark.shipped

    def report(
        self,
        code: str,
        path: Path,
        message: str,
        hint: str,
        *,
        lesser: bool = False,
        of_key: bool = False,
        who: Sequence[str] = (),
    ) -> None:
        """A finding about a key of the profile.

        ``lesser``: the milder case of a code that has two; ``of_key``: about the key itself, not its value; ``who``:
        the nodes for which it is wrong, whose names the message automatically begins with.
        """
        if not self._stands_in(path):
            mark = (self.resolved.layered.key_marks.get(path) if of_key else None) or self.mark(*path)
            self.findings.add(code, message, hint=hint, key=format_path(path), mark=mark, lesser=lesser, who=who)

    def report_whole(self, code: str, path: Path, message: str, hint: str) -> None:
        """A finding about what the profile lacks: at the user's line if there is one, else at the user's file."""
        if self._stands_in(path):
            return
        mark = self.mark(*path)
        if mark is not None and mark.shipped:
            root = self.resolved.layered.root
            mark = root if root is not None and not root.shipped else None
        self.findings.add(code, message, hint=hint, key=format_path(path), mark=mark)

    def _stands_in(self, path: Path) -> bool:
        """Whether an invalid value is at ``path``, around or inside it, or beside it in an item, and is reported.

        A section can seem to lack what is invalid in it, and an item is judged by all of its keys.
        """
        return any(_near(path, place) for place in self.resolved.loaded.recovered)

    def recovered(self, path: Path) -> bool:
        """The same of the cluster file, inside a node: other findings of a whole node do not come from one value."""
        return any(_near(path, place, 2 if path[0] == "nodes" else 0) for place in self.cluster_recovered)

    def cluster_finding(
        self,
        code: str,
        path: Path,
        message: str,
        hint: str,
        *,
        lesser: bool = False,
        who: Sequence[str] = (),
    ) -> None:
        """A finding about a key of the cluster file. ``lesser``: the milder case of a code that has two.

        Below a node the message automatically begins with the node's name, and one finding covers all nodes
        it applies to; ``who`` names others.
        """
        if self.recovered(path):
            return
        node = path[1] if path[0] == "nodes" and len(path) > 1 else None
        if isinstance(node, int) and not who:
            who = (self.cluster.nodes[node].name,)
        report(self.findings, self.cluster_layered, code, path, message, hint, lesser=lesser, who=who)


def _near(path: Path, place: Path, outer: int = 0) -> bool:
    """Whether an invalid value at ``place`` touches ``path``, whose first ``outer`` parts are not a section."""
    around = path[: len(place)] == place
    inside = len(path) > outer and place[: len(path)] == path
    beside = len(path) > outer + 1 and isinstance(path[-2], int) and path[:-1] == place[:-1]
    return around or inside or beside


def parts(node: Node) -> Iterator[tuple[Path, str, Addresses]]:
    """Every interface, bond and VLAN of a node: its path below ``network``, its name, what it carries."""
    if node.network is None:
        return
    for index, interface in enumerate(node.network.interfaces):
        yield ("interfaces", index), interface.name, interface
    for index, bond in enumerate(node.network.bonds):
        yield ("bonds", index), bond.name, bond
    for index, vlan in enumerate(node.network.vlans):
        yield ("vlans", index), vlan.name, vlan


def node_networks(nodes: Iterable[tuple[int, Node]]) -> Iterator[tuple[Path, Network]]:
    """Every network that one of these nodes is in, with its path in the cluster file."""
    for number, node in nodes:
        for place, _, carried in parts(node):
            for index, address in enumerate(carried.addresses):
                path = ("nodes", number, "network", *place, "addresses", index)
                yield path, read_interface(address).network


def cluster_networks(profile: Profile) -> list[tuple[str, Network]]:
    """The networks of pods and of Services, each with its name in messages; none without Kubernetes."""
    kubernetes = profile.kubernetes
    if not kubernetes.enabled:
        return []
    pods = [("pod", network) for network in networks(kubernetes.pod_cidr)]
    return [*pods, *(("Service", network) for network in networks(kubernetes.service_cidr))]


def overlap(a: Network, b: Network) -> bool:
    """Whether two networks share an address; those of different families never do."""
    return a.version == b.version and a.overlaps(b)


def inside(address: str, network: Network) -> bool:
    """Whether an address is in a network."""
    parsed = ipaddress.ip_address(address)
    return parsed.version == network.version and parsed in network
