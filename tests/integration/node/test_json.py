"""lib/json.sh: JSON on a node that has neither jq nor Python, by every awk that a node may have."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbuild.config.data import data_dir
from tests.support.places import SUPPORT

LIBRARY = data_dir("node") / "usr/libexec/imgbuild/lib/json.sh"
FILES = sorted((SUPPORT / "cilium_status").glob("*.json"))
AWKS = [awk for awk in ("gawk", "mawk", "busybox awk") if shutil.which(awk.split()[0])]
SCRIPT = 'set -euo pipefail; source "$1"; awk() { command $awk "$@"; }; json_lines'
each = pytest.mark.parametrize("awk", AWKS)


def lines(awk: str, text: str) -> list[str] | None:
    """What json_lines prints; None: it takes ``text`` for no JSON."""
    done = subprocess.run(
        ["bash", "-c", SCRIPT, "json", str(LIBRARY)], input=text, env={"awk": awk, "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines() if done.returncode == 0 else None


def leaves(value: object, path: str = "") -> Iterator[str]:
    """The same, by Python's own parser."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield f"{path}={value if isinstance(value, str) else json.dumps(value)}"


@each
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_an_agent_says(awk: str, file: Path) -> None:
    found = json.loads(file.read_text())
    wanted = list(leaves(found))
    assert lines(awk, file.read_text()) == wanted
    assert lines(awk, json.dumps(found, separators=(",", ":"))) == wanted
    assert lines(awk, json.dumps(found, indent="\t")) == wanted


@each
def test_strings_and_numbers(awk: str) -> None:
    text = r'{"a\"b": "x\\", "c": [], "d": {}, "": "\u003cnil\u003e \"q\" a\nb \u0026 \/ é", '
    text += '"f": [1, null, [-2.5e3, {"g": ""}]]}'
    assert lines(awk, text) == ['a"b=x\\', '=<nil> "q" a b & / é', "f.0=1", "f.1=null", "f.2.0=-2.5e3", "f.2.1.g="]


@each
@pytest.mark.parametrize("text", [
    "", "x", "{", '{"a": 1', '{"a": [1}', 'OCI runtime "x" failed', '"x"', '{"a": 1}}',
    '{"a": 1} 5', '{"a": "b', "OCI failed\n",
])  # fmt: skip
def test_anything_else_fails(awk: str, text: str) -> None:
    assert lines(awk, text) is None
