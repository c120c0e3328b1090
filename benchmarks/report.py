"""How measurements are told: figures with targets, tables of ratios, the machine, blocks of a document, a picture.

Owns: Markdown and SVG. May import: the suite's clock; matplotlib late. Must not know: what was measured, or how.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import COUNT
from benchmarks.common import timing

# how many make what is kept: a second, a byte, a whole
UNITS = {"µs": 1e6, "ms": 1e3, "s": 1.0, "B": 1.0, "kB": 1e-3, "MB": 1e-6, "%": 1e2}
HEAD = ["what", "wengert", "compared with", "pair by pair: median (min to max)", "target", "verdict"]
LIBRARIES = {"NumPy": "numpy", "PyTorch": "torch", "JAX": "jax", "HIPS autograd": "autograd", "MyGrad": "mygrad",
             "tinygrad": "tinygrad", "pyopencl": "pyopencl"}  # fmt: skip


# ---- one figure
@dataclass
class Figure:
    """One line of a table: what was measured of wengert, of its peer, and what is made of each pair."""

    name: str
    unit: str
    peer: str
    kind: str  # "ratio" or "difference" of a pair, or "alone": wengert's own figure is the one that counts
    ours: list[float]
    theirs: list[float] = field(default_factory=list)
    target: float | None = None
    at_least: bool = False

    @property
    def values(self) -> list[float]:
        """Return what the target is about, one value a pair; empty where the peer is missing."""
        if self.kind == "alone":
            return self.ours
        combine = {"ratio": lambda a, b: a / b, "difference": lambda a, b: a - b}[self.kind]
        return [combine(a, b) for a, b in zip(self.ours, self.theirs, strict=True)] if self.theirs else []

    @property
    def met(self) -> bool | None:
        """Say whether the median meets the target; None where there is none, or nothing to compare with."""
        if self.target is None or not self.values:
            return None
        middle = statistics.median(self.values)
        return middle >= self.target if self.at_least else middle <= self.target

    def cells(self) -> list[str]:
        """Return the line of the table."""
        theirs = f"{self.peer} {self.show(statistics.median(self.theirs))}" if self.theirs else self.peer
        outcome = target = verdict = ""
        if self.values and self.kind != "alone":
            low, middle, high = min(self.values), statistics.median(self.values), max(self.values)
            outcome = f"{self.outcome(middle)} ({self.outcome(low, '')} to {self.outcome(high, '')})"
        if self.target is not None:
            target = f"{'≥' if self.at_least else '≤'} {self.outcome(self.target, form='g')}"
            verdict = {True: "pass", False: "FAIL", None: "not compared"}[self.met]
        return [self.name, self.show(statistics.median(self.ours)), theirs, outcome, target, verdict]

    def outcome(self, value: float, unit: str | None = None, form: str = "") -> str:
        """Show a ratio, a difference with its sign, or a value."""
        if self.kind == "ratio":
            return f"{value:{form or '.2f'}}"
        return ("+" if self.kind == "difference" and value >= 0 else "") + self.show(value, unit, form)

    def show(self, value: float, unit: str | None = None, form: str = "") -> str:
        """Show seconds, bytes or a share in the figure's unit, to three digits unless the form says otherwise."""
        return shown(value, self.unit, unit, form)

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "values": self.values, "met": self.met}


def shown(value: float, unit: str, written: str | None = None, form: str = "") -> str:
    scaled = value * UNITS[unit]
    if not form:
        whole = len(str(int(abs(scaled))))
        form = f".{max(0, min(2, 3 - whole))}f"
    return f"{scaled:{form}} {unit if written is None else written}".rstrip()


def duration(seconds: float) -> str:
    """Show seconds in the unit that fits."""
    unit = next(unit for unit, least in (("s", 1.0), ("ms", 1e-3), ("µs", 0.0)) if seconds >= least)
    return shown(seconds, unit)


# ---- one piece of work on several engines
@dataclass
class Row:
    """One piece of work: its samples by who did it, in rounds; and why others did not."""

    name: str
    samples: dict[str, list[float]]
    missing: dict[str, str] = field(default_factory=dict)

    def ratios(self, who: str, reference: str) -> list[float]:
        """Return who's time over the reference's, round by round; empty where one is missing."""
        if who not in self.samples or reference not in self.samples:
            return []
        return [a / b for a, b in zip(self.samples[who], self.samples[reference], strict=True)]


def matrix(what: str, rows: Sequence[Row], titles: Sequence[str], reference: str) -> list[list[str]]:
    """Return the cells of a table: the reference's time, everyone's ratio to it with its quartiles, geometric means."""
    others = [title for title in titles if title != reference]
    cells = [[what, reference, *others]]
    means: dict[str, list[float]] = {title: [] for title in others}
    for row in rows:
        known = duration(statistics.median(row.samples[reference])) if reference in row.samples else ""
        line = [row.name.replace("_", " "), known]
        for title in others:
            found = row.ratios(title, reference)
            if found:
                low, middle, high = timing.quartiles(found)
                means[title].append(middle)
                line.append(f"{middle:.2f} ({low:.2f}–{high:.2f})")
            elif title in row.samples:
                line.append(duration(statistics.median(row.samples[title])))
            else:
                line.append("–")
        cells.append(line)
    if any(means.values()):
        # a mean over other rows than its neighbour's would compare nothing
        mean = [f"**{math.exp(statistics.fmean(map(math.log, m))):.2f}**" + ("" if len(m) == len(rows) else f" of {len(m)}")
                if m else "" for m in means.values()]  # fmt: skip
        cells.append(["**geometric mean**", "", *mean])
    return cells


def table(rows: list[list[str]]) -> str:
    """Return an aligned Markdown table."""
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    ruled = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in ruled)


# ---- where, and into which document
def machine(wengert: str) -> dict[str, str]:
    """Return what the figures depend on, and the day."""

    def version(name: str) -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "date": datetime.date.today().isoformat(),
        "processor": f"{processor}, {os.cpu_count()} cores, of which {'one is' if COUNT == 1 else f'{COUNT} are'} used",
        "system": f"{platform.system()} {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "Python": platform.python_version(),
        **{title: version(name) for title, name in LIBRARIES.items()},
        "wengert": wengert,
    }


def listed(where: dict[str, str]) -> str:
    """Return the machine and the libraries in one line."""
    place = f"{where['processor']}, {where['system']}, load before {where['load before']}"
    rest = [f"{key} {value}" for key, value in where.items() if key not in ("date", "processor", "system", "load before")]
    return f"{where['date']}; {place}; {', '.join(rest)}"


def marks(section: str) -> tuple[str, str]:
    return f"<!-- {section}: begin -->", f"<!-- {section}: end -->"


def replaced(text: str, section: str, block: str) -> str:
    """Return a document with a new block between a section's two marks. Raises ValueError where it has not both, once."""
    begin, end = marks(section)
    if [text.count(begin), text.count(end)] != [1, 1] or text.index(begin) > text.index(end):
        raise ValueError(f"the document needs the lines {begin} and {end}, once each and in this order")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{block}\n\n{end}{rest.partition(end)[2]}"


def draw(figures: list[Figure], path: Path) -> None:
    """Draw the ratios as bars, the peer's 1 and the targets as lines."""
    import matplotlib
    from matplotlib.figure import Figure as Picture

    bars = [figure for figure in figures if figure.kind == "ratio" and figure.values]
    # a fixed salt and no date: the same numbers give the same file
    with matplotlib.rc_context({"svg.hashsalt": "wengert", "font.size": 9}):
        picture = Picture(figsize=(7, 0.9 + 0.45 * len(bars)), layout="constrained")
        axes = picture.subplots()
        widest = 1.1 * max(1, *(statistics.median(figure.values) for figure in bars))
        for place, figure in enumerate(bars):
            middle = statistics.median(figure.values)
            axes.barh(place, middle, height=0.6, color="#0072B2")
            start, color = (0.0, "white") if middle > 0.1 * widest else (max(middle, figure.target or 0), "black")
            near = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "color": color}
            axes.annotate(f"{middle:.2f}", (start, place), weight="bold", **near)
            if figure.target is not None:
                axes.plot([figure.target] * 2, [place - 0.4, place + 0.4], color="#D55E00", linewidth=2)
        axes.plot([], [], color="#D55E00", linewidth=2, label="target")
        axes.axvline(1, color="black", linestyle="--", label="PyTorch, or who is named")
        names = [figure.name if figure.peer == "PyTorch" else f"{figure.name}, to {figure.peer}" for figure in bars]
        axes.set_yticks(range(len(bars)), [name.replace("`", "") for name in names])
        axes.invert_yaxis()
        axes.set_xlabel("wengert / PyTorch (less is better)")
        axes.set_xlim(0, widest)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper right", framealpha=1)
        picture.savefig(path, format="svg", metadata={"Date": None})
