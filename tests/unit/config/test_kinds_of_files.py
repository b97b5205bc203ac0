"""A file of the wrong kind is one finding that tells what it is, and where it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from imgbuild.config.lock_file import read_lock
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.pipeline import Request, prepare
from tests.support.checking import ADMIN

CLUSTER = "name: lab\nnodes:\n  - {name: cp1, role: control-plane}\n"
CLOUD_CONFIG = "#cloud-config\nusers: [{name: admin}]\npackages: [vim]\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def errors(**files: str) -> Sequence[Finding]:
    """The errors of a run that is given these files, each readable by all."""
    for name, text in files.items():
        Path(f"{name}.yaml").write_text(text)
        Path(f"{name}.yaml").chmod(0o644)
    cluster, secrets = (Path(f"{name}.yaml") if name in files else None for name in ("cluster", "secrets"))
    layers = ("layer.yaml",) if "layer" in files else ()
    found = Findings()
    with pytest.raises(InvalidInput):
        profile = "profile.yaml" if "profile" in files else "debian12-efi"
        prepare(Request(profile, layers=layers, sets=(ADMIN,), cluster=cluster, secrets=secrets), found)
    return found.errors


@pytest.mark.parametrize(
    ("files", "what", "fix"),
    [
        ({"secrets": CLUSTER}, "secrets.yaml is a cluster file, not a file of a cluster's secrets", "--cluster"),
        ({"secrets": "extends: debian12-efi\n"}, "is a profile, not a file of a cluster's secrets", "--profile"),
        ({"secrets": "apiVersion: v1\nkind: Config\n"}, "is a Kubernetes manifest (kind: Config)", "imgbuild writes"),
        ({"profile": CLOUD_CONFIG}, "profile.yaml is a cloud-config of cloud-init, not a profile", "users, files"),
        ({"profile": f"## template: jinja\n{CLOUD_CONFIG}"}, "is a cloud-config of cloud-init", "users, files"),
        ({"layer": CLOUD_CONFIG}, "layer.yaml is a cloud-config of cloud-init, not a layer", "users, files"),
        ({"cluster": CLOUD_CONFIG}, "cluster.yaml is a cloud-config of cloud-init, not a cluster file", "users, files"),
    ],
)
def test_a_file_of_another_kind(files: dict[str, str], what: str, fix: str) -> None:
    (found,) = errors(**({"cluster": CLUSTER} if "secrets" in files else {}), **files)
    assert found.code == "IB116" and what in found.message and fix in found.hint


def test_a_profile_that_speaks_of_cloud_config_is_a_profile() -> None:
    (found,) = errors(profile="# not a #cloud-config\nextends: debian12-efi\nswap: {enabled: true}\n")
    assert found.code == "IB214"
    (found,) = errors(profile="#cloud-config\nextends: debian12-efi\nswap: {enabled: true}\n")
    assert found.code == "IB214"


@pytest.mark.parametrize("text", ["- a\n", "hello\n"])
def test_a_file_that_is_not_a_mapping(text: str, tmp_path: Path) -> None:
    (found,) = errors(cluster=text)
    assert (found.code, found.hint.startswith("start it with name: lab")) == ("IB103", True)
    found = next(each for each in errors(cluster=CLUSTER, secrets=text) if each.code == "IB103")
    assert found.hint.startswith("pass the file that imgbuild wrote beside the cluster file")
    (found,) = errors(profile=text)
    assert found.hint == "start it with a line such as `extends: centos7-efi`"
    lock, said = tmp_path / "imgbuild.lock", Findings()
    lock.write_text(text)
    assert read_lock(lock, said) is None and "imgbuild lock" in said.items[0].hint
