"""The time that a node serves: a file of its seed, in the folder that chrony.conf includes."""

from __future__ import annotations

import pytest

from imgbuild.config.cluster import DEFAULT
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.node import node_tree
from tests.support.profiles import resolved

SERVE = ["time.allow=[10.0.0.0/24, 'fd00::7']", "time.local_stratum=10"]


@pytest.mark.parametrize(
    ("profile", "folder"), [("centos7-efi", "/etc/chrony.d"), ("debian12-efi", "/etc/chrony/conf.d")]
)
def test_what_a_node_serves_is_in_its_seed(profile: str, folder: str) -> None:
    found = resolved(profile, sets=SERVE)
    seed, node = seed_tree(found, DEFAULT, DEFAULT.nodes[0]).by_path(), node_tree(found).by_path()
    text = seed[f"{folder}/imgbuild-serve.conf"].content.decode().splitlines()
    assert text[1:] == ["allow 10.0.0.0/24", "allow fd00::7", "local stratum 10"]
    assert f"include {folder}/*.conf\n" in node[found.target.paths.chrony].content.decode()
    assert f"{folder}/README" in node  # chronyd does not start without the folder
    assert f"{found.target.services.chrony}" in seed["/etc/imgbuild/seed-files.conf"].content.decode()
    assert not [path for path in node if path.endswith("imgbuild-serve.conf")]


def test_by_default_a_node_serves_nothing() -> None:
    assert not [
        f.path for f in seed_tree(resolved("debian12-efi"), DEFAULT, DEFAULT.nodes[0]).files if "chrony" in f.path
    ]
