"""Fixtures of the cluster's tests: a network, nodes on it, and what stands in for Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster.nodes import MakeNode, ground
from tests.support.cluster.programs import KUBERNETES
from tests.support.cluster.standins.pack import pack


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file that is kubeadm, kubelet and crictl."""
    return pack(tmp_path_factory.mktemp("standin") / "kube", KUBERNETES)[0]


@pytest.fixture
def make_node(tmp_path: Path, standin: Path) -> Iterator[MakeNode]:
    """Makes nodes 10.0.0.1, 10.0.0.2, … with Kubernetes' programs, not started yet."""
    with ground(tmp_path, standin) as make:
        yield make
