"""Where first boot's time went, as the guest tells it and as the boot plot shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.machine.report import Message, ReportError
from imgbuild.machine.times import Span, Times, draw, parse_times

PLOT = (
    b'<?xml version="1.0"?>\n<svg width="2000px" height="1000px" version="1.1">\n'
    b'<g transform="translate(20.000,100)">\n'
    b"</g>\n</svg>\n"
)
SPANS = [
    ["stage", "clock", 10.0, 12.5],
    ["other", "kubeadm", 13, 40.0],
    ["other", "apiserver", 39.0, 41.0],
    ["stage", "kubeadm", 12.5, 43.0],
]


def times(*spans: object) -> Times:
    return parse_times(Message("times", {"kind": "times", "spans": list(spans)}))


def test_what_is_imgbuilds_own() -> None:
    found = times(*SPANS)
    assert [span.name for span in found.stages] == ["clock", "kubeadm"]
    assert found.own == pytest.approx(33.0 - 28.0)
    assert found.end == 43.0
    assert str(found) == (
        "first boot: 33.0 s of 43.0 s since the kernel started, of which 5.0 s are imgbuild's own (11.6 %)"
    )


def test_a_stage_that_still_runs_counts_for_nothing() -> None:
    found = times(SPANS[0], ["other", "waiting", 12.0, 60.0])
    assert found.own == pytest.approx(2.0)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1000))))
def test_the_others_never_take_more_than_there_is(pairs: list[tuple[float, float]]) -> None:
    others = [Span("o", *sorted(pair)) for pair in pairs]
    found = Times([Span("all", 0, 1000)], others)
    assert -1e-6 <= found.own <= 1000


@pytest.mark.parametrize(
    "span",
    [
        ["stage", "clock", 2, 1],
        ["stage", "clock", -1, 1],
        ["stage", "clock", "1", 2],
        ["day", "clock", 1, 2],
        ["stage", 5, 1, 2],
        ["stage", "c" * 200, 1, 2],
        ["stage", "clock", 1],
        "stage",
        None,
    ],
)
def test_what_is_no_span_is_said(span: object) -> None:
    with pytest.raises(ReportError, match="an entry that is not a span"):
        times(SPANS[0], span)


def test_the_plot_gets_a_row_for_each_stage() -> None:
    drawn = draw(PLOT, times(*SPANS)).decode()
    assert 'height="1080px"' in drawn
    assert drawn.rstrip().endswith("</svg>")
    assert '<rect x="1020.000" y="1020.000" width="250.000"' in drawn  # clock: 100 pixels a second, from 20 on
    assert drawn.count("<rect") == 4
    assert ">kubeadm</text>" in drawn


def test_a_name_is_no_markup() -> None:
    drawn = draw(PLOT, times(["stage", "<script>", 1, 2]))
    assert b"<script" not in drawn


@pytest.mark.parametrize("plot", [b"<svg></svg>", PLOT.replace(b"</svg>", b""), PLOT.replace(b"px", b"em")])
def test_a_plot_of_another_form_stays_as_it_is(plot: bytes) -> None:
    assert draw(plot, times(*SPANS)) == plot
