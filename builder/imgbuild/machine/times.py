"""Where a guest's first boot spent its time: imgbuild's own part, and that of the programs it runs and waits for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from imgbuild.machine.report import Message, ReportError

SPAN_LIMIT = 10_000
_SECOND = 100.0  # pixels: systemd's src/analyze/analyze-plot.c, SCALE_X
_ROW = 20.0  # pixels: SCALE_Y there
_OTHER, _OWN = "#a9b6c2", "#b4432f"
_SIZE = re.compile(rb'(<svg width="[0-9.]+px" height=")([0-9.]+)(px")')
_CHART = re.compile(rb'<g transform="translate\(([0-9.]+),')


@dataclass(frozen=True)
class Span:
    """A stretch of time, in seconds since the guest's kernel started."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Times:
    """First boot's stages, and the time in them that was not imgbuild's own: kubeadm, helm, images, waiting."""

    stages: Sequence[Span]
    others: Sequence[Span]

    @property
    def start(self) -> float:
        """When the first stage started."""
        return min((stage.start for stage in self.stages), default=0.0)

    @property
    def spent(self) -> float:
        """Seconds from the first stage's start to the last one's end."""
        return self.end - self.start

    @property
    def own(self) -> float:
        """Seconds of imgbuild's own work, including the time between stages."""
        # A stage that is still running has already reported others.
        within = [Span(o.name, max(o.start, self.start), min(o.end, self.end)) for o in self.others]
        return self.spent - sum(span.end - span.start for span in _merged([s for s in within if s.end > s.start]))

    @property
    def end(self) -> float:
        """When the last stage ended."""
        return max((stage.end for stage in self.stages), default=0.0)

    @property
    def share(self) -> float:
        """imgbuild's own part of the boot, from the kernel's start to first boot's end: 0 to 1."""
        return self.own / self.end if self.end else 0.0

    def __str__(self) -> str:
        """One line as text."""
        return (
            f"first boot: {self.spent:.1f} s of {self.end:.1f} s since the kernel started, of which {self.own:.1f} s "
            f"are imgbuild's own ({100 * self.share:.1f} %)"
        )


def parse_times(message: Message) -> Times:
    """The spans of a ``times`` message.

    Raises:
        ReportError: something in it is wrong; it names the first thing.
    """
    entries = message.body.get("spans")
    if not isinstance(entries, list) or len(entries) > SPAN_LIMIT:
        raise ReportError("the times of first boot are not a list, or too long a list")
    found: dict[str, list[Span]] = {"stage": [], "other": []}
    for entry in entries:
        match entry:
            case [str(kind), str(name), int() | float() as start, int() | float() as end] if (
                kind in found and len(name) <= 100 and 0 <= start <= end < 10**9
            ):
                found[kind].append(Span(name, float(start), float(end)))
            case _:
                raise ReportError(f"the times of first boot have an entry that is not a span: {str(entry)[:100]!r}")
    return Times(found["stage"], found["other"])


def draw(plot: bytes, times: Times) -> bytes:
    """The boot plot of systemd-analyze with a row for each stage below it; ``plot`` itself if it has another form."""
    size, chart = _SIZE.search(plot), _CHART.search(plot)
    end = plot.rfind(b"</svg>")
    if size is None or chart is None or end < 0 or not times.stages:
        return plot
    left, top = float(chart[1]), float(size[2])
    rows = [f'<text x="{left:.0f}" y="{top:.0f}">{escape(str(times))}</text>']
    for number, stage in enumerate(times.stages, 1):
        y = top + number * _ROW
        rows.append(_bar(left, y, stage, _OWN))
        within = [Span(o.name, max(o.start, stage.start), min(o.end, stage.end)) for o in times.others]
        rows += [_bar(left, y, span, _OTHER) for span in within if span.end > span.start]
        x = left + stage.start * _SECOND
        rows.append(f'<text x="{x:.3f}" y="{y + _ROW - 6:.3f}">{escape(stage.name)}</text>')
    height = top + (len(times.stages) + 2) * _ROW
    head = plot[: size.start()] + size[1] + f"{height:.0f}".encode() + size[3] + plot[size.end() : end]
    return head + "\n".join(rows).encode() + b"\n" + plot[end:]


def _bar(left: float, y: float, span: Span, colour: str) -> str:
    x, width = left + span.start * _SECOND, (span.end - span.start) * _SECOND
    return f'<rect x="{x:.3f}" y="{y:.3f}" width="{width:.3f}" height="{_ROW - 2:.0f}" fill="{colour}"/>'


def _merged(spans: Sequence[Span]) -> Sequence[Span]:
    """The same time without overlaps."""
    out: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start):
        if out and span.start <= out[-1].end:
            out[-1] = Span(out[-1].name, out[-1].start, max(out[-1].end, span.end))
        else:
            out.append(span)
    return out
