"""The host name of one of several machines with the same seed: the cloud's, else one of its own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.places import ROOT

LIBRARY = ROOT / "node/usr/libexec/imgbuild/lib/name.sh"
HARNESS = """
set -euo pipefail
R=$1 state=$1/state
uname() { echo "$NAME"; }
hostnamectl() { return 1; }
getent() { return 2; }
set_mark() { printf '%s\\n' "$2" > "$1"; }
say() { :; }
. "$2"
settle_name
"""


def named(root: Path, name: str, group: str = "pool", machine: str = "a") -> str:
    """The name that a machine called ``name`` by cloud-init gets; an empty string if it keeps it."""
    for folder in ("etc/imgbuild", "state", "proc/sys/kernel"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc/imgbuild/cluster.conf").write_text(f"group='{group}'\n")
    (root / "etc/machine-id").write_text(machine)
    command = ["bash", "-c", HARNESS, "harness", str(root), str(LIBRARY)]
    subprocess.run(command, check=True, env={"NAME": name, "PATH": "/usr/bin:/bin"})
    mark = root / "state/node-name"
    if not mark.exists():
        return ""
    assert (root / "etc/hostname").read_text() == mark.read_text()
    assert (root / "etc/hosts").read_text() == f"127.0.1.1 {mark.read_text()}"
    return mark.read_text().strip()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("ip-10-0-0-3", "ip-10-0-0-3"),
        ("ip-10-0-0-3.eu-west-1.compute.internal", "ip-10-0-0-3.eu-west-1.compute.internal"),
        ("Worker-A", "worker-a"),
        ("pool-west", "pool-west"),
        ("pool", None),
        ("pool.localdomain", None),
        ("localhost", None),
        ("localhost.localdomain", None),
        ("debian", None),
        ("(none)", None),
        ("10.0.0.3", None),
        ("under_score", None),
        ("a" * 64, None),
    ],
)
def test_a_name_that_other_machines_have_too_is_replaced(tmp_path: Path, given: str, wanted: str | None) -> None:
    name = named(tmp_path, given)
    assert name == wanted if wanted else re.fullmatch("pool-[0-9a-f]{8}", name)


def test_two_machines_differ_and_one_keeps_its_name(tmp_path: Path) -> None:
    one, other = named(tmp_path / "1", "pool"), named(tmp_path / "2", "pool", machine="b")
    assert one != other
    assert named(tmp_path / "1", "localhost", machine="c") == one


def test_a_machine_with_a_seed_of_its_own_is_left_alone(tmp_path: Path) -> None:
    assert named(tmp_path, "cp1", group="") == ""
