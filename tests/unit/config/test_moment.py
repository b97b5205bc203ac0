"""A run's moment is read once, and a clock that cannot be right is an error before keys are made by it."""

from __future__ import annotations

import ast
import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgbuild.config.moment import RELEASED, Moment, read_moment
from imgbuild.diagnostics.errors import HostError, InvalidInput
from imgbuild.diagnostics.findings import Findings
from imgbuild.pipeline import Request, prepare
from tests.support.checking import codes, findings
from tests.support.places import ROOT

PAST = int(datetime.datetime(2015, 6, 1, tzinfo=datetime.UTC).timestamp())
PACKAGE = ROOT / "builder"
CLUSTER = "name: lab\nnodes:\n  - {name: cp1, role: control-plane}\n"


def test_the_day_is_that_of_source_date_epoch_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert str(read_moment().today) == "2027-01-15"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert read_moment().epoch is None
    before = int(time.time())
    assert before <= read_moment().second <= before + 60


def test_an_epoch_from_before_the_release_is_not_a_day_on_which_this_imgbuild_ran() -> None:
    assert Moment(RELEASED + 86400, 0).second == RELEASED
    assert Moment(RELEASED, RELEASED + 1).second == RELEASED + 1


@pytest.mark.parametrize("text", ["now", "-1", "1.5", "²", "123456789012"])
def test_an_epoch_that_is_not_a_number_of_seconds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(HostError, match="SOURCE_DATE_EPOCH is"):
        read_moment()


def test_a_clock_from_before_the_release() -> None:
    assert codes(findings("debian12-efi", moment=Moment(PAST))) >= {"IB239"}
    assert "IB239" not in codes(findings("debian12-efi", moment=Moment(RELEASED)))
    assert "IB239" not in codes(findings("debian12-efi", moment=Moment(PAST, RELEASED))), "nothing goes by the clock"


def test_no_keys_are_made_for_the_past_whatever_source_date_epoch_is(tmp_path: Path) -> None:
    cluster = tmp_path / "lab.yaml"
    cluster.write_text(CLUSTER)
    found = Findings()
    with pytest.raises(InvalidInput):
        prepare(Request("debian12-efi", cluster=cluster, moment=Moment(PAST, RELEASED)), found)
    assert "IB239" in codes(found.errors)
    assert "2015-06-01" in next(f.message for f in found.errors if f.code == "IB239")
    assert not (tmp_path / "lab.secrets.yaml").exists()


def test_the_command_goes_by_the_environment(tmp_path: Path) -> None:
    imgbuild = str(Path(sys.executable).with_name("imgbuild"))
    done = subprocess.run(
        [imgbuild, "check", "--profile", "debian12-efi"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "yesterday"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert "SOURCE_DATE_EPOCH is 'yesterday'" in done.stderr


def test_checks_and_rendering_have_no_clock_of_their_own() -> None:
    for path in [*PACKAGE.glob("checks/*.py"), *PACKAGE.glob("render/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {"time", "os"} & {name.name for name in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in ("time", "os"), path
            elif isinstance(node, ast.Attribute):
                assert node.attr not in ("now", "utcnow", "today") or _of_moment(node), f"{path}:{node.lineno}"


def _of_moment(node: ast.Attribute) -> bool:
    """kept.now, moment.now, context.moment.today: values that were handed in."""
    return ast.unparse(node.value).rpartition(".")[2] in ("moment", "kept")
