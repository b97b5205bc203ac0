"""The cluster's name as Cilium gets it: the cluster file's, unless the profile gives another."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.load import load
from imgbuild.diagnostics.findings import Findings
from imgbuild.render.cilium import cilium_values
from tests.support.checking import findings, well_formed

NODES = "nodes:\n  - {name: n1, role: control-plane}\n"


def named(name: str, *sets: str) -> object:
    """``cluster.name`` as rendered."""
    loaded = load("debian12-efi", (), sets, None, Findings())
    assert loaded is not None
    cluster = Cluster(name=name, nodes=[Node(name="n1", role="control-plane")])
    return cilium_values(loaded.profile, cluster, cluster.nodes[0])["cluster"]


def test_the_cluster_file_s_name_reaches_cilium_and_the_profile_s_own_wins() -> None:
    assert named("lab") == {"name": "lab"}
    assert named("lab", "cilium.values.cluster.name=mesh-a") == {"name": "mesh-a"}
    assert named("lab", "cilium.values.cluster.id=3") == {"name": "lab", "id": 3}


@pytest.mark.parametrize(
    ("name", "sets", "codes"),
    [
        ("lab", (), []),
        ("a" * 32, (), []),
        ("a" * 33, (), ["IB640"]),
        ("lab.example.org", (), ["IB640"]),
        ("lab.example.org", ("cilium.values.cluster.name=lab",), []),
        ("lab.example.org", ("cilium.version=1.15.19",), []),
        ("lab.example.org", ("cilium.enabled=false", "kubernetes.kube_proxy=true"), []),
        ("default", (), []),
        ("default", ("cilium.values.cluster.id=3",), ["IB650"]),
    ],
)
def test_a_name_that_cilium_refuses_is_found_in_the_cluster_file(
    tmp_path: Path, name: str, sets: tuple[str, ...], codes: list[str]
) -> None:
    (tmp_path / "c.yaml").write_text(f"name: {name}\n{NODES}")
    found = [f for f in findings("debian12-efi", sets, cluster=tmp_path / "c.yaml") if not f.code.startswith("IB8")]
    assert [f.code for f in found] == codes
    well_formed(found)
    if codes == ["IB640"]:
        assert found[0].key == "name" and found[0].mark is not None and found[0].mark.line == 1
        assert "cilium.values.cluster.name" in found[0].hint
