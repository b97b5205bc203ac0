"""The table of codes: both examples of every row do what the row says, and the table is what imgbuild can report."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from imgbuild.config.data import data_dir, versions
from imgbuild.config.moment import RELEASED, Moment
from imgbuild.diagnostics.codes import CODES, FAMILIES, RETIRED
from imgbuild.diagnostics.codes.row import Code, cluster_text, profile_text
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.severity import Severity
from imgbuild.pipeline import Request, prepare
from tests.support.checking import ADMIN, KEY, look
from tests.support.code_setups import SETUPS
from tests.support.places import ROOT

AMBIENT = frozenset({"IB228", "IB438", "IB701", "IB801", "IB802"})
"""What is said of every such profile on its day, or of every node without a MAC or with a static network."""
DAY = datetime.datetime.fromtimestamp(RELEASED + 86400, datetime.UTC).date().isoformat()
ROWS = [pytest.param(row, id=row.code) for row in CODES.values()]
SET_UP = [pytest.param(row, id=row.code) for row in CODES.values() if row.setup]
PAIRS = [pytest.param(row, id=row.code) for row in CODES.values() if not row.setup]


def _moment(day: str) -> Moment:
    noon = datetime.datetime.combine(datetime.date.fromisoformat(day), datetime.time(12), datetime.UTC)
    return Moment(int(noon.timestamp()))


def _given(text: str) -> str:
    key = (data_dir("node") / "etc/pki/rpm-gpg/RPM-GPG-KEY-EPEL-8").read_text()
    return text.replace("PUBLIC-KEY", json.dumps(key)).replace("SSH-KEY", json.dumps(KEY))


def _found(row: Code, profile: str, cluster: str, options: Sequence[str], day: str) -> list[Finding]:
    """What an example gives, without what is ambient and not the row's own."""
    Path("node.yaml").write_text(_given(profile_text(profile)))
    sets = [] if "users:" in profile else [ADMIN]
    sets += [options[at + 1] for at, word in enumerate(options) if word == "--set"]
    secrets = next((Path(options[at + 1]) for at, word in enumerate(options) if word == "--secrets"), None)
    file = None
    if cluster:
        file = Path("lab.yaml")
        file.write_text(cluster_text(cluster))
    request = Request("node.yaml", (), sets, None, file, secrets, moment=_moment(day or DAY))
    findings = Findings()
    if row.rendered or secrets is not None or row.code == "IB911":
        try:
            prepare(request, findings)
        except InvalidInput:
            assert findings.errors
    else:
        look(request, findings)
    return [each for each in findings.items if each.code == row.code or each.code not in AMBIENT]


@pytest.mark.parametrize("row", PAIRS)
def test_the_bad_example_gives_this_code_and_the_good_one_nothing(
    row: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = _found(row, row.bad, row.bad_cluster, row.bad_options, row.day)
    assert {each.code for each in found} == {row.code, *row.also}
    for each in found:
        assert each.severity in (CODES[each.code].severity, CODES[each.code].lesser)
        assert each.message and (each.hint or each.code in ("IB239",)) and "\n" not in each.message
        assert each.code == "IB239" or (each.mark is not None and min(each.mark.line, each.mark.column) >= 1)
    ok = _found(row, row.good, row.good_cluster, row.good_options, row.good_day or row.day)
    assert {each.code for each in ok} <= set(row.also), [each.message for each in ok]


@pytest.mark.parametrize("row", SET_UP)
def test_what_no_pair_of_files_can_make_is_made_by_a_set_up(
    row: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bad, good = SETUPS[row.code](tmp_path, monkeypatch)
    assert row.code in {each.code for each in bad} and row.code not in {each.code for each in good}


def test_the_table_has_every_code_of_the_source_and_no_other() -> None:
    source = "".join(path.read_text() for path in (ROOT / "builder").rglob("*.py") if path.parent.name != "codes")
    used = {*re.findall(r'"(IB[0-9]{3})"', source), *(rule["code"] for rule in versions("cilium-agent")["rules"])}
    assert used == set(CODES)
    assert not RETIRED & set(CODES)


def test_no_two_findings_have_one_code() -> None:
    every = [row.code for family in FAMILIES for row in family.CODES]
    assert sorted(every) == sorted(set(every))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_whole(row: Code) -> None:
    assert row.title and not row.title.endswith(".") and row.why.endswith(".") and row.fix.endswith(".")
    assert (row.lesser is not None) == bool(row.when)
    assert bool(row.setup) == (row.code in SETUPS)
    both = (row.bad, row.bad_cluster, row.bad_options), (row.good, row.good_cluster, row.good_options)
    assert row.setup or (any(both[0]) and both[0] != both[1]) or row.day != row.good_day


ROW = """    Code(
        "IB899",
        INFO,
        "The pet is asleep",
        why="Pets sleep.",
        fix="Wake it up.",
        bad="swap: {enabled: false}",
        good="time: {zone: UTC}",
    ),
"""


def test_a_code_that_is_declared_once_is_everywhere(tmp_path: Path) -> None:
    for name in ("builder/imgbuild", "docs/reference", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("profiles", "node", "cloudinit", "elements"):
        (tmp_path / name).symlink_to(ROOT / name)
    family = tmp_path / "builder/imgbuild/diagnostics/codes/pxe.py"
    family.write_text(family.read_text().replace("CODES = (\n", f"CODES = (\n{ROW}", 1))
    environment = {"PYTHONPATH": f"{tmp_path / 'builder'}:{tmp_path}", "PATH": "/usr/bin:/bin"}
    said = []
    for words in (("tools.reference",), ("imgbuild", "explain", "IB899")):
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "IB899: The pet is asleep (info)" in said[1] and "Pets sleep." in said[1]
    assert "## IB899" in (tmp_path / "docs/reference/findings/pxe.md").read_text()
    assert "[IB899](findings/pxe.md#ib899)" in (tmp_path / "docs/reference/findings.md").read_text()


def test_a_severity_comes_from_the_table_alone() -> None:
    assert {row.severity for row in CODES.values()} == {Severity.ERROR, Severity.WARNING, Severity.INFO}
    for path in (ROOT / "builder/imgbuild").rglob("*.py"):
        if "diagnostics" not in path.parts:
            assert "Severity." not in path.read_text() or path.name in ("output.py", "stream.py"), path
