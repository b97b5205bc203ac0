"""The source line of a finding: it fits its terminal, also with characters of two columns, and shows no controls."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from imgbuild.diagnostics.findings import Mark, finding
from imgbuild.diagnostics.text import print_findings


def excerpt(mark: Mark, width: int, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The source line and the line with the carets."""
    monkeypatch.setenv("COLUMNS", str(width))
    out = io.StringIO()
    print_findings(Console(file=out, width=width), [finding("IB111", "no such key", mark=mark)])
    _, _, _, line, carets, *_ = out.getvalue().split("\n")
    return line, carets


@pytest.mark.parametrize("before", ["", "name: ", "注" * 40 + ": "])
@pytest.mark.parametrize("width", [30, 60, 80])
def test_wide_characters_fit_the_terminal(before: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    line, carets = excerpt(
        Mark("a.yaml", 7, len(before) + 1, f"{before}{'中' * 50} # 文", len(before) + 51), width, monkeypatch
    )
    assert cell_len(line) <= width and cell_len(carets) <= width
    under = cell_len(carets.rstrip("^"))
    at = next(n for n in range(len(line)) if cell_len(line[:n]) == under)
    assert line[at:].startswith("中") and cell_len(line[at:].rstrip()) >= carets.count("^") > 2


@pytest.mark.parametrize(
    ("text", "shown"), [("a\u3000b", "a\\u3000b"), ("a\x1bb", "a\\x1bb"), ("a\udcffb", "a\\xffb"), ("a\tb", "a b")]
)
def test_what_cannot_be_seen_is_shown_as_its_number(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line, carets = excerpt(Mark("a.yaml", 1, 1, text, len(text) + 1), 80, monkeypatch)
    assert line == f" 1 | {shown}" and carets.count("^") == len(shown)
