"""A finding at a line of a file that imgbuild ships must not look like one in a file of the user's."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from imgbuild.config.load import load
from imgbuild.config.source import read
from imgbuild.diagnostics.findings import Findings, Mark, finding
from imgbuild.diagnostics.jsonform import finding_json
from imgbuild.diagnostics.text import print_findings

OURS = Mark("profiles/base.yaml", 25, 17, "    kubernetes: null", 21, shipped=True)
THEIRS = Mark("profiles/base.yaml", 25, 17)


def text(mark: Mark) -> str:
    out = io.StringIO()
    print_findings(Console(file=out), [finding("IB438", "this key expired", mark=mark)])
    return out.getvalue()


def test_as_text_the_place_names_imgbuild() -> None:
    assert "\n  --> imgbuild's profiles/base.yaml:25:17\n" in text(OURS)
    assert "\n  --> profiles/base.yaml:25:17\n" in text(THEIRS)


def test_as_json_the_file_is_marked() -> None:
    ours, theirs, nowhere = (finding_json(finding("IB438", "x", mark=mark)) for mark in (OURS, THEIRS, None))
    assert (ours["file"], ours["shipped"], ours["line"]) == ("profiles/base.yaml", True, 25)
    assert (theirs["file"], theirs["shipped"]) == ("profiles/base.yaml", False)
    assert (nowhere["file"], nowhere["shipped"]) == (None, False)


def test_a_file_of_the_same_name_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/debian12-efi.yaml").write_text("extends: debian12-efi\ntime: {zone: Europe/Berlin}\n")
    monkeypatch.chdir(tmp_path)
    loaded = load("profiles/debian12-efi.yaml", (), (), None, Findings())
    assert loaded is not None
    own, ours = loaded.layered.mark(("time", "zone")), loaded.layered.mark(("firmware",))
    assert own is not None and not own.shipped and own.file == "profiles/debian12-efi.yaml"
    assert ours is not None and ours.shipped and ours.file == "profiles/debian12-efi.yaml"
    assert loaded.layered.root == Mark("profiles/debian12-efi.yaml", 1, 1)


def test_what_is_read_by_a_path_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\n")
    document = read(tmp_path / "a.yaml", Findings())
    assert document is not None and not document.shipped and not document.marks[("a",)].shipped
