"""Pictures as SVG text: lines on two logarithmic axes, and a roofline.

Owns: axes, ticks, labels that do not cover each other. May import: the standard library. Must not know: what is drawn.
Texts take the page's colour, so that the pictures are readable on light and dark; every point says its numbers in a title.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


@dataclass
class Series:
    """A line: its name, colour, points from left to right, and what each point says."""

    name: str
    colour: str
    points: list[Point]
    said: list[str]


@dataclass
class Axis:
    """A logarithmic axis from decade to decade, over so many pixels."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> Axis:
        low = math.floor(math.log10(min(values)) + 1e-9)
        high = math.ceil(math.log10(max(values)) - 1e-9)
        return cls(low, max(high, low + 1), start, end)

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        step = max(1, math.ceil((self.high - self.low) / 6))
        return [10.0**power for power in range(int(self.low), int(self.high) + 1, step)]


def seconds(value: float) -> str:
    """Show seconds in the unit that gives one to three digits before the point."""
    least, unit = next(((least, unit) for least, unit in UNITS if value >= least * 0.9995), UNITS[-1])
    return f"{value / least:.3g} {unit}"


def plain(value: float) -> str:
    """Show a number as a power or as it is."""
    if 1e-2 <= value < 1e4:
        return f"{value:g}"
    return f"1e{round(math.log10(value))}"


def frame(x: Axis, y: Axis, x_label: str, y_label: str, show_y: Sequence[str]) -> list[str]:
    """Return the grid, its ticks and labels."""
    parts = []
    for tick in x.ticks():
        at = x(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{y.start:.1f}" x2="{at:.1f}" y2="{y.end:.1f}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{y.start + 13:.1f}" text-anchor="middle">{plain(tick)}</text>')
    for tick, text in zip(y.ticks(), show_y, strict=True):
        at = y(tick)
        parts.append(f'<line class="grid" x1="{x.start:.1f}" y1="{at:.1f}" x2="{x.end:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{x.start - 5:.1f}" y="{at + 3.5:.1f}" text-anchor="end">{text}</text>')
    middle, high = (x.start + x.end) / 2, (y.start + y.end) / 2
    parts.append(f'<text class="tick" x="{middle:.1f}" y="{y.start + 28:.1f}" text-anchor="middle">{escape(x_label)}</text>')
    if y_label:
        turned = f'transform="rotate(-90 12 {high:.1f})"'
        parts.append(f'<text class="tick" x="12" y="{high:.1f}" text-anchor="middle" {turned}>{escape(y_label)}</text>')
    return parts


def picture(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title, quote=True)}">\n<text class="title" x="{width / 2}" y="15" text-anchor="middle">'
        f"{escape(title)}</text>\n{inside}\n</svg>"
    )


def dot(at: Point, colour: str, said: str, radius: float = 3) -> str:
    return f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius}" fill="{colour}"><title>{escape(said)}</title></circle>'


def lines(title: str, series: Sequence[Series], x_label: str, width: int = 300, height: int = 210) -> str:
    """Return lines on logarithmic axes, seconds upwards. Raises ValueError where there is no point."""
    points = [point for one in series for point in one.points]
    if not points:
        raise ValueError(f"{title}: nothing to draw")
    x = Axis.around([p[0] for p in points], 52, width - 14)
    y = Axis.around([p[1] for p in points], height - 36, 24)
    parts = frame(x, y, x_label, "", [seconds(tick) for tick in y.ticks()])
    for one in series:
        placed = [(x(a), y(b)) for a, b in one.points]
        way = " ".join(f"{a:.1f},{b:.1f}" for a, b in placed)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{one.colour}" stroke-width="1.8"/>')
        parts += [dot(at, one.colour, said) for at, said in zip(placed, one.said, strict=True)]
    return picture(title, width, height, parts)


@dataclass
class Work:
    """A point under a roof: its name, flops a byte, GFLOP/s, and what it says."""

    name: str
    intensity: float
    rate: float
    said: str


def roofline(
    title: str, colour: str, works: Sequence[Work], bandwidth: float, peak: float, width: int = 520, height: int = 400
) -> str:
    """Return ops by flops a byte and GFLOP/s, under what bandwidth (GB/s) and arithmetic (GFLOP/s) allow.

    Raises ValueError where there is no point.
    """
    if not works:
        raise ValueError(f"{title}: nothing to draw")
    ridge = peak / bandwidth
    across = [work.intensity for work in works]
    left, right = min(*across, ridge) / 2, max(*across, ridge) * 2
    x = Axis.around([left, right], 48, width - 18)
    least, most = 10.0**x.low, 10.0**x.high
    y = Axis.around([*(work.rate for work in works), peak, min(least * bandwidth, peak)], height - 38, 26)
    parts = frame(x, y, "flops a byte", "GFLOP/s", [plain(tick) for tick in y.ticks()])
    start = max(least, 10.0**y.low / bandwidth)
    roof = [(start, start * bandwidth), (ridge, peak), (most, peak)]
    way = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in roof)
    parts.append(f'<polyline class="roof" points="{way}" fill="none"/>')
    slope = math.degrees(math.atan2(y(ridge * bandwidth) - y(start * bandwidth), x(ridge) - x(start)))
    at = math.sqrt(start * ridge)
    parts.append(
        f'<text class="tick" x="{x(at):.1f}" y="{y(at * bandwidth) - 6:.1f}" text-anchor="middle" '
        f'transform="rotate({slope:.1f} {x(at):.1f} {y(at * bandwidth) - 6:.1f})">{bandwidth:.3g} GB/s</text>'
    )
    parts.append(f'<text class="tick" x="{x(most):.1f}" y="{y(peak) - 6:.1f}" text-anchor="end">{peak:.3g} GFLOP/s</text>')
    # where labels must not be: on points, on each other, on the flat roof
    taken = [(x(work.intensity) - 4, x(work.intensity) + 4, y(work.rate)) for work in works]
    taken.append((x(ridge), x(most), y(peak)))
    for work in sorted(works, key=lambda work: -work.rate):
        across_, up = x(work.intensity), y(work.rate)
        wide = 6.0 * len(work.name)
        low = up
        while any(abs(low - other) < 11 and start_ < across_ + 6 + wide and across_ + 6 < end for start_, end, other in taken):
            low += 1
        taken.append((across_ + 6, across_ + 6 + wide, low))
        if low > up + 6:
            parts.append(f'<line class="leader" x1="{across_:.1f}" y1="{up:.1f}" x2="{across_ + 6:.1f}" y2="{low:.1f}"/>')
        parts.append(f'<text class="label" x="{across_ + 7:.1f}" y="{low + 3.5:.1f}">{escape(work.name)}</text>')
        parts.append(dot((across_, up), colour, work.said, 3.5))
    return picture(title, width, height, parts)
