"""A renamed key is accepted with a warning at its line. The rows are thrown away after each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from imgbuild import __version__
from imgbuild.config import renamed
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.load import Loaded, load
from imgbuild.config.renamed import CLUSTER, EACH, PROFILE, Renamed
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.severity import Severity
from tests.support.checking import findings as checked

ZONE = Renamed(("clock", "zone_name"), ("time", "zone"), "0.9")
MINE = """\
extends: debian12-efi
# a comment
clock:
  zone_name: Europe/Berlin
"""


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Renamed(("users", EACH, "public_keys"), ("users", EACH, "ssh_keys"), "0.9")
    nodes = Renamed(("nodes", EACH, "hardware_address"), ("nodes", EACH, "mac"), "0.9")
    monkeypatch.setattr(renamed, "PROFILE", (ZONE, keys))
    monkeypatch.setattr(renamed, "CLUSTER", (nodes,))


def read(text: str, tmp_path: Path, *sets: str) -> tuple[Loaded, list[Finding]]:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    findings = Findings()
    found = load(str(path), [], sets, None, findings)
    assert found is not None
    return found, findings.items


def test_the_old_name_sets_the_new_key_and_is_a_warning_at_its_line(tmp_path: Path) -> None:
    found, (warning,) = read(MINE, tmp_path)
    assert found.profile.time.zone == "Europe/Berlin"
    assert (warning.code, warning.severity, warning.key) == ("IB115", Severity.WARNING, "clock.zone_name")
    assert warning.mark is not None and (warning.mark.file, warning.mark.line) == (str(tmp_path / "mine.yaml"), 4)
    assert "time.zone in imgbuild 0.9" in warning.message and warning.hint == "write time.zone"
    assert found.layered.history[("time", "zone")][-1][0].line == 4  # what `explain` shows


def test_the_new_name_is_no_warning(tmp_path: Path) -> None:
    found, warnings = read("extends: debian12-efi\ntime: {zone: Europe/Berlin}\n", tmp_path)
    assert found.profile.time.zone == "Europe/Berlin"
    assert not warnings


def test_a_wrong_value_under_the_old_name_is_told_at_its_line(tmp_path: Path) -> None:
    _, findings = read(MINE.replace("Europe/Berlin", "3"), tmp_path)
    (error,) = [f for f in findings if f.severity == Severity.ERROR]
    assert error.key == "time.zone" and error.mark is not None and error.mark.line == 4


def test_both_names_in_one_file_are_an_error(tmp_path: Path) -> None:
    _, findings = read(f"{MINE}time: {{zone: UTC}}\n", tmp_path)
    first = findings[0]
    assert (first.code, first.severity, first.hint) == ("IB115", Severity.ERROR, "keep time.zone")


def test_a_later_layer_with_either_name_wins(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(MINE)
    found, _ = read("extends: base.yaml\ntime: {zone: Asia/Tokyo}\n", tmp_path)
    assert found.profile.time.zone == "Asia/Tokyo"
    (tmp_path / "base.yaml").write_text("extends: debian12-efi\ntime: {zone: Asia/Tokyo}\n")
    found, _ = read(MINE.replace("debian12-efi", "base.yaml"), tmp_path)
    assert found.profile.time.zone == "Europe/Berlin"


def test_the_old_name_in_set(tmp_path: Path) -> None:
    found, (warning,) = read("extends: debian12-efi\n", tmp_path, "clock.zone_name=Asia/Tokyo")
    assert found.profile.time.zone == "Asia/Tokyo"
    assert warning.code == "IB115" and warning.mark is not None and warning.mark.file == "--set"


def test_each_item_of_a_list(tmp_path: Path) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1bnVzZWRrZXlvZnRoZXRlc3RzdW51c2Vka2V5 test"
    users = "".join(f"  - {{name: u{n}, public_keys: ['{key}']}}\n" for n in range(2))
    found, warnings = read(f"extends: debian12-efi\nusers:\n{users}", tmp_path)
    assert [len(user.ssh_keys) for user in found.profile.users] == [1, 1]
    assert [w.key for w in warnings] == ["users[0].public_keys", "users[1].public_keys"]


def test_the_cluster_file_and_the_settings_of_a_node(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text("""\
name: lab
nodes:
  - name: cp1
    role: control-plane
    hardware_address: "52:54:00:00:00:01"
    settings:
      users: [{name: ops, public_keys: []}]
""")
    findings = Findings()
    cluster = load_cluster(path, findings)
    assert cluster is not None and cluster.cluster.nodes[0].mac == "52:54:00:00:00:01"
    (warning,) = findings.items
    assert warning.key == "nodes[0].hardware_address" and warning.mark is not None and warning.mark.line == 5
    told = [f for f in checked("debian12-efi", cluster=path) if f.code == "IB115" and "public_keys" in f.key]
    assert [(f.severity, f.mark.line if f.mark else 0) for f in told] == [(Severity.WARNING, 7)]
    assert "cp1" in told[0].message


@pytest.mark.parametrize("value", ["noon", "[noon]", "3"])
def test_what_is_in_the_way_of_the_new_name_is_left_to_validation(value: str, tmp_path: Path) -> None:
    _, findings = read(f"{MINE}time: {value}\n", tmp_path)
    assert {f.key for f in findings if f.severity == Severity.ERROR} >= {"time"}


def test_the_rows_of_an_earlier_minor_version_are_gone() -> None:
    now = Version(__version__).release[:2]
    assert [row for row in (*PROFILE, *CLUSTER) if Version(row.since).release[:2] < now] == []
