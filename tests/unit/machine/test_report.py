"""The guest's lines: what is taken, what is refused, and that nothing else ever happens."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.machine.report import LINE_LIMIT, Lines, Message, ReportError, parse_line, parse_plot, parse_verify

GOOD = {"name": "kernel", "ok": True, "expected": "6.1", "found": "6.1", "hint": ""}


def _verify(*checks: object, **more: object) -> Message:
    return parse_line(json.dumps({"imgbuild": 1, "kind": "verify", "checks": checks, **more}).encode())


def test_lines_come_in_any_pieces() -> None:
    lines = Lines()
    data = b'{"kind": "a"}\n\n{"kind": "b"}\r\n'
    kinds = [message.kind for byte in data for message in lines.feed(bytes([byte]))]
    assert kinds == ["a", "b"]
    assert lines.feed(b'{"kind"') == []
    lines.drop_unfinished()
    assert [message.kind for message in lines.feed(b'{"kind": "c"}\n')] == ["c"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"hello", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "not an object"),
        (b"{}", "without a kind"),
        (b'{"kind": 1}', "without a kind"),
        (b'{"kind": "a", "kind": "b"}', "duplicate key"),
        (b'{"kind": "a", "n": NaN}', "NaN is not JSON"),
        (b'{"kind": "a", "n": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_garbage_is_refused(line: bytes, says: str) -> None:
    with pytest.raises(ReportError, match=says):
        parse_line(line)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    lines = Lines()
    try:
        for message in lines.feed(data + b"\n"):
            parse_verify(message)
    except ReportError as error:
        assert str(error).isprintable()


_JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
_CHECKS = st.lists(st.fixed_dictionaries({"name": _JSON, "ok": _JSON}), max_size=2)


@given(
    st.fixed_dictionaries(
        {"kind": st.just("verify")},
        optional={"imgbuild": st.just(1) | _JSON, "checks": _CHECKS | _JSON, "data": _JSON, "encoding": _JSON},
    )
)
def test_no_object_does_anything_else(body: dict[str, object]) -> None:
    for parse in (parse_verify, parse_plot):
        with contextlib.suppress(ReportError):
            parse(parse_line(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (_verify(GOOD, imgbuild=2), "version is '2'"),
        (_verify(GOOD, imgbuild=True), "version is 'true'"),
        (Message("verify", {"imgbuild": 1}), "no list of checks"),
        (_verify("kernel"), "check 0 of the report is not an object"),
        (_verify({"ok": True}), "no valid name"),
        (_verify({"name": "a\x1b[2J", "ok": True}), "no valid name"),
        (_verify({"name": "a"}), "ok is 'absent'"),
        (_verify({"name": "a", "ok": "yes"}), "ok is 'yes'"),
        (_verify({"name": "a", "ok": 1}), "ok is '1'"),
        (_verify({"name": "a", "ok": True, "fund": "x"}), "unknown key fund"),
        (_verify(GOOD, GOOD), "two checks named kernel"),
        (_verify(*[GOOD] * 501), "501 checks"),
    ],
)
def test_a_report_that_is_wrong(message: Message, says: str) -> None:
    with pytest.raises(ReportError, match=says):
        parse_verify(message)


def test_what_a_check_says_is_safe_to_print() -> None:
    (check,) = parse_verify(_verify({"name": "a", "ok": None, "found": "x\x1b[31m\u202ey", "expected": [1, "é"]}))
    assert check.found == "x\\x1b[31m\\u202ey"
    assert check.expected == '[1, "é"]'
    assert check.hint == ""


def test_a_line_without_end_is_refused() -> None:
    lines = Lines()
    with pytest.raises(ReportError, match="more than 8 MiB"):
        for _ in range(LINE_LIMIT // 65536 + 1):
            lines.feed(b"x" * 65536)


def _plot(svg: bytes, **more: object) -> Message:
    data = base64.b64encode(gzip.compress(svg)).decode()
    return Message("plot", {"kind": "plot", "encoding": "gzip+base64", "data": data, **more})


def test_a_plot() -> None:
    assert parse_plot(_plot(b"<svg></svg>")) == b"<svg></svg>"


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (_plot(b"<svg/>", encoding="plain"), "not gzip"),
        (_plot(b"<svg/>", data="*"), "cannot be unpacked"),
        (_plot(b"<svg/>", data=base64.b64encode(b"x" * 40).decode()), "cannot be unpacked"),
        (_plot(b"<svg/>", data=base64.b64encode(gzip.compress(b"<svg/>")[:-9]).decode()), "truncated"),
        (_plot(b"<svg>" + b" " * (17 << 20)), "larger than 16 MiB"),
        (_plot(b"<html>"), "not an SVG"),
        (_plot(b"<svg><SCRIPT>alert(1)</SCRIPT></svg>"), "contains <script"),
    ],
)
def test_a_plot_that_is_none(message: Message, says: str) -> None:
    with pytest.raises(ReportError, match=says):
        parse_plot(message)
