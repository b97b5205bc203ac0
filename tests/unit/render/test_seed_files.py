"""Files of the seed: in both modes, secrets for root alone, and nothing for a node without such settings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from imgbuild.config.cluster import Cluster, Node
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.endpoint import Reach
from imgbuild.facts.resolved import Resolved
from imgbuild.pipeline import Request, prepare
from imgbuild.render import seed_files
from imgbuild.render.nodefile import NodeFile, SeedFiles
from tests.support import travels
from tests.support.checking import ADMIN
from tests.support.cloudinit.words import table


def topic(resolved: Resolved, cluster: Cluster, node: Node, where: Reach) -> Iterator[SeedFiles]:
    secret = NodeFile("/etc/pet/pin", f"pin of {node.name}\n".encode(), 0o600)
    open_file = NodeFile("/etc/systemd/system/pet.service.d/10.conf", b"[Service]\n")
    yield SeedFiles((secret,), ("feed --pet",), ("pet.service", "cage.service"))
    yield SeedFiles((open_file,), (), ("pet.service",))


def seeds(mode: str) -> dict[str, bytes]:
    ready = prepare(Request("debian12-efi", (), [ADMIN], mode), Findings())
    found = {path: file.content for group in ("nodes", "cloud") for path, file in ready.rendered.groups[group].items()}
    # Neither the image nor an archive on a web server has any.
    trees = (*ready.rendered.install.files, *ready.rendered.node.files)
    assert not [file for file in trees if b"pin of" in file.content or file.path == seed_files.CONF]
    return found


@pytest.mark.parametrize("mode", ["baked", "stock"])
def test_they_are_in_the_seed_and_in_the_clouds_user_data(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without = seeds(mode)
    assert not [path for path, content in without.items() if b"imgbuild-seed-files" in content]
    monkeypatch.setattr(seed_files, "TOPICS", (topic,))
    found = seeds(mode)
    for path in ("node1/user-data",):
        files = {file["path"]: file for file in travels.files(yaml.safe_load(found[path]))}
        assert files["/etc/pet/pin"]["content"] == "pin of node1\n"
        assert files["/etc/pet/pin"]["permissions"] == "0600"
        assert files[seed_files.SCRIPT]["permissions"] == "0755"
        conf = files[seed_files.CONF]["content"]
        assert "'feed --pet' /etc/pet/pin" in conf
        assert "pet.service '/etc/pet/pin /etc/systemd/system/pet.service.d/10.conf'" in conf
        assert "cage.service /etc/pet/pin" in conf
    # In stock mode the files of a control plane are in the archive.
    seed = b"pin of node1" if mode == "baked" else next(
        line for line in found["node1/user-data"].splitlines() if len(line) > 4096
    )  # fmt: skip
    assert [path for path in found if path.endswith(".iso") and seed in found[path]]


def test_every_targets_cloud_init_runs_the_script() -> None:
    for modules in table()["modules"].values():
        assert modules.index("scripts-per-boot") < modules.index("scripts-user")
