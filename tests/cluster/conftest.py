"""Fixtures of the cluster's tests: a network, nodes on it, and what stands in for Kubernetes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.ground import Network, Node
from tests.cluster.programs import KUBERNETES, programs
from tests.cluster.standins.pack import pack

MakeNode = Callable[[str], Node]


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file that is kubeadm, kubelet and crictl."""
    return pack(tmp_path_factory.mktemp("standin") / "kube", KUBERNETES)[0]


@pytest.fixture
def make_node(tmp_path: Path, standin: Path) -> Iterator[MakeNode]:
    """Makes nodes 10.0.0.1, 10.0.0.2, … with Kubernetes' programs, not started yet."""
    with ground(tmp_path, standin) as make:
        yield make


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
