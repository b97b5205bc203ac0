"""Reading YAML: values with their places, and every way in which a file can be wrong."""

# ruff: noqa: E501  (tables and strategies)

from __future__ import annotations

import io
import math
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from imgbuild.config.source import MAX_BYTES, MAX_VALUES, Document, parse, read
from imgbuild.diagnostics.findings import Finding, Findings, Mark, format_path
from imgbuild.diagnostics.jsonform import finding_json
from imgbuild.diagnostics.jsonlines import json_line
from imgbuild.diagnostics.severity import Severity
from imgbuild.diagnostics.text import print_findings


def ok(text: str) -> Document:
    """A document without findings."""
    findings = Findings()
    document = parse(text, "f.yaml", findings)
    assert findings.items == [] and document is not None
    return document


def bad(text: str) -> list[tuple[str, int, int]]:
    """Codes with line and column."""
    findings = Findings()
    parse(text, "f.yaml", findings)
    for item in findings.items:
        assert item.severity is Severity.ERROR and item.message and item.hint and "\n" not in item.message
    return [(f.code, f.mark.line, f.mark.column) for f in findings.items if f.mark is not None]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("true", True), ("False", False), ("~", None), ("", None),
        ("null", None), ("12", 12), ("-3", -3), ("+3", 3), ("0", 0), ("1.5", 1.5), ("1e3", 1000.0), ("1:30", "1:30"),
        ("0x1F", "0x1F"), ("1_000", "1_000"), ("2026-01-02", "2026-01-02"), ("'12'", "12"), ('"true"', "true"),
        ("1.34.11", "1.34.11"), ("52:54:00:12:34:56", "52:54:00:12:34:56"), (".inf", ".inf"), ("=", "="),
        ("9" * 64, "9" * 64), ("9" * 5000, "9" * 5000), ("1" * 30 + "e5", "1" * 30 + "e5"), ("1e999", "1e999"),
        ("[a, 1]", ["a", 1]), ("{a: {b: c}}", {"a": {"b": "c"}}), ("|\n  x\n  y\n", "x\ny\n"), (">-\n  x\n  y", "x y"),
    ],
)  # fmt: skip
def test_core_schema(text: str, value: object) -> None:
    got = ok(f"k: {text}\n").data["k"]
    assert got == value and type(got) is type(value)


def test_keys_are_their_own_text() -> None:
    assert ok("1: a\nnull: b\ntrue: c\n1.0: d\n~: e\n'': f\n").data == {
        "1": "a", "null": "b", "true": "c", "1.0": "d", "~": "e", "": "f",
    }  # fmt: skip
    assert bad("1: a\n'1': b\n") == [("IB102", 2, 1)]


def test_every_value_and_key_has_its_place() -> None:
    document = ok('a:\n  - b: 1\n    ü中: [x, y]\n"c.d": 2\n')
    assert {path: (m.line, m.column) for path, m in document.marks.items()} == {
        (): (1, 1), ("a",): (2, 3), ("a", 0): (2, 5), ("a", 0, "b"): (2, 8), ("a", 0, "ü中"): (3, 9),
        ("a", 0, "ü中", 0): (3, 10), ("a", 0, "ü中", 1): (3, 13), ("c.d",): (4, 8),
    }  # fmt: skip
    assert document.marks[("a", 0, "ü中", 1)].text == "    ü中: [(not shown)"
    assert (document.key_marks[("c.d",)].line, document.key_marks[("c.d",)].column) == (4, 1)


def test_lines_are_counted_as_yaml_counts_them() -> None:
    # str.splitlines also breaks at form feeds: the line shown must be the marked one.
    document = ok('a: "x\u2028y"\r\nb: "\x85"\r\nmode: 1\n')
    mark = document.marks[("mode",)]
    assert mark.text == "mode: 1"
    assert ok("a: 'x\u000by'\nmode: 1\n".replace("\u000b", "\ufeff")).marks[("mode",)].text == "mode: 1"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\na: 2\n", [("IB102", 2, 1)]),
        ("a: {b: 1, b: 2}\n", [("IB102", 1, 11)]),
        ("a: 0644\n", [("IB105", 1, 4)]),
        ("a: [00, -07, 0o7]\n", [("IB105", 1, 5), ("IB105", 1, 9), ("IB105", 1, 14)]),
        ("a: b: c\n", [("IB101", 1, 5)]),
        ("a: [1\n", [("IB101", 2, 1)]),
        ("a:\n\t- b\n", [("IB101", 2, 1)]),
        ("a: 'x\n", [("IB101", 2, 1)]),
        ("--- a\n--- b\n", [("IB101", 2, 1)]),
        ("- a\n", [("IB103", 1, 1)]),
        ("text\n", [("IB103", 1, 1)]),
        ("a: !!python/object:os.system x\n", [("IB103", 1, 4)]),
        ("a: !!python/object/apply:os.system [id]\n", [("IB103", 1, 4)]),
        ("a: !!str 12\n", [("IB103", 1, 4)]),
        ("!!str a: 12\n", [("IB103", 1, 1)]),
        ("a: !!binary aGk=\n", [("IB103", 1, 4)]),
        ("a: !include /etc/shadow\n", [("IB103", 1, 4)]),
        ("!!map {a: 1}\n", [("IB103", 1, 1)]),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", [("IB103", 3, 3)]),
        ("? [a]\n: b\n", [("IB103", 1, 3)]),
        ("a: *nope\n", [("IB101", 1, 4)]),
        ("a: &x [*x]\n", [("IB104", 1, 4)]),
        ('a: "\\UFFFFFFFF"\n', [("IB101", 1, 7)]),
        ('a: "\\uD800"\n', [("IB101", 1, 7)]),
        ("é: 1\nü: \ud800\n", [("IB101", 2, 4)]),
        ("é: ü\nü中: \x07\n", [("IB101", 2, 5)]),
        ("a: [1", [("IB101", 1, 6)]),
        ('a: "\\0"\n', [("IB103", 1, 4)]),
        ('"\\0": a\n', [("IB103", 1, 1)]),
        ("a: 1\nb: \x07\n", [("IB101", 2, 4)]),
        ("%YAML 9.9\n---\na: 1\n", [("IB101", 1, 1)]),
        ("a: @b\n", [("IB101", 1, 4)]),
        ("a: `b`\n", [("IB101", 1, 4)]),
    ],
)  # fmt: skip
def test_what_is_refused_and_where(text: str, found: list[tuple[str, int, int]]) -> None:
    assert bad(text) == found


def test_aliases_are_values_written_twice() -> None:
    document = ok("a: &x [1, {b: 2}]\nc: *x\n")
    assert document.data == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}
    assert document.data["a"][1] is not document.data["c"][1]
    assert document.marks[("c", 1, "b")].line == 1


def test_several_problems_of_one_file_come_together() -> None:
    assert bad("a: 1\na: 2\nb: 007\nc: !x y\n") == [("IB102", 2, 1), ("IB105", 3, 4), ("IB103", 4, 4)]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
        "a: " + "[" * 100_000,
        "a: " + "{a: " * 5_000,
        "a: " + "[" * 200 + "]" * 200 + "\n",
        "a:" + "".join(f"\n{' ' * n}b:" for n in range(1, 200)) + "\n",
        "a: 1\n" * 12_000,
        "".join(f"k{n}: 0{n}\n" for n in range(12_000)),
        "a: [" + "0," * 2 * MAX_VALUES + "]\n",
        "a: " + "[" * 4_000_000,
        "- " * 2_000_000,
        "? " * 2_000_000,
    ],
    ids=["laughs", "brackets", "braces", "deep", "deeper", "same-key", "zeros", "wide", "more-brackets", "dashes", "questions"],
)  # fmt: skip
def test_hostile_files_end_soon(text: str) -> None:
    start = time.process_time()
    found = bad(text)
    assert found
    assert time.process_time() - start < 10


def test_a_cluster_of_some_thousand_nodes_is_no_hostile_file() -> None:
    assert ok("a: [" + "0," * (MAX_VALUES - 2) + "]\n").data == {"a": [0] * (MAX_VALUES - 2)}


def test_read_files(tmp_path: Path) -> None:
    def said(name: str, content: bytes) -> tuple[Document | None, list[Finding]]:
        findings = Findings()
        (tmp_path / name).write_bytes(content)
        return read(tmp_path / name, findings, name), findings.items

    for content in (b"", b"# nothing\n", b"---\n", b"\xef\xbb\xbf"):
        document, found = said("empty.yaml", content)
        assert document is not None and document.data == {} and found == []
    document, found = said("bom-crlf.yaml", b"\xef\xbb\xbfmode: 1\r\nextends:\r\n  - x\r\n")
    assert document is not None and document.data == {"mode": 1, "extends": ["x"]} and found == []
    assert document.marks[("mode",)] == Mark("bom-crlf.yaml", 1, 7, "mode: 1")
    assert document.marks[("extends", 0)] == Mark("bom-crlf.yaml", 3, 5, "  - x")
    for name, content, place in (
        ("latin1.yaml", "a: 1\nb: \xfc\n".encode("latin1"), (2, 4)),
        ("utf16.yaml", "a: 1\n".encode("utf-16"), (1, 1)),
        ("png.yaml", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), (1, 1)),
        ("elf.yaml", b"\x7fELF" + b"\0" * 60, (1, 1)),
        ("huge.yaml", b"a: 1\n" * (MAX_BYTES // 5 + 1), (1, 1)),
    ):
        document, found = said(name, content)
        assert document is None
        assert [(f.code, f.mark and (f.mark.line, f.mark.column)) for f in found] == [("IB100", place)], name


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    places = ["none.yaml", ".", "loop.yaml", "none/none.yaml", "a\0b.yaml", "\ud800.yaml", "x" * 300 + ".yaml"]
    for place in places:
        findings = Findings()
        assert read(tmp_path / place, findings) is None
        assert [f.code for f in findings.items] == ["IB100"], place


def test_a_file_closed_to_us(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    file.write_text("a: 1\n")
    file.chmod(0)
    child = os.fork()
    if child == 0:  # as a user without root's powers; what the parent sees is the exit code
        tmp_path.chmod(stat.S_IRWXU | stat.S_IXOTH)
        if os.getuid() == 0:
            os.setuid(65534)
        findings = Findings()
        read(file, findings)
        os._exit(0 if [f.code for f in findings.items] == ["IB100"] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_secret_in_a_line_is_not_shown() -> None:
    findings = Findings()
    parse("users:\n  - {name: bob, hashed_password: hunter2, x: 0644}\n", "f", findings)
    (found,) = findings.items
    out = io.StringIO()
    print_findings(Console(file=out, width=200), [found])
    assert "hunter2" not in out.getvalue() + repr(found)
    assert "hashed_password: (not shown)" in out.getvalue()


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_parse_never_raises_on_text(text: str) -> None:
    findings = Findings()
    document = parse(text, "f", findings)
    assert document is not None or findings.errors


@given(st.text(alphabet="a1 :-[]{}'\"\n\t|>&*!%#?,@`~\\u0\u2028é", max_size=60))
@settings(max_examples=200, deadline=None)
def test_parse_never_raises_on_what_looks_like_yaml(text: str) -> None:
    findings = Findings()
    document = parse(text, "f", findings)
    assert document is not None or findings.errors
    if document is not None:
        lines = text.split("\n")
        assert all(1 <= m.line <= len(lines) + text.count("\u2028") for m in document.marks.values())


@given(content=st.binary(max_size=200))
@settings(max_examples=75, deadline=None)
def test_read_never_raises_on_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes.yaml"
    file.write_bytes(content)
    findings = Findings()
    assert read(file, findings) is not None or findings.errors


plain = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(max_size=20)
nested = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12)  # fmt: skip


@given(st.dictionaries(st.text(max_size=8), nested, max_size=4))
@settings(max_examples=50, deadline=None)
def test_what_pyyaml_writes_comes_back_with_a_place_for_every_value(data: dict[str, Any]) -> None:
    text = yaml.safe_dump(data, default_style='"', allow_unicode=False)
    if "\\0" in text or "!!" in text:
        text = yaml.safe_dump(data, allow_unicode=False)
    findings = Findings()
    document = parse(text, "f", findings)
    if findings.items:  # NUL, lone surrogates, leading zeros, tags: refused on purpose
        assert {f.code for f in findings.items} <= {"IB101", "IB103", "IB105"}
        return
    assert document is not None

    def every(value: object, path: tuple[str | int, ...]) -> None:
        assert path in document.marks
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in items:
            every(child, (*path, key))

    every(document.data, ())
    assert set(document.data) == set(data)


# Surrogates too: an argument that is no UTF-8 reaches us as such.
anything = st.text(alphabet=st.characters() | st.characters(categories=["Cs", "Cc"]) | st.sampled_from("[]:\\\x1b\x9b\n\t\r"), max_size=80)  # fmt: skip
marks = st.none() | st.builds(Mark, anything, st.integers(1, 10**6), st.integers(1, 300), anything)


@given(st.lists(st.builds(Finding, st.just("IB101"), st.sampled_from(Severity), anything, anything, anything, marks), max_size=3))  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_print_findings_shows_any_input_without_control_characters(found: list[Finding]) -> None:
    for terminal in (False, True):
        out = io.StringIO()
        print_findings(Console(file=out, width=40, force_terminal=terminal, color_system=None), found)
        assert all(c == "\n" or c.isprintable() for c in out.getvalue())
    text = "\n".join(json_line("finding", **finding_json(finding)) for finding in found)
    text.encode()
    assert all(c == "\n" or not (ord(c) < 32 or 127 <= ord(c) < 160) for c in text)


def test_findings_are_shown_with_a_caret_under_the_place() -> None:
    out = io.StringIO()
    finding = Finding(
        "IB999", Severity.ERROR, "[red]no :bug: markup[/red]", "fix", "a.b", Mark("f", 7, 7, "中文: [bold]x")
    )
    print_findings(Console(file=out, width=30), [finding, Finding("IB998", Severity.INFO, "i"), finding])
    assert out.getvalue() == (
        2 * (
            "error[IB999] a.b\n  --> f:7:7\n   |\n 7 | 中文: [bold]x\n   |         ^\n"
            "  [red]no :bug: markup[/red]\n  fix: fix\n\n"
        )
        + "info[IB998]\n  i\n\n2 errors, 1 info\n"
    )  # fmt: skip


def test_a_finding_is_kept_once_and_long_lines_are_cut_around_the_place() -> None:
    findings = Findings()
    for _ in range(2):
        findings.add("IB101", "m", mark=Mark("f", 1, 500, "x" * 499 + "Y" + "z" * 499))
    assert len(findings.items) == 1
    out = io.StringIO()
    print_findings(Console(file=out, width=300), findings.items)
    line, caret = (text for text in out.getvalue().split("\n") if "Y" in text or "^" in text)
    assert line.index("Y") == caret.index("^") and len(line) < 120


def test_paths_are_written_as_users_write_them() -> None:
    assert format_path(("a", "b.c", 0, "", "d")) == 'a."b.c"[0]."".d'
    assert not math.isnan(len(format_path(())))
