"""Nodes of a test's cluster: a network, root file systems on it, and what stands in for Kubernetes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster.ground import Network, Node
from tests.support.cluster.programs import programs

MakeNode = Callable[[str], Node]


@contextmanager
def ground(folder: Path, standin: Path) -> Iterator[MakeNode]:
    """A network and nodes on it, until the end of the block."""
    if os.geteuid() != 0:
        pytest.skip("namespaces and overlays need root")

    def furnish(node: Node) -> None:
        """Kubernetes' programs: stand-ins, and the real kubectl and helm."""
        for name in ("kubeadm", "kubelet", "crictl"):
            node.install(standin, f"/usr/local/bin/{name}")
        for name, path in programs().items():
            node.install(path, f"/usr/local/bin/{name}")

    network = Network()
    nodes: list[Node] = []

    def make(name: str) -> Node:
        node = Node(folder / name, network, name, f"10.0.0.{len(nodes) + 1}", furnish)
        nodes.append(node)
        return node

    try:
        yield make
    finally:
        for node in nodes:
            node.cut()
        network.close()
